"""./dev bench repair: how fast verify and rebuild are, as ratios of time to a consumer that only counts, on real Kafka and Redis."""
import argparse
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.bench.fold import run
from tests.lab.kafka import Kafka
from tests.lab.process import BUILD
from tests.lab.redis_server import RedisServer


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--events", type=int, default=2_000_000)
    options.add_argument("--runs", type=int, default=3)
    options = options.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="citytotals-bench-"))
    kafka, redis, events, city = Kafka(directory / "kafka", heap="512m"), None, options.events, "bench"
    consumer = str(BUILD / "consumer/citytotals-consumer")
    try:
        kafka.start()
        kafka.create_city(city, 4)
        print(f"writing {events:,} headcount events to real Kafka …", flush=True)
        run([str(BUILD / "tests/bench/bench-fill"), kafka.bootstrap, city, str(events)])
        redis = RedisServer(directory / "redis").start()
        where = ["-b", kafka.bootstrap, "--city", city, "--redis", redis.url]
        run([consumer, "run", *where, "--until-end"])
        ratios = {"verify": [], "rebuild": []}
        for number in range(options.runs):
            count = run([str(BUILD / "tests/bench/bench-count"), kafka.bootstrap, f"{city}.headcount-changes", str(events)])[0]
            print(f"run {number + 1}: count    {count:6.2f} s", flush=True)
            for command, found in ratios.items():
                wall, cpu, memory, *_ = run([consumer, command, *where])
                found.append(wall / count)
                print(f"run {number + 1}: {command:8} {wall:6.2f} s   {events / wall / 1e6:5.2f} M/s   CPU {cpu * 1e9 / events:5.0f} ns/event   "
                      f"peak RSS {memory:6.1f} MiB   {wall / count:.2f} times the count", flush=True)
        for command, found in ratios.items():
            print(f"time of {command}/count: median {sorted(found)[len(found) // 2]:.2f}, of {', '.join(f'{r:.2f}' for r in found)}")
    finally:
        if redis:
            redis.stop()
        kafka.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
