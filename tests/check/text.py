#!/usr/bin/env python3
"""Rules for every tracked text file: UTF-8, no tabs or spaces at a line's end, an end of line at its end, no promises left in the
code, links in Markdown that lead somewhere, and source files that open with what they are for."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROMISE = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
LINES_MOST = 700
EXACT = ("tests/fuzz/corpus/", "tests/schemas/", "LICENSE")  # bytes that are data


def faults(name, path):
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        if not name.startswith(EXACT):
            yield f"{name}: not UTF-8"
        return
    if name.startswith(EXACT) and not name.endswith((".c", ".h", ".py")):
        return
    lines = text.split("\n")
    if text and lines[-1] != "":
        yield f"{name}: no end of line at its end"
    for number, line in enumerate(lines, 1):
        if name.endswith(".csv"):
            line = line.removesuffix("\r")  # what a spreadsheet opens
        if line != line.rstrip():
            yield f"{name}:{number}: space at the end of the line"
        if PROMISE.search(line) and name != "tests/check/text.py":
            yield f"{name}:{number}: a promise left: {line.strip()[:80]}"
    if name.endswith((".c", ".h")) and not text.startswith("/*"):
        yield f"{name}: does not open with a comment that says what it is for"
    if name.endswith((".c", ".h", ".py", ".lua")) and len(lines) > LINES_MOST:
        yield f"{name}: {len(lines)} lines; at most {LINES_MOST}: one idea a file"
    if name.endswith(".md"):
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if "://" not in target and not (path.parent / target).exists():
                yield f"{name}: a link to {target}, which does not exist"


def main():
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    found = [fault for name in names if name and (ROOT / name).is_file() for fault in faults(name, ROOT / name)]
    print("\n".join(found) if found else "text: nothing to complain about")
    return 1 if found else 0


sys.exit(main())
