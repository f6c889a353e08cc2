"""How `./dev image` goes about it, with stand-ins for Docker, kind and podman that tell what they are asked: a laptop has nothing else."""
import os
import shutil
import subprocess

import pytest

from tests.lab.process import ROOT

COMMON = ("bash", "basename", "cat", "cut", "dirname", "env", "getconf", "mkdir", "readlink", "sed", "tail")  # no nproc, apt-get, git, Python
ASKED = "#!/bin/sh\necho \"${0##*/} $*\" >>\"$ASKED\"\n"


class Laptop:
    def __init__(self, folder):
        self.programs, self.project, self.asked = folder / "bin", folder / "project", folder / "asked"
        self.programs.mkdir()
        self.project.mkdir()
        shutil.copy(ROOT / "dev", self.project)
        shutil.copytree(ROOT / "image", self.project / "image")
        (self.project / "producer").mkdir()
        shutil.copy(ROOT / "producer/bots.lock", self.project / "producer")
        for name in COMMON:
            (self.programs / name).symlink_to(shutil.which(name))

    def has(self, name, then=""):
        (self.programs / name).write_text(ASKED + then)
        (self.programs / name).chmod(0o755)

    def is_user(self, uid):
        self.has("id", f"echo {uid}")

    def dev(self, *arguments):
        env = {"PATH": str(self.programs), "HOME": str(self.project), "ASKED": str(self.asked)}
        done = subprocess.run([self.project / "dev", *arguments], env=env, capture_output=True, text=True, timeout=60)
        asked = self.asked.read_text().splitlines() if self.asked.exists() else []
        return done, [line for line in asked if not line.startswith("id ")]


@pytest.fixture
def laptop(tmp_path):
    return Laptop(tmp_path)


@pytest.mark.parametrize("uid", [0, 1000])
def test_docker_makes_it_where_an_engine_answers(laptop, uid):
    laptop.is_user(uid)
    laptop.has("docker")
    laptop.has("kind")
    done, asked = laptop.dev("image", "--load", "kind")
    assert done.returncode == 0, done.stderr
    assert asked == ["docker version",
                     "docker build -t localhost/citytotals:local --build-arg REVISION=unknown --build-arg SOURCE_DATE_EPOCH=0 .",
                     "docker save -o build/citytotals-image.tar localhost/citytotals:local",
                     "kind load image-archive build/citytotals-image.tar"]


def test_a_user_whom_docker_refuses_is_told_what_it_said(laptop):
    laptop.is_user(1000)
    laptop.has("docker", "echo Client: 26; echo permission denied while trying to connect >&2; exit 1")
    done, asked = laptop.dev("image")
    assert done.returncode == 1 and "permission denied while trying to connect" in done.stderr, done.stderr
    assert asked == ["docker version"]


def test_a_user_without_docker_is_told_so(laptop):
    laptop.is_user(1000)
    done, _ = laptop.dev("image")
    assert done.returncode == 1 and "docker: command not found" in done.stderr and "as root" in done.stderr, done.stderr


def test_root_without_an_engine_goes_on_without_docker(laptop):
    laptop.is_user(0)
    laptop.has("docker", "exit 1")
    done, _ = laptop.dev("image")
    assert done.returncode == 1 and "this is not Debian" in done.stderr and "debootstrap" in done.stderr, done.stderr


def test_it_is_loaded_only_by_what_is_there(laptop):
    laptop.is_user(1000)
    laptop.has("docker")
    for where, word in (("kind", "no kind here"), ("elsewhere", "--load takes")):
        done, asked = laptop.dev("image", "--load", where)
        assert done.returncode == 1 and word in done.stderr, done.stderr
        assert not asked
