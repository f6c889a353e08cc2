"""Snapshot files by docs/backup.md, read and written apart from the program: little-endian whatever the machine."""
import hashlib
import struct
import subprocess
import zlib

from tests.lab.repair import consumer_tool

MAGIC = b"\x89CTSNAP\n"


def snapshot(city, *arguments, status=0, redis_url=None):
    """(its output, its log)"""
    done = subprocess.run(consumer_tool(city, "snapshot", *arguments, redis_url=redis_url), capture_output=True, text=True, timeout=240)
    assert done.returncode == status, (f"snapshot {arguments} ended with {done.returncode}, expected {status}:\n{done.stdout[-3000:]}\n"
                                       f"{done.stderr[-3000:]}")
    return done.stdout, done.stderr


def blocks(data):
    """[(kind, content)] without the end block, all checksums looked at."""
    assert data[:8] == MAGIC and struct.unpack_from("<I", data, 8)[0] == 1
    at, found = 12, []
    while True:
        kind, size = data[at:at + 4].decode(), struct.unpack_from("<I", data, at + 4)[0]
        content = data[at + 8:at + 8 + size]
        assert zlib.crc32(data[at:at + 8 + size]) == struct.unpack_from("<I", data, at + 8 + size)[0], f"checksum at {at}"
        if kind == "END.":
            assert struct.unpack_from("<Q", content)[0] == len(found)
            assert content[8:] == hashlib.sha256(data[:at]).digest() and at + 8 + size + 4 == len(data)
            return found
        found.append((kind, content))
        at += 8 + size + 4


def text(content, at):
    size, = struct.unpack_from("<I", content, at)
    return content[at + 4:at + 4 + size], at + 4 + size


def pairs(content, at):
    found = {}
    while at < len(content):
        field, at = text(content, at)
        found[field], at = text(content, at)
    return found


def read(data):
    """(head, hashes, lanes, visitors, entries of streams, strings)"""
    head, hashes, lanes, visitors, entries, strings = {}, {}, {}, {}, [], {}
    for kind, content in blocks(data):
        if kind == "HEAD":
            head = dict(line.split(" ", 1) for line in content.decode().splitlines())
        elif kind == "HASH":
            name, at = text(content, 0)
            hashes.setdefault(name.decode(), {}).update(pairs(content, at))
        elif kind == "LANE":
            lane, = struct.unpack_from("<I", content)
            lanes[lane] = lanes.get(lane, b"") + content[4:]
        elif kind == "VSTR":
            day, at = text(content, 0)
            records = visitors.setdefault(day.decode(), {})
            for place in range(at, len(content), 24):
                records[content[place:place + 16]] = struct.unpack_from("<q", content, place + 16)[0]
        elif kind == "ENTR":
            name, at = text(content, 0)
            id_, at = text(content, at)
            entries.append((name.decode(), id_.decode(), pairs(content, at)))
        else:
            assert kind == "STRG", kind
            name, at = text(content, 0)
            strings[name.decode()] = content[at:]
    return head, hashes, lanes, visitors, entries, strings


def written(found):
    """The file of these blocks."""
    data = MAGIC + struct.pack("<I", 1)
    for kind, content in found:
        block = kind.encode() + struct.pack("<I", len(content)) + content
        data += block + struct.pack("<I", zlib.crc32(block))
    end = b"END." + struct.pack("<IQ", 40, len(found)) + hashlib.sha256(data).digest()
    return data + end + struct.pack("<I", zlib.crc32(end))


def word(value):
    value = value if isinstance(value, bytes) else str(value).encode()
    return struct.pack("<I", len(value)) + value


def built(head, hashes, lanes, visitors, entries, strings):
    """The file of a state, by a program that is not ours."""
    found = [("HEAD", "".join(f"{name} {value}\n" for name, value in head.items()).encode())]
    for name, cells in hashes.items():
        found.append(("HASH", word(name) + b"".join(word(field) + word(value) for field, value in cells.items())))
    for lane, records in lanes.items():
        found.append(("LANE", struct.pack("<I", lane) + records))
    for day, records in visitors.items():
        found.append(("VSTR", word(day) + b"".join(visitor + struct.pack("<q", time) for visitor, time in records.items())))
    for name, value in strings.items():
        found.append(("STRG", word(name) + value))
    for name, id_, cells in entries:
        found.append(("ENTR", word(name) + word(id_) + b"".join(word(field) + word(value) for field, value in cells.items())))
    return written(found)
