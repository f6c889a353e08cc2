#!/usr/bin/env python3
"""archive.py ROOT OUT.tar NAME:TAG [--user U] [--created SECONDS] [--label K=V]... [--env K=V]...
Makes an image of a folder, without Docker: an OCI layout that `docker load`, `podman load`, `kind load image-archive`,
`k3s ctr images import` and `minikube image load` take. Prints the image's digest. The same files give the same bytes."""
import argparse
import datetime
import hashlib
import io
import json
import os
import pathlib
import platform
import tarfile

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
OCI = "application/vnd.oci.image"


def entry(name, size=0, mode=0o644, kind=tarfile.REGTYPE):
    made = tarfile.TarInfo(name)
    made.size, made.mode, made.type = size, mode, kind
    return made


def paths_of(root):
    """All below it; links are not followed."""
    return [pathlib.Path(folder, name) for folder, folders, files in os.walk(root) for name in folders + files]


def layer_of(root):
    """The folder as a tar in order of names, owned by root, without times."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(paths_of(root)):
            name = path.relative_to(root).as_posix()
            if path.is_symlink():
                link = entry(name, mode=0o777, kind=tarfile.SYMTYPE)
                link.linkname = os.readlink(path)
                tar.addfile(link)
            elif path.is_dir():
                tar.addfile(entry(name, mode=path.stat().st_mode & 0o7777, kind=tarfile.DIRTYPE))
            else:
                data = path.read_bytes()
                tar.addfile(entry(name, len(data), 0o755 if path.stat().st_mode & 0o100 else 0o644), io.BytesIO(data))
    return out.getvalue()


def write(root, out, name, user="", created=0, labels=(), env=(), command=()):
    """The image's digest is returned."""
    blobs = {}

    def add(data, type_):
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"mediaType": type_, "digest": f"sha256:{digest}", "size": len(data)}

    def text(value):
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    moment = datetime.datetime.fromtimestamp(created, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    layer = add(layer_of(pathlib.Path(root)), f"{OCI}.layer.v1.tar")
    settings = {"Env": ["PATH=/usr/bin:/bin", *env], "User": user, "Labels": dict(labels), "Cmd": list(command)}
    config = add(text({"architecture": MACHINES[platform.machine()], "os": "linux", "created": moment,
                       "config": {key: value for key, value in settings.items() if value},
                       "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
                       "history": [{"created": moment, "created_by": "image/archive.py"}]}), f"{OCI}.config.v1+json")
    manifest = add(text({"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": config, "layers": [layer]}),
                   f"{OCI}.manifest.v1+json")
    names = {"org.opencontainers.image.ref.name": name.rsplit(":", 1)[1], "io.containerd.image.name": name}
    index = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": [{**manifest, "annotations": names}]}
    place = {each: f"blobs/{each.replace(':', '/')}" for each in (config["digest"], layer["digest"])}
    docker = [{"Config": place[config["digest"]], "RepoTags": [name], "Layers": [place[layer["digest"]]]}]
    files = {"oci-layout": text({"imageLayoutVersion": "1.0.0"}), "index.json": text(index), "manifest.json": text(docker), **blobs}
    with tarfile.open(out, "w", format=tarfile.GNU_FORMAT) as tar:
        for path, data in files.items():
            tar.addfile(entry(path, len(data)), io.BytesIO(data))
    return manifest["digest"]


def pair(text):
    key, sign, value = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def main():
    parser = argparse.ArgumentParser(description="Makes an image of a folder, without Docker.")
    parser.add_argument("root")
    parser.add_argument("out")
    parser.add_argument("name", help="NAME:TAG")
    parser.add_argument("--user", default="")
    parser.add_argument("--created", type=int, default=0, help="seconds since 1970")
    parser.add_argument("--label", type=pair, action="append", default=[])
    parser.add_argument("--env", action="append", default=[])
    options = parser.parse_args()
    print(write(options.root, options.out, options.name, options.user, options.created, options.label, options.env))


if __name__ == "__main__":
    main()
