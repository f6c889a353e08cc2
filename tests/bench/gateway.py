"""./dev bench gateway: events a second over HTTP at batches of 1 and 100, beside a bare librdkafka producer, on real Kafka.

All three run with the broker on the same cores, against the same topic of 4 partitions. The bare producer (bench-fill) does what any
producer of these events must: it encodes each by the gateway's own encoder, gives it its agency as key, and ends when Kafka has
acknowledged all, with acks=all and idempotence, without compression, as the gateway; it may wait 50 ms to fill a batch, and only
counts its verdicts. It neither parses, checks, makes ids, nor speaks HTTP. The client (gateway-load) keeps one request on its way per connection.
A round before the first warms up the broker, whose Java is compiled while it runs; it does not count."""
import argparse
import os
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.bench.fold import cpu_of, run
from tests.lab.gateway import Gateway
from tests.lab.kafka import Kafka
from tests.lab.process import BUILD, Process


class Bench:
    """As much of a city as a gateway needs."""

    def __init__(self, kafka, directory):
        self.kafka, self.name, self.directory, self.processes = kafka, "bench", directory, []

    def program(self, name, binary, *arguments, env=None):
        self.processes.append(Process(name, [binary, *arguments], self.directory, env=env))
        return self.processes[-1]


def main():
    options = argparse.ArgumentParser(description=__doc__, epilog="Other flags are the gateway's.")
    options.add_argument("--events", type=int, default=2_000_000, help="at batches of 100; a tenth of them singly")
    options.add_argument("--connections", type=int, default=32)
    options.add_argument("--runs", type=int, default=3)
    options, flags = options.parse_known_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="citytotals-bench-"))
    kafka = Kafka(directory / "kafka", heap="512m", lasting=True)
    gateway, ratios, by_cpu = None, [], []
    try:
        kafka.start()
        kafka.create_city("bench", 4)
        gateway = Gateway(Bench(kafka, directory), *flags, redis_url="redis://127.0.0.1:1")
        for number in range(options.runs + 1):
            name = f"run {number}:" if number else "to warm up:"
            broker = cpu_of(kafka.process.pid)
            wall, cpu, _, _, _ = run([str(BUILD / "tests/bench/bench-fill"), kafka.bootstrap, "bench", str(options.events)])
            bare, bare_cpu = options.events / wall, cpu / options.events
            print(f"{name} bare producer  {bare:10,.0f} events/s   CPU {bare_cpu * 1e9:5.0f} ns/event "
                  f"(broker {(cpu_of(kafka.process.pid) - broker) * 1e9 / options.events:.0f})", flush=True)
            for batch, events in ((100, options.events), (1, options.events // 10)):
                before, broker = cpu_of(gateway.process.pid), cpu_of(kafka.process.pid)
                _, cpu, _, out, _ = run([str(BUILD / "tests/bench/gateway-load"), str(gateway.port), gateway.wide, str(options.connections),
                                         str(batch), str(events)])
                words = out.split()
                seconds, p50, p99 = float(words[0]), int(words[6]) / 1000, int(words[8]) / 1000
                used, broker = cpu_of(gateway.process.pid) - before, cpu_of(kafka.process.pid) - broker
                print(f"{name} batches of {batch:3} {events / seconds:10,.0f} events/s   CPU {used * 1e9 / events:5.0f} ns/event "
                      f"(client {cpu * 1e9 / events:.0f}, broker {broker * 1e9 / events:.0f})   p50 {p50:.1f} ms, p99 {p99:.1f} ms   peak RSS {gateway.peak_mib():.0f} MiB",
                      flush=True)
                if batch == 100 and number:
                    ratios.append(events / seconds / bare)
                    by_cpu.append(bare_cpu / (used / events))
        ratios.sort()
        print(f"ratio gateway/bare at batches of 100: median {ratios[len(ratios) // 2]:.2f}, of "
              f"{', '.join(f'{ratio:.2f}' for ratio in ratios)}; by CPU of the two programs {sorted(by_cpu)[len(by_cpu) // 2]:.2f}; {options.connections} connections, {os.cpu_count()} cores for all")
    finally:
        if gateway:
            gateway.process.stop()
        kafka.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
