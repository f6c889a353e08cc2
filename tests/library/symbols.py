#!/usr/bin/env python3
"""The list of exported names, the header, both libraries and the man page name the same functions, and nothing else leaves either
library. Usage: symbols.py NM FOLDER SHARED STATIC MANPAGE"""
import pathlib
import re
import subprocess
import sys


def exported(nm, *arguments):
    lines = subprocess.run([nm, "--defined-only", *arguments], capture_output=True, text=True, check=True).stdout.splitlines()
    return {fields[2] for fields in map(str.split, lines) if len(fields) == 3 and fields[1] != "A"}


def main():
    nm, folder, shared, static, page = sys.argv[1:]
    script = (pathlib.Path(folder) / "citytotals.map").read_text()
    node = re.match(r"(\w+) \{\s+global:([^:]*)local:\s+\*;\s+\};\s*$", script)
    listed = set(re.findall(r"(\w+);", node.group(2)))
    header = (pathlib.Path(folder) / "citytotals.h").read_text()
    found = {"the header": set(re.findall(r"^CITYTOTALS_API [\w *]*?(citytotals_\w+)\(", header, re.M)),
             "the shared library": exported(nm, "-D", shared), "the static library": exported(nm, "-g", static)}
    versions = {name.partition("@@")[2] for name in found["the shared library"]}
    found["the shared library"] = {name.partition("@@")[0] for name in found["the shared library"]}
    found["the man page"] = set(re.findall(r"\b(citytotals_\w+)\(", pathlib.Path(page).read_text().replace("\\fR", ""))) & listed
    faults = [f"{where}: {'lacks' if name in listed else 'has, unlisted:'} {name}"
              for where, names in found.items() for name in sorted(names ^ listed)]
    if versions != {node.group(1)}:
        faults.append(f"the shared library's names have the versions {versions}; expected {node.group(1)}")
    print("\n".join(faults) if faults else f"{len(listed)} names, the same everywhere")
    return 1 if faults or not listed else 0


sys.exit(main())
