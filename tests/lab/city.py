"""A city under test, in domain verbs: events are given, consumers fold, everything may be killed, and totals are exact."""
import os
import urllib.request

from tests.lab import events as e
from tests.lab.kafka import flushed
from tests.lab.oracle import Expected, differences, letters_in_topic
from tests.lab.process import BUILD, Process, wait_until
from tests.lab.traffic import Traffic


class City:
    def __init__(self, name, kafka, redis, directory, partitions=4, create=True, **topic_settings):
        self.name, self.kafka, self.redis, self.directory, self.partitions = name, kafka, redis, directory, partitions
        self.processes = []
        if create:
            kafka.create_city(name, partitions, **topic_settings)
        self.producer = kafka.producer()

    def topic(self, type_):
        return f"{self.name}.{e.TYPES[type_]}"

    # --- what happens ---

    def given_value(self, type_, value, key=None, partition=-1, timestamp=0):
        arguments = {"partition": partition} if partition >= 0 else {}
        if timestamp:
            arguments["timestamp"] = timestamp
        while True:
            try:
                return self.producer.produce(self.topic(type_), value=value, key=key, **arguments)
            except BufferError:
                self.producer.poll(0.1)

    def given_events(self, *events, partition=-1, timestamp=0):
        """Written by a program that is not ours."""
        for event in events:
            self.given_value(event["type"], e.wire(event), e.key(event), partition, timestamp)
        flushed(self.producer)

    def traffic(self, seed, **options):
        """Records that keep coming while the block under `with` runs."""
        return Traffic(self, seed, **options)

    def program(self, name, binary, *arguments, env=None, **options):
        count = sum(process.name.startswith(name) for process in self.processes)
        process = Process(f"{name}-{count + 1}", [binary, *arguments], self.directory, env=env, **options)
        self.processes.append(process)
        return process

    def consumer_command(self, *flags, redis_url=None, binary=None):
        return [os.fspath(binary or BUILD / "consumer" / "citytotals-consumer"), "run", "-b", self.kafka.bootstrap, "--city",
                self.name, "--redis", redis_url or self.redis.url, "--connect-timeout", "30s", "-X",
                "session.timeout.ms=2000", "-X", "heartbeat.interval.ms=300", "-X", "reconnect.backoff.max.ms=500",
                *flags]

    def consumer(self, *flags, **options):
        return self.program("consumer", *self.consumer_command(*flags, **options))

    def fold(self, *flags, status=0, seconds=120, **options):
        """Run a consumer to the end of the log."""
        process = self.consumer("--until-end", *flags, **options)
        got = process.wait(seconds)
        assert got == status, f"the consumer ended with {got}, expected {status}:\n{process.log()[-4000:]}"
        return process

    def send(self, *arguments, status=0, seconds=120, data=None):
        import subprocess
        command = [os.fspath(BUILD / "producer" / "citytotals-producer"), "send", "-b", self.kafka.bootstrap, "--city",
                   self.name, *[os.fspath(argument) for argument in arguments]]
        done = subprocess.run(command, input=data, capture_output=True, text=True, timeout=seconds)
        assert done.returncode == status, f"send ended with {done.returncode}, expected {status}:\n{done.stderr[-4000:]}"
        return done

    def query_command(self, *arguments, redis_url=None):
        return [os.fspath(BUILD / "query" / "citytotals-query"), "print", "--city", self.name, "--redis",
                redis_url or self.redis.url, *arguments]

    def query(self, *arguments, status=0, seconds=60, redis_url=None, env=None):
        """Run a one-shot print to its end."""
        import subprocess
        done = subprocess.run(self.query_command(*arguments, redis_url=redis_url), capture_output=True, text=True,
                              timeout=seconds, env={**os.environ, **(env or {})})
        assert done.returncode == status, f"print ended with {done.returncode}, expected {status}:\n{done.stderr[-4000:]}"
        return done

    # --- what is seen ---

    def key(self, suffix):
        return f"{{{self.name}}}:{suffix}"

    def total(self, field):
        return self.redis.client.hget(self.key("totals"), field)

    def offset(self, type_, partition):
        return int(self.redis.client.hget(self.key("offsets"), f"{self.topic(type_)}/{partition}") or 0)

    def forget(self):
        """Delete the city's keys, as the sentences of the halts say."""
        keys = list(self.redis.client.scan_iter(self.key("*")))
        self.redis.client.delete(*keys)

    def version(self):
        return int(self.total("version") or 0)

    def wait_for_commits(self, count, seconds=60, alive=None):
        """Until the state has changed `count` times more; or has begun anew and changed so often."""
        last, passed = self.version(), 0

        def enough():
            nonlocal last, passed
            now = self.version()
            passed, last = passed + (now - last if now >= last else now), now
            return passed >= count
        wait_until(f"{count} commits more in {self.name}", enough, seconds, alive)

    def ends(self):
        return self.kafka.ends(*(self.topic(type_) for type_ in e.TYPES))

    def wait_until_folded(self, seconds=90, alive=None):
        ends = {name: str(end) for name, end in self.ends().items() if end}

        def behind():
            stored = self.redis.client.hgetall(self.key("offsets"))
            return {name: f"{stored.get(name)} of {end}" for name, end in ends.items() if stored.get(name) != end}
        try:
            wait_until(f"everything of {self.name} is folded", lambda: not behind(), seconds, alive)
        except AssertionError as failure:
            logs = "".join(f"\n--- {each.name} ends:\n{each.log()[-3000:]}" for each in self.processes if each.running())
            raise AssertionError(f"{failure}; behind: {behind()}{logs}") from None

    def expect_exact(self, registry=None, letter_schema_id=None):
        """Redis equals an independent recomputation from the log, and so do the dead letters."""
        expected = Expected(self.kafka.bootstrap, self.name, registry)
        found = differences(expected, self.redis.client)
        letters, _ = letters_in_topic(self.kafka.bootstrap, self.name, letter_schema_id)
        for letter in sorted(expected.letters - letters):
            found.append(f"no dead letter was written for {letter}")
        for letter in sorted(letters - expected.letters):
            found.append(f"a dead letter was written for {letter}")
        assert not found, "\n".join(found[:40])
        return expected

    def metrics(self, process):
        address = process.wait_for_log(r"listening management (\S+)").group(1)
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        values = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                values[name.removeprefix("citytotals_")] = int(float(value))
        return values

    def metric(self, process, name):
        return self.metrics(process).get(name, 0)

    def wait_for_metric(self, process, name, least, seconds=60):
        return wait_until(f"{name} of {process.name} is {least} or more", lambda: self.metric(process, name) >= least, seconds,
                          process.check_alive)

    def stop(self):
        for process in self.processes:
            if process.running():
                process.kill()
