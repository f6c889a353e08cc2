#!/usr/bin/env python3
"""Turn the schemas and the Function library (LUA, then rebuild.lua) into C text: embed.py OUT.c LUA AVSC… RELEASED-DIRECTORY"""
import hashlib
import pathlib
import sys


def literal(text):
    lines = [line.replace("\\", "\\\\").replace('"', '\\"') for line in text.split("\n")]
    return "\n".join(f'    "{line}\\n"' for line in lines[:-1]) + (f'\n    "{lines[-1]}"' if lines[-1] else "")


out, lua, *schemas, released = sys.argv[1:]
code = open(lua, encoding="utf-8").read() + pathlib.Path(__file__).with_name("rebuild.lua").read_text(encoding="utf-8")
digest = hashlib.sha256(code.encode()).hexdigest()[:12]
with open(out, "w", encoding="utf-8") as file:
    file.write('/* Made by schemas/embed.py. */\n#include "schemas/codec_internal.h"\n#include "schemas/layout.h"\n')
    file.write(f'const char *const citytotals_library_name = "citytotals_{digest}";\n')
    for name in ("open", "commit", "skip", "snapshot", "proof", "drop", "hold", "swap", "place"):
        file.write(f'const char *const citytotals_function_{name} = "citytotals_{name}_{digest}";\n')
    file.write(f"const char *const citytotals_library_code =\n{literal(code.replace('@ID@', digest))};\n")
    file.write("const char *const schema_texts[] = {\n")
    for schema in schemas:
        file.write(literal(open(schema, encoding="utf-8").read()) + ",\n")
    file.write("};\nconst struct released_schema released_schemas[] = {\n")
    names, count = [pathlib.Path(schema).name for schema in schemas], 0
    for schema in sorted(pathlib.Path(released).glob("*/*.avsc")):
        file.write(f"    {{(enum record_type){names.index(schema.name)},\n{literal(schema.read_text(encoding='utf-8'))}}},\n")
        count += 1
    file.write(f"}};\nconst size_t released_schema_count = {count};\n")
