#!/usr/bin/env python3
"""./dev chaos: random faults on one city for as long as wanted; at the end of each round its totals must be exact."""
import argparse
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.lab.city import City
from tests.lab.kafka import Kafka
from tests.lab.proxy import CUTS, RedisProxy
from tests.lab.redis_server import RedisServer
from tests.lab.traffic import Traffic, seed_of_run

CONSUMERS_MOST = 3
BATCHES = (7, 60, 500, 10000)


class Chaos:
    """One city, some consumers, and faults by a seed."""

    def __init__(self, city, kafka, redis, proxy, seed):
        self.city, self.kafka, self.redis, self.proxy, self.seed = city, kafka, redis, proxy, seed
        self.random = random.Random(seed)
        self.consumers, self.asleep, self.counts, self.sizes = [], [], {}, []

    # --- faults: each says whether it could happen ---

    def start_consumer(self):
        if len(self.consumers) < CONSUMERS_MOST:
            url = self.proxy.url if self.random.random() < 0.5 else self.redis.url
            self.consumers.append(self.city.consumer("--batch-events", str(self.random.choice(BATCHES)), redis_url=url))

    def take_consumer(self):
        return self.consumers.pop(self.random.randrange(len(self.consumers))) if self.consumers else None

    def kill_consumer(self):
        if consumer := self.take_consumer():
            consumer.kill()

    def stop_consumer(self):
        if consumer := self.take_consumer():
            self.stop(consumer)

    @staticmethod
    def stop(consumer):
        consumer.wait_for_log(" folding ", 120)  # before it has begun a signal just ends it
        assert consumer.stop(60) == 0, f"{consumer.name} did not stop well:\n{consumer.log()[-4000:]}"

    def put_to_sleep(self):
        if consumer := self.take_consumer():
            consumer.signal(signal.SIGSTOP)
            self.asleep.append(consumer)

    def wake(self):
        for consumer in self.asleep:
            consumer.signal(signal.SIGCONT)
        self.consumers += self.asleep
        self.asleep = []

    def cut_connection(self):
        self.proxy.next_commits(*(self.random.choice(CUTS) for _ in range(self.random.randint(1, 4))))

    def kill_redis(self):
        self.redis.kill()
        self.redis.start()

    def lose_the_tail(self):
        size = self.random.choice(self.sizes)
        self.redis.kill()
        self.redis.cut_back(size)
        self.redis.start()
        self.sizes = [self.redis.append_only_size()]

    def lose_everything(self):
        self.redis.kill()
        self.redis.wipe()
        self.redis.start()
        self.sizes = [self.redis.append_only_size()]

    def flush_all(self):
        self.redis.client.flushall()

    def flush_functions(self):
        self.redis.client.execute_command("FUNCTION", "FLUSH")

    def kill_kafka(self):
        self.kafka.kill()
        self.kafka.start()

    FAULTS = {start_consumer: 30, kill_consumer: 20, stop_consumer: 8, put_to_sleep: 8, wake: 16, cut_connection: 20,
              kill_redis: 6, lose_the_tail: 6, lose_everything: 1, flush_all: 2, flush_functions: 2, kill_kafka: 1}

    # --- rounds ---

    def round(self, faults):
        """So many faults under load, then quiet: what is there must be exact. The recomputation."""
        with Traffic(self.city, self.random.randrange(1 << 31), per_second=1000):
            for _ in range(faults):
                if not self.consumers:
                    self.start_consumer()
                self.sizes.append(self.redis.append_only_size())
                fault, = self.random.choices(list(self.FAULTS), list(self.FAULTS.values()))
                self.counts[fault.__name__] = self.counts.get(fault.__name__, 0) + 1
                fault(self)
                if self.consumers and self.random.random() < 0.7:
                    self.city.wait_for_commits(self.random.randint(1, 5), 180)
            self.wake()
        self.proxy.plan.clear()
        if not self.consumers:
            self.start_consumer()
        self.city.wait_until_folded(180)
        for consumer in self.consumers:
            self.stop(consumer)
        self.consumers = []
        return self.city.expect_exact()


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--faults", type=int, default=40, help="faults in one round")
    options.add_argument("--seed", type=int, help="as a run before has printed it")
    options = options.parse_args()
    seed = seed_of_run() if options.seed is None else options.seed
    directory = pathlib.Path(tempfile.mkdtemp(prefix="citytotals-chaos-"))
    kafka, redis = Kafka(directory / "kafka"), RedisServer(directory / "redis")
    failed, city, proxy, number, end = True, None, None, 0, time.monotonic() + 60 * options.minutes
    try:
        kafka.start()
        redis.start()
        proxy = RedisProxy(redis)
        while number == 0 or time.monotonic() < end:
            number += 1
            # A city of its own for each round: what is recomputed stays small, and a round can be told from its seed.
            city = City(f"chaos-{number}", kafka, redis, directory / f"chaos-{number}")
            chaos = Chaos(city, kafka, redis, proxy, seed + number - 1)
            expected = chaos.round(options.faults)
            faults = ", ".join(f"{name} {count}" for name, count in sorted(chaos.counts.items()))
            print(f"round {number} (seed {seed + number - 1}): exact; {expected.totals['events']} events, "
                  f"{expected.duplicates} repeats, {expected.totals['dead_letters']} dead letters; {faults}", flush=True)
        failed = False
    finally:
        if failed:
            print(f"round {number} failed; repeat with ./dev chaos --faults {options.faults} --seed {seed + max(number, 1) - 1}; "
                  f"logs are in {directory}", file=sys.stderr)
        if city:
            city.stop()
        if proxy:
            proxy.close()
        redis.stop()
        kafka.stop()
        if not failed:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
