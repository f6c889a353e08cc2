#!/usr/bin/env python3
"""Turn static files into a C table: embed.py OUT.c FOLDER [PATH=FILE…]. Each file is packed by gzip where that saves something."""
import gzip
import pathlib
import sys

TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon", ".woff2": "font/woff2",
         ".txt": "text/plain; charset=utf-8", ".webmanifest": "application/manifest+json"}


def data(name, content):
    lines = [",".join(str(byte) for byte in content[at:at + 64]) for at in range(0, len(content), 64)]
    return f"static const unsigned char {name}[] = {{\n" + ",\n".join(lines) + "\n};\n"


def view(name, content):
    return f"{{(const char *){name}, {len(content)}}}" if content else "{0}"


out, folder = sys.argv[1], pathlib.Path(sys.argv[2])
arrays, rows, files = [], [], {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
files.update((path, pathlib.Path(file)) for path, file in (each.split("=", 1) for each in sys.argv[3:]))
for number, (path, file) in enumerate(sorted(files.items())):
    plain = file.read_bytes()
    packed = gzip.compress(plain, 9, mtime=0)
    packed = packed if len(packed) < len(plain) * 0.95 else b""
    arrays.append(data(f"plain_{number}", plain or b"\0"))
    if packed:
        arrays.append(data(f"gzip_{number}", packed))
    name = f"/{path}"
    name = name.removesuffix("index.html") if name.endswith("/index.html") else name
    rows.append(f'    {{"{name}", "{TYPES[pathlib.PurePosixPath(path).suffix]}", {view(f"plain_{number}", plain)}, {view(f"gzip_{number}", packed)}}},\n')
pathlib.Path(out).write_text('/* Made by query/embed.py. */\n#include "query/web.h"\n' + "".join(arrays) +
                             "const struct web_file web_files[] = {\n" + "".join(rows) + "    {0},\n};\n"
                             f"const size_t web_file_count = {len(rows)};\n")
