"""Certificates for servers of the tests."""
import subprocess
import time

CA = """[ca]
default_ca = own
[own]
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = extensions
[any]
commonName = supplied
[extensions]
subjectAltName = IP:127.0.0.1
"""


def openssl(*arguments, folder=None):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60, cwd=folder)


def make_pair(directory, name, days=90):
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    directory.mkdir(parents=True, exist_ok=True)
    cert, key = directory / f"{name}.crt", directory / f"{name}.key"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", days, "-subj", f"/CN={name}",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert)
    return cert, key


def make_expiring(directory, name, seconds):
    """Like make_pair(), over in so many seconds; fewer than none: over for so long."""
    folder = directory / f"{name}-ca"
    folder.mkdir(parents=True)
    (folder / "ca.cnf").write_text(CA)
    (folder / "index").write_text("")
    _, key = make_pair(directory, name)
    cert, now = directory / f"{name}.crt", time.time()

    def moment(at):
        return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(at))
    openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", "request", folder=folder)
    openssl("ca", "-batch", "-selfsign", "-notext", "-config", "ca.cnf", "-keyfile", key, "-in", "request", "-out", cert,
            "-startdate", moment(now - 10 * 86400), "-enddate", moment(now + seconds), folder=folder)
    return cert, key


class Authority:
    """One that signs other certificates."""

    def __init__(self, directory, name="authority"):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.cert, self.key = directory, directory / f"{name}.crt", directory / f"{name}.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 90, "-subj", f"/CN={name}",
                "-addext", "keyUsage=critical,keyCertSign", "-keyout", self.key, "-out", self.cert)

    def issue(self, name, names, *dates):
        """A certificate for `names` ("DNS:…,IP:…") and its key. `dates`: -days N, or -not_before and -not_after (OpenSSL 3.4)."""
        cert, key, request, extensions = (self.directory / f"{name}.{kind}" for kind in ("crt", "key", "csr", "ext"))
        extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", key,
                "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-extfile", extensions,
                *(dates or ("-days", 90)), "-out", cert)
        return cert, key
