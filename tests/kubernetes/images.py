"""The images that the local overlay needs beside our own, made of this machine's files: Kafka's jars under its Java, its redis-server
with what production's keeper calls; and the empty one in which every pod begins."""
import os
import pathlib
import shutil
import subprocess

from image.archive import write
from image.root import add_links, copy, libraries

PAUSE = """
#include <signal.h>
#include <unistd.h>
static void end(int signal) { (void)signal; _exit(0); }
int main(void) { signal(SIGTERM, end); signal(SIGINT, end); signal(SIGCHLD, SIG_IGN); for (;;) pause(); }
"""
KEEPER_NEEDS = ("redis-cli", "sh", "awk", "cat", "getent", "grep", "sed", "sha256sum", "sleep", "timeout", "tr")  # in production
JAVA_LEAVES_OUT = shutil.ignore_patterns("src.zip", "jmods", "man", "legal", "include", "demo", "classes_nocoops.jsa", "docs")


def new_root(directory, name):
    root = directory / name
    root.mkdir(parents=True)
    add_links(root)
    return root


def pause(directory, archive):
    root = new_root(directory, "pause")
    subprocess.run(["cc", "-x", "c", "-static", "-Os", "-s", "-o", root / "usr/bin/pause", "-"], input=PAUSE, text=True, check=True)
    return write(root, archive, "localhost/pause:1", "65532", command=["/usr/bin/pause"])


def names(directory, archive, program):
    root = new_root(directory, "names")
    shutil.copy(program, root / "usr/bin/dns")
    return write(root, archive, "localhost/dns:1", "0", command=["/usr/bin/dns"])


def redis(directory, archive, name):
    root = new_root(directory, "redis")
    for program in ("redis-server", *KEEPER_NEEDS):
        path = os.path.realpath(shutil.which(program))
        shutil.copy(path, root / "usr/bin" / program)
        for each in libraries(path):
            copy(each, root)
    return write(root, archive, name, "999")


def kafka(directory, archive, name, jars):
    root, java = new_root(directory, "kafka"), pathlib.Path(shutil.which("java")).resolve()
    home = java.parent.parent
    shutil.copytree(home, root / "usr/lib/java", ignore=JAVA_LEAVES_OUT)
    (root / "usr/bin/java").symlink_to("/usr/lib/java/bin/java")
    binaries = [java, *home.rglob("*.so")]
    for path in libraries(*binaries, folder=home / "lib/server"):
        if not path.startswith(str(home)):
            copy(path, root)
    shutil.copytree(jars, root / "opt/kafka/libs")
    return write(root, archive, name, "1000")
