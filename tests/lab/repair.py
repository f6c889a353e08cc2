"""verify, rebuild and dead-letters of a city under test."""
import json
import os
import subprocess

from tests.lab.process import BUILD


def consumer_tool(city, command, *arguments, redis_url=None):
    return [os.fspath(BUILD / "consumer" / "citytotals-consumer"), *command.split(), "-b", city.kafka.bootstrap, "--city", city.name,
            "--redis", redis_url or city.redis.url, "--connect-timeout", "60s", *map(os.fspath, arguments)]


def verify(city, *arguments, status=0):
    """(what it says, its log)"""
    done = subprocess.run(consumer_tool(city, "verify", "--format", "json", *arguments), capture_output=True, text=True, timeout=240)
    assert done.returncode == status, (f"verify ended with {done.returncode}, expected {status}:\n{done.stdout[-3000:]}\n"
                                       f"{done.stderr[-3000:]}")
    return json.loads(done.stdout) if done.stdout else None, done.stderr


def rebuild(city, *arguments, status=0):
    """A rebuild to its end: (its output, its log)"""
    done = subprocess.run(consumer_tool(city, "rebuild", *arguments), capture_output=True, text=True, timeout=240)
    assert done.returncode == status, f"rebuild ended with {done.returncode}, expected {status}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout, done.stderr


def dead_letters(city, *arguments, status=0):
    """(its output, its log)"""
    done = subprocess.run(consumer_tool(city, "dead-letters", *arguments), capture_output=True, text=True, timeout=240)
    assert done.returncode == status, (f"dead-letters ended with {done.returncode}, expected {status}:\n{done.stdout[-3000:]}\n"
                                       f"{done.stderr[-3000:]}")
    return done.stdout, done.stderr


def left_over(city):
    """Keys of a rebuild or load that is not over."""
    return list(city.redis.client.scan_iter(match=city.key("rebuild:*")))


def digest(city):
    """Everything in Redis that is a function of the log (docs/redis-keys.md), comparable."""
    import redis as redis_module
    client, found = redis_module.Redis(port=city.redis.port), {}
    for key in client.scan_iter(match=f"{{{city.name}}}:*", count=1000):
        suffix = key.decode().split(":", 1)[1]
        if suffix in ("meta", "gaps", "schemas", "changes"):
            continue
        kind = client.type(key).decode()
        if suffix.startswith("seen:"):
            lane = client.get(key)
            found[suffix] = sorted(lane[at:at + 24] for at in range(0, len(lane), 24))
        elif suffix == "repeats":
            repeats = client.get(key)
            found[suffix] = sorted(repeats[at:at + 16] for at in range(0, len(repeats), 32))
        elif kind == "stream":
            found[suffix] = sorted(sorted(entry.items()) for _, entry in client.xrange(key))
        elif kind == "zset":
            found[suffix] = sorted(client.zrange(key, 0, -1, withscores=True))
        else:
            cells = {field: value for field, value in client.hgetall(key).items() if value not in (b"0", b"")}
            cells.pop(b"version", None)
            if cells:
                found[suffix] = cells
    return found
