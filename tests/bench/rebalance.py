"""./dev bench rebalance: for how long a partition's folding stands still when consumers restart, die, come and go, with dynamic and
with static membership of the group, on real Kafka and Redis."""
import argparse
import pathlib
import shutil
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.lab import events as e
from tests.lab.city import City
from tests.lab.kafka import Kafka
from tests.lab.process import BUILD, Process, wait_until
from tests.lab.redis_server import RedisServer

PARTITIONS, PER_SECOND = 8, 50  # of each partition
MODES = {"dynamic": {}, "dynamic-quick": {"session.timeout.ms": 10000, "heartbeat.interval.ms": 500},
         "static": {"group.instance.id": None}, "static-quick": {"group.instance.id": None, "session.timeout.ms": 10000, "heartbeat.interval.ms": 500}}
STORIES = {}


def story(function):
    STORIES[function.__name__.replace("_", "-")] = function
    return function


class Feed:
    """The same number of events into every partition, and a watch of the stored offsets: when did each last move?"""

    def __init__(self, city):
        self.city, self.stop, self.threads = city, threading.Event(), []
        self.moved, self.seen, self.worst, self.lock = {}, {}, {}, threading.Lock()
        for run in (self.write, self.watch):
            self.threads.append(threading.Thread(target=run, daemon=True))
            self.threads[-1].start()

    def write(self):
        began, count = time.monotonic(), 0
        while not self.stop.is_set():
            for partition in range(PARTITIONS):
                event = e.headcount(f"{self.city.name}-{count}-{partition}", f"agency-{partition}", 1)
                self.city.given_value(event["type"], e.wire(event), e.key(event), partition)
            self.city.producer.poll(0)
            count += 1
            self.stop.wait(max(0.0, count / PER_SECOND - (time.monotonic() - began)))

    def watch(self):
        while not self.stop.is_set():
            offsets = self.city.redis.client.hgetall(self.city.key("offsets"))
            now = time.monotonic()
            with self.lock:
                for place, offset in offsets.items():
                    if self.seen.get(place) != offset:
                        self.worst[place] = max(self.worst.get(place, 0), now - self.moved.get(place, now))
                        self.seen[place], self.moved[place] = offset, now
            self.stop.wait(0.005)

    def begin(self):
        with self.lock:
            self.worst = {}
        return time.monotonic()

    def moving_since(self, moment):
        with self.lock:
            return len(self.moved) == PARTITIONS and min(self.moved.values()) > moment

    def settle(self, seconds=120):
        """Until every partition has moved in each of four seconds on end."""
        for _ in range(4):
            time.sleep(1)
            moment = time.monotonic()
            wait_until("every partition moves", lambda: self.moving_since(moment), seconds)

    def pauses(self):
        with self.lock:
            return sorted(self.worst.values())

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(30)


class Group:
    def __init__(self, city, directory, settings):
        self.city, self.directory, self.settings, self.started, self.members = city, directory, settings, 0, {}

    def start(self, name):
        self.started += 1
        flags = []
        for key, value in self.settings.items():
            flags += ["-X", f"{key}={name if key == 'group.instance.id' else value}"]
        process = Process(f"{name}-{self.started}", [BUILD / "consumer/citytotals-consumer", "run", "-b", self.city.kafka.bootstrap, "--city", self.city.name,
                                                     "--redis", self.city.redis.url, *flags], self.directory)
        self.members[name] = process
        return process

    def stop_all(self):
        for process in self.members.values():
            process.kill()


@story
def restart(group):
    """SIGTERM, and the same one again once it has ended: a rolling update of a StatefulSet."""
    group.members["c0"].stop()
    group.start("c0")


@story
def move(group):
    """SIGTERM, and the same one again three seconds later, as long as a pod takes to come up on another node."""
    group.members["c0"].stop()
    time.sleep(3)
    group.start("c0")


@story
def surge(group):
    """Another one first, then SIGTERM: a rolling update of a Deployment."""
    group.start("c9").wait_for_log("assigned", 120)
    group.members.pop("c0").stop()


@story
def kill_and_restart(group):
    """SIGKILL, and the same one again: out of memory."""
    group.members["c0"].kill()
    group.start("c0")


@story
def kill(group):
    """SIGKILL, and nobody in its place: a node is lost."""
    group.members.pop("c0").kill()


@story
def scale_up(group):
    group.start("c3").wait_for_log("assigned", 120)


@story
def scale_down(group):
    group.members.pop("c2").stop()


def measure(kafka, redis, directory, mode, story_name, number):
    city = City(f"{mode}-{story_name}-{number}"[:32], kafka, redis, directory, PARTITIONS)
    group = Group(city, directory / city.name, MODES[mode])
    feed = Feed(city)
    try:
        for index in range(3):
            group.start(f"c{index}")
        for process in group.members.values():
            process.wait_for_log("assigned", 120)
        feed.settle()
        feed.begin()
        STORIES[story_name](group)
        feed.settle()
        return feed.pauses()
    finally:
        feed.end()
        group.stop_all()
        kafka.forget_city(city.name)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--mode", action="append", choices=MODES)
    options.add_argument("--story", action="append", choices=STORIES)
    options = options.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="citytotals-bench-"))
    kafka, redis = Kafka(directory / "kafka"), RedisServer(directory / "redis")
    try:
        kafka.start()
        redis.start()
        print(f"three consumers, {PARTITIONS} partitions, {PER_SECOND} events/s in each; seconds without folding, worst partition and median")
        for name in options.story or STORIES:
            for mode in options.mode or MODES:
                runs = [measure(kafka, redis, directory, mode, name, number) for number in range(options.runs)]
                worst = sorted(pauses[-1] for pauses in runs)
                median = sorted(pauses[len(pauses) // 2] for pauses in runs)
                paused = sorted(sum(pause > 0.3 for pause in pauses) for pauses in runs)
                print(f"{name:17} {mode:14} worst {worst[len(worst) // 2]:6.2f} (of {', '.join(f'{each:.2f}' for each in worst)})   "
                      f"median partition {median[len(median) // 2]:6.2f}   {paused[len(paused) // 2]} of {PARTITIONS} over 0.3 s", flush=True)
    finally:
        redis.stop()
        kafka.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
