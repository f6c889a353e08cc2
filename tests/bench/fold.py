"""./dev bench fold: the fold's speed as a ratio to a consumer that only counts, on real Kafka and real Redis."""
import argparse
import datetime
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.lab.kafka import Kafka
from tests.lab.process import BUILD
from tests.lab.redis_server import RedisServer


def run(command):
    """(wall seconds, user+system seconds, peak RSS in MiB, stdout, stderr) of a command."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.monotonic()
        child = subprocess.Popen(command, stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        texts = out.read(), err.read()
    if child.returncode:
        sys.exit(f"{command[0]} ended with {child.returncode}:\n{texts[1][-3000:]}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, *texts


def log_seconds(text, pattern):
    stamp = next(line.split()[0] for line in text.splitlines() if re.search(pattern, line))
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def cpu_of(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--events", type=int, default=10_000_000)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--spread", action="store_true", help="effective dates all over six years, the worst case")
    options.add_argument("--flags", nargs="*", default=[], help="more flags for the consumer")
    options = options.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="citytotals-bench-"))
    kafka, redis = Kafka(directory / "kafka", heap="512m"), None
    events, city = options.events, "bench"
    try:
        kafka.start()
        kafka.create_city(city, 4)
        print(f"writing {events:,} headcount events to real Kafka …", flush=True)
        print(run([str(BUILD / "tests/bench/bench-fill"), kafka.bootstrap, city, str(events),
                   *["spread"] * options.spread])[3].strip())
        ratios = []
        for number in range(options.runs):
            count_seconds = {}
            for kind in ("count", "keep"):
                wall, cpu, memory, out, _ = run([str(BUILD / "tests/bench/bench-count"), kafka.bootstrap,
                                                 f"{city}.headcount-changes", str(events), *["keep"] * (kind == "keep")])
                count_seconds[kind] = float(out.split()[1])
                print(f"run {number + 1}: {kind:5} {events / count_seconds[kind] / 1e6:6.2f} M/s   CPU {cpu * 1e9 / events:5.0f} "
                      f"ns/event   peak RSS {memory:6.1f} MiB   wall {wall:.2f} s")
            redis = RedisServer(directory / f"redis-{number}").start()
            redis_cpu, redis_pid = cpu_of(redis.process.pid), redis.process.pid
            wall, cpu, memory, _, log = run([str(BUILD / "consumer/citytotals-consumer"), "run", "-b", kafka.bootstrap, "--city",
                                             city, "--redis", redis.url, "--until-end", *options.flags])
            redis_cpu = cpu_of(redis_pid) - redis_cpu
            fold_seconds = log_seconds(log, "stopped;") - log_seconds(log, "assigned")
            stored = redis.client.hgetall(f"{{{city}}}:totals")
            if int(stored["events"]) != events:
                sys.exit(f"the fold counted {stored['events']} events, not {events}:\n{log}")
            version = int(stored["version"])
            bound = 64 + 24 * events / 2**20
            ratios.append({kind: seconds / fold_seconds for kind, seconds in count_seconds.items()})
            print(f"run {number + 1}: fold  {events / fold_seconds / 1e6:6.2f} M/s   CPU {cpu * 1e9 / events:5.0f} ns/event   "
                  f"peak RSS {memory:6.1f} MiB (bound {bound:.0f})   wall {wall:.2f} s   Redis CPU "
                  f"{redis_cpu * 1e9 / events:.0f} ns/event   {events / version:.0f} events/commit   ratio {ratios[-1]['count']:.2f}",
                  flush=True)
            redis.stop()
            shutil.rmtree(redis.directory, ignore_errors=True)
            redis = None
        for kind, what in (("count", "a counting consumer"), ("keep", "one that keeps its memory as the fold does")):
            sorted_ratios = sorted(ratio[kind] for ratio in ratios)
            print(f"ratio to {what}: median {sorted_ratios[len(ratios) // 2]:.2f}, of {', '.join(f'{r:.2f}' for r in sorted_ratios)}")
    finally:
        if redis:
            redis.stop()
        kafka.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
