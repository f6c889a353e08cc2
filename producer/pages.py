#!/usr/bin/env python3
"""Turn the pages for browsers into a C table: pages.py OUT.c FOLDER. A page in two languages, {{tiếng Việt|English}}, becomes two."""
import pathlib
import re
import sys

TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
         ".csv": "text/csv; charset=utf-8"}
out, folder = sys.argv[1:]
files = []
for path in sorted(pathlib.Path(folder).iterdir()):
    text = path.read_text()
    if path.suffix == ".html":
        for number, language in enumerate(("vi", "en")):
            filled = re.sub(r"\{\{((?:(?!\}\}|\|).)*)\|((?:(?!\}\}).)*)\}\}", lambda match: match.group(number + 1), text)
            if "{{" in filled or "}}" in filled:
                sys.exit(f"{path}: a {{{{…|…}}}} is not closed or has not two parts")
            files.append(("/" + path.stem, language, TYPES[path.suffix], filled.encode()))
    else:
        files.append(("/" + path.name, "", TYPES[path.suffix], text.encode()))
arrays, entries = [], []
for number, (path, language, type_, content) in enumerate(files):
    lines = [",".join(str(byte) for byte in content[at:at + 64]) for at in range(0, len(content), 64)]
    arrays.append(f"static const unsigned char bytes_{number}[] = {{\n" + ",\n".join(lines) + "\n};\n")
    entries.append(f'    {{"{path}", "{language}", "{type_}", {{(const char *)bytes_{number}, sizeof bytes_{number}}}}},\n')
pathlib.Path(out).write_text('/* Made by producer/pages.py. */\n#include "producer/gateway_pages.h"\n' + "".join(arrays) +
                             "const struct gateway_page gateway_pages[] = {\n" + "".join(entries) + "    {0},\n};\n")
