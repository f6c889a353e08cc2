#!/usr/bin/env python3
"""Includes go one way. Prints each forbidden one with its rule; exit 1 when there is any."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# A folder may include its own headers and those of the folders named here.
MAY = {"base": set(), "schemas": {"base"}, "producer": {"base", "schemas"}, "consumer": {"base", "schemas"},
       "query": {"base", "schemas"}, "library": {"base", "schemas", "producer"}}
# A library's headers are included only where it is driven.
DRIVERS = {"librdkafka/": r"base/kafka\w*\.[ch]|consumer/(source|letters)\w*\.[ch]|producer/\w+\.[ch]|query/\w+\.[ch]",
           "hiredis/": r"base/redis\w*\.[ch]|consumer/store\w*\.[ch]|query/snapshot\w*\.[ch]",
           "microhttpd.h": r"base/(management|http)\w*\.[ch]|producer/gateway\w*\.[ch]|query/serve\w*\.[ch]",
           "avro.h": r"schemas/\w+\.[ch]"}


def faults(path):
    name = path.relative_to(ROOT).as_posix()
    folder = name.split("/")[0]
    for number, line in enumerate(path.read_text().splitlines(), 1):
        include = re.match(r'\s*#\s*include\s*[<"]([^">]+)[">]', line)
        if not include:
            continue
        target = include.group(1)
        other = target.split("/")[0]
        if other in MAY and other != folder and other not in MAY[folder]:
            yield f'{name}:{number}: includes "{target}"; {folder}/ may include only {", ".join(sorted({folder} | MAY[folder]))}'
        for library, where in DRIVERS.items():
            if target.startswith(library) and not re.fullmatch(where, name):
                yield f"{name}:{number}: includes <{target}>; only {where} may"


def main():
    found = [fault for folder in MAY for path in sorted((ROOT / folder).rglob("*.[ch]")) for fault in faults(path)]
    print("\n".join(found) if found else "layers: every include goes the right way")
    return 1 if found else 0


sys.exit(main())
