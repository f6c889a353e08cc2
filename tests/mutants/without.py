#!/usr/bin/env python3
"""Take one check out of the Function: without.py IN.lua MARK OUT.lua makes the condition of the line that bears MARK false."""
import re
import sys

source, mark, target = sys.argv[1:]
lines = open(source, encoding="utf-8").read().split("\n")
marked = [number for number, line in enumerate(lines) if mark in line]
if len(marked) != 1:
    sys.exit(f"{source}: {len(marked)} lines bear {mark}, there must be one")
line = re.sub(r"\bif .*? then\b", "if false then", lines[marked[0]], count=1)
if line == lines[marked[0]]:
    sys.exit(f"{source}: line {marked[0] + 1} bears {mark} but no condition")
lines[marked[0]] = line
open(target, "w", encoding="utf-8").write("\n".join(lines))
