#!/usr/bin/env python3
"""root.py SOURCE ROOT: builds citytotals and puts into ROOT what an image needs and nothing else: the three programs, the libraries
that they load, certificate authorities, licences, and a list of all that (SPDX, and dpkg's own form, which scanners read).

Runs in Debian with the packages of image/packages, as the Dockerfile does and as `./dev image` does in a tree of its own. The same
sources and packages give the same bytes, wherever the sources lie. SOURCE_DATE_EPOCH is the date that the list carries."""
import datetime
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

PROGRAMS = ("citytotals-producer", "citytotals-consumer", "citytotals-query")
UID = 65532
EMBEDDED = ("libjs-chart.js",)  # packages whose files are in the programs
FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/openssl.cnf")


def run(*command, **options):
    done = subprocess.run([os.fspath(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        sys.exit(f"root.py: {' '.join(map(str, command))}\n{done.stdout[-8000:]}")
    return done.stdout


def libraries(*binaries, folder=""):
    """What the loader would load for them, itself included, as paths. `folder`: where it looks too."""
    found = set()
    for binary in binaries:
        for line in run("ldd", binary, env={**os.environ, "LD_LIBRARY_PATH": os.fspath(folder)}).splitlines():
            if "not found" in line:
                sys.exit(f"root.py: {binary} needs {line.strip()}")
            found.update(re.findall(r"(/\S+) \(0x", line))
    return sorted(found)


def copy(path, root):
    """A file at the place that it has here, links followed."""
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)
    target.chmod(0o755 if os.access(path, os.X_OK) else 0o644)


def add_links(root):
    """As in Debian, where /lib and the rest are parts of /usr."""
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")


def add_user(root, name, uid):
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/passwd").write_text(f"root:x:0:0:root:/:/sbin/nologin\n{name}:x:{uid}:{uid}:{name}:/:/sbin/nologin\n")
    (root / "etc/group").write_text(f"root:x:0:\n{name}:x:{uid}:\n")


def fetch_bot_list(source, folder):
    """The wheel that producer/bots.lock names, and what the bill says of it; None in sources from before there was one."""
    lock = source / "producer/bots.lock"
    if not lock.exists():
        return None, None
    run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", lock, "-d", folder)
    [wheel] = pathlib.Path(folder).glob("*.whl")
    name, version = re.match(r"(\S+)==(\S+)", lock.read_text()).groups()
    return wheel, {"SPDXID": f"SPDXRef-{name}", "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION",
                   "filesAnalyzed": False, "licenseConcluded": "MIT", "licenseDeclared": "MIT", "copyrightText": "NOASSERTION",
                   "checksums": [{"algorithm": "SHA256", "checksumValue": hashlib.sha256(wheel.read_bytes()).hexdigest()}],
                   "comment": f"licence: /usr/share/doc/citytotals/LICENSE.{name}",
                   "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                                     "referenceLocator": f"pkg:pypi/{name}@{version}"}]}


def build(source, root):
    """Of what is installed an image needs the programs, their data and the licences. What is in the programs and comes from no
    package of Debian is returned, for the bill."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as fetched:
        wheel, bot_list = fetch_bot_list(source, fetched)
        flags = f"-ffile-prefix-map={source}=. -ffile-prefix-map={folder}=build"
        run("cmake", "-S", source, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DCITYTOTALS_TESTS=OFF",
            "-DCMAKE_INSTALL_PREFIX=/usr", f"-DCMAKE_C_FLAGS={flags}", *([f"-DCITYTOTALS_BOT_LIST={wheel}"] if wheel else []))
        run("cmake", "--build", folder)
        installed = pathlib.Path(folder, "installed")
        run("cmake", "--install", folder, "--strip", env={**os.environ, "DESTDIR": os.fspath(installed)})
        for name in PROGRAMS:
            shutil.copy(installed / "usr/bin" / name, root / "usr/bin")
        shutil.copytree(installed / "usr/share/citytotals", root / "usr/share/citytotals")
        (root / "usr/share/doc/citytotals").mkdir(parents=True)
        for licence in (installed / "usr/share/doc/citytotals").glob("LICENSE*"):
            shutil.copy(licence, root / "usr/share/doc/citytotals")
        return [bot_list] if bot_list else []


def owner(path):
    """The package that a file came with."""
    names = {path, os.path.realpath(path)}
    names |= {name.removeprefix("/usr") for name in names} | {"/usr" + name for name in names if not name.startswith("/usr/")}
    for name in sorted(names):
        done = subprocess.run(["dpkg-query", "-S", name], capture_output=True, text=True)
        owners = [line.split(": ")[0].split(",")[0] for line in done.stdout.splitlines() if not line.startswith("diversion ")]
        if owners:
            return owners[0]
    sys.exit(f"root.py: no package owns {path}")


def field(package, name):
    return run("dpkg-query", "-W", "-f", f"${{{name}}}", package)


def add_package(package, root):
    """Its licence, and its entry in the form of dpkg."""
    name = field(package, "Package")
    copy(f"/usr/share/doc/{name}/copyright", root)
    status = root / "var/lib/dpkg/status.d" / name
    status.parent.mkdir(parents=True, exist_ok=True)
    status.write_text(run("dpkg-query", "-s", package))
    version, source = field(package, "Version"), field(package, "source:Package")
    return {"SPDXID": f"SPDXRef-{re.sub(r'[^A-Za-z0-9.-]', '-', name)}", "name": name, "versionInfo": version,
            "supplier": "Organization: Debian", "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
            "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION",
            "comment": f"licence: /usr/share/doc/{name}/copyright",
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                              "referenceLocator": f"pkg:deb/debian/{name}@{version.replace('+', '%2B').replace(':', '%3A')}"
                                                  f"?arch={field(package, 'Architecture')}&upstream={source}"}]}


def bill(version, packages, root):
    """SPDX 2.3: citytotals and the packages that its files came with."""
    moment = datetime.datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH") or 0), datetime.timezone.utc)
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(folder, name) for folder, _, files in os.walk(root) for name in files):
        digest.update(f"{path.relative_to(root)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    product = {"SPDXID": "SPDXRef-citytotals", "name": "citytotals", "versionInfo": version, "downloadLocation": "NOASSERTION",
               "filesAnalyzed": False, "licenseConcluded": "Apache-2.0", "licenseDeclared": "Apache-2.0",
               "copyrightText": "NOASSERTION", "primaryPackagePurpose": "CONTAINER"}
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-citytotals")]
    relations += [("SPDXRef-citytotals", "CONTAINS", package["SPDXID"]) for package in packages]
    return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"citytotals-{version}",
            "documentNamespace": f"urn:citytotals:image:{digest.hexdigest()}",
            "creationInfo": {"created": moment.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: citytotals image/root.py"]},
            "packages": [product, *packages],
            "relationships": [dict(zip(("spdxElementId", "relationshipType", "relatedSpdxElement"), each)) for each in relations]}


def main():
    source, root = (pathlib.Path(each).resolve() for each in sys.argv[1:3])
    os.umask(0o022)
    root.mkdir()
    add_links(root)
    others = build(source, root)
    programs = [root / "usr/bin" / name for name in PROGRAMS]
    loaded = libraries(*programs)
    for path in [*loaded, *FILES]:
        copy(path, root)
    add_user(root, "citytotals", UID)
    owners = {owner(path) for path in loaded} | {"ca-certificates", "openssl", *EMBEDDED}
    packages = [add_package(package, root) for package in sorted(owners)] + others
    version = run(programs[0], "--version").split()[-1]
    (root / "usr/share/doc/citytotals/VERSION").write_text(version + "\n")
    target = root / "usr/share/doc/citytotals/sbom.spdx.json"
    target.write_text(json.dumps(bill(version, packages, root), indent=1) + "\n")


if __name__ == "__main__":
    main()
