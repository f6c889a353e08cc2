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


def make_pair(directory, name, days=90):
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    directory.mkdir(parents=True, exist_ok=True)
    cert, key = directory / f"{name}.crt", directory / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", str(days), "-subj",
                    f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], check=True, capture_output=True,
                   timeout=60)
    return cert, key


def make_expiring(directory, name, seconds):
    """Like make_pair(), over in so many seconds; fewer than none: over for so long."""
    folder = directory / f"{name}-ca"
    folder.mkdir(parents=True)
    (folder / "ca.cnf").write_text(CA)
    (folder / "index").write_text("")
    _, key = make_pair(directory, name)
    cert, now = directory / f"{name}.crt", time.time()

    def run(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60, cwd=folder)

    def moment(at):
        return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(at))
    run("req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", "request")
    run("ca", "-batch", "-selfsign", "-notext", "-config", "ca.cnf", "-keyfile", key, "-in", "request", "-out", cert,
        "-startdate", moment(now - 10 * 86400), "-enddate", moment(now + seconds))
    return cert, key
