#!/usr/bin/env python3
"""image.py IMAGE.tar: what the image holds and what it does not; its programs run in it as its user. Exit 1 with what is wrong."""
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile

PROGRAMS = ("citytotals-producer", "citytotals-consumer", "citytotals-query")
ABSENT = ("sh", "bash", "dash", "busybox", "cc", "gcc", "ld", "python3", "perl", "apt-get", "dpkg")
LABELS = ("title", "description", "licenses", "version", "revision")
MOST = 64 << 20  # bytes


def read(archive, name):
    data = archive.extractfile(name).read()
    if name.startswith("blobs/"):
        assert hashlib.sha256(data).hexdigest() == name.rsplit("/", 1)[1], f"{name} is not what its name says"
    return data


def blob(archive, descriptor):
    data = read(archive, f"blobs/{descriptor['digest'].replace(':', '/')}")
    assert len(data) == descriptor["size"], descriptor
    return data


def loaded(root, program):
    """The files that the loader takes, in the image."""
    done = subprocess.run(["chroot", root, "/lib64/ld-linux-x86-64.so.2", "--list", f"/usr/bin/{program}"], capture_output=True, text=True)
    assert not done.returncode and "not found" not in done.stdout, f"{program}: {done.stdout}{done.stderr}"
    return done.stdout.splitlines()


def check_contents(root):
    paths = [pathlib.Path(folder, name) for folder, folders, files in os.walk(root) for name in folders + files]
    for path in paths:
        if path.is_symlink():
            continue
        mode = path.stat().st_mode
        assert not mode & 0o6022, f"{path.relative_to(root)} has mode {mode:o}: others could write it, or it changes who runs it"
    names = {path.name for path in paths if path.is_symlink() or not path.is_dir()}
    found = sorted(names & set(ABSENT))
    assert not found, f"the image has {found}"
    assert (root / "etc/ssl/certs/ca-certificates.crt").stat().st_size > 100000


def check_programs(root):
    for program in PROGRAMS:
        assert len(loaded(root, program)) > 5
        done = subprocess.run(["chroot", "--userspec=65532:65532", root, f"/usr/bin/{program}", "--version"], capture_output=True, text=True)
        assert not done.returncode and done.stdout.startswith(f"{program} "), f"{program}: {done}"
    done = subprocess.run(["chroot", "--userspec=65532:65532", root, "/usr/bin/citytotals-producer", "send", "--dry-run"],
                          input='{"type":"headcount-change"}\n', capture_output=True, text=True)
    assert done.returncode == 3, f"a bad line ends send with {done.returncode}: {done.stderr}"


def check_bill(root):
    """Whatever dpkg's entries name is in the SPDX list, and each has its licence."""
    bill = json.loads((root / "usr/share/doc/citytotals/sbom.spdx.json").read_text())
    listed = {package["name"]: package["versionInfo"] for package in bill["packages"]}
    entries = {path.name for path in (root / "var/lib/dpkg/status.d").iterdir()}
    assert set(listed) == entries | {"citytotals", "crawler-user-agents"}, set(listed) ^ entries
    assert (root / "usr/share/doc/citytotals/LICENSE.crawler-user-agents").stat().st_size > 1000
    assert f"crawler-user-agents {listed['crawler-user-agents']}".encode() in (root / "usr/bin/citytotals-producer").read_bytes()
    assert {"libc6", "librdkafka1", "ca-certificates", "libjs-chart.js"} <= entries and len(entries) > 20
    for name in entries:
        assert (root / "usr/share/doc" / name / "copyright").stat().st_size > 100, name
    assert len(bill["relationships"]) == len(listed)


def main():
    with tarfile.open(sys.argv[1]) as archive, tempfile.TemporaryDirectory(prefix="citytotals-image-") as folder:
        index = json.loads(read(archive, "index.json"))
        manifest = json.loads(blob(archive, index["manifests"][0]))
        config = json.loads(blob(archive, manifest["config"]))
        settings = config["config"]
        assert settings["User"] == "65532:65532", settings
        assert all(settings["Labels"].get(f"org.opencontainers.image.{name}") for name in LABELS), settings["Labels"]
        assert len(manifest["layers"]) == 1 and manifest["layers"][0]["size"] < MOST, manifest["layers"]
        assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
        blob(archive, manifest["layers"][0])
        with tarfile.open(fileobj=archive.extractfile(f"blobs/{manifest['layers'][0]['digest'].replace(':', '/')}")) as layer:
            assert all((entry.uid, entry.gid, entry.mtime) == (0, 0, 0) for entry in layer)
            layer.extractall(folder)
        root = pathlib.Path(folder)
        root.chmod(0o755)
        check_contents(root)
        check_programs(root)
        check_bill(root)
        print(f"image: {index['manifests'][0]['digest']}, {manifest['layers'][0]['size'] >> 20} MiB, nothing to complain about")


if __name__ == "__main__":
    try:
        main()
    except AssertionError as failure:
        sys.exit(f"image.py: {failure}")
