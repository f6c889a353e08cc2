#!/usr/bin/env python3
"""Turn a text file into a C array: embed.py OUT.c HEADER NAME FILE"""
import pathlib
import sys

out, header, name, path = sys.argv[1:]
content = pathlib.Path(path).read_bytes()
lines = [",".join(str(byte) for byte in content[at:at + 64]) for at in range(0, len(content), 64)]
pathlib.Path(out).write_text(f'/* Made by producer/embed.py. */\n#include "{header}"\n'
                             f"static const unsigned char bytes[] = {{\n" + ",\n".join(lines) + "\n};\n"
                             f"const struct slice {name} = {{(const char *)bytes, sizeof bytes}};\n")
