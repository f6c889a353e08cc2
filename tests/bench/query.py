"""./dev bench query: GET /v1/totals as a ratio to nginx serving the same bytes from a file, and ten thousand live streams."""
import argparse
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.lab.process import BUILD, Process, free_ports, wait_until
from tests.lab.redis_server import RedisServer
from tests.lab.web import Server

CITY = "bench"
NGINX = """worker_processes 1; daemon off; pid {0}/nginx.pid; error_log {0}/error.log;
events {{ worker_connections 4096; }}
http {{ access_log off; sendfile on; tcp_nopush on; open_file_cache max=16; keepalive_requests 1000000000; default_type application/json;
  client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi; uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
  server {{ listen 127.0.0.1:{1} backlog=4096; root {0}/root; }} }}
"""


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


def worker_of(pid):
    return int(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def load(url, pid, options, *headers):
    """(requests a second, CPU microseconds a request)"""
    before = cpu(pid)
    out = subprocess.run(["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s", *[f"-H{header}" for header in headers], url],
                         capture_output=True, text=True, check=True).stdout
    requests = int(re.search(r"(\d+) requests in", out).group(1))
    bad = re.search(r"(Non-2xx or 3xx responses|Socket errors).*", out)
    if bad:
        sys.exit(f"{url}: {bad.group(0)}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)), (cpu(pid) - before) * 1e6 / requests


def compare(options, server, nginx, port):
    own, other = f"http://127.0.0.1:{server.address[1]}/v1/totals", f"http://127.0.0.1:{port}/totals.json"
    pids, ratios, ratios_304 = (server.process.pid, worker_of(nginx.pid)), [], []
    etags = [urllib.request.urlopen(url).headers["ETag"] for url in (own, other)]
    for number in range(options.runs):
        for kind, headers, into in (("200", ((), ()), ratios), ("304", *([tuple((f"If-None-Match: {etag}",) for etag in etags)]), ratios_304)):
            theirs, their_cpu = load(other, pids[1], options, *headers[1])
            ours, our_cpu = load(own, pids[0], options, *headers[0])
            into.append(ours / theirs)
            print(f"run {number + 1}: {kind}  serve {ours:9,.0f}/s  CPU {our_cpu:5.1f} us  RSS {rss(pids[0]):5.1f} MiB   nginx {theirs:9,.0f}/s  "
                  f"CPU {their_cpu:5.1f} us  RSS {rss(pids[1]):5.1f} MiB   ratio {into[-1]:.2f}", flush=True)
    print(f"ratio serve/nginx: 200 median {statistics.median(ratios):.2f}, 304 median {statistics.median(ratios_304):.2f}")


def streams(options, server, redis):
    idle = options.streams // 100
    print(f"opening {options.streams:,} streams, {idle} of which never read …", flush=True)
    before = rss(server.process.pid)
    clients = subprocess.Popen([BUILD / "tests" / "bench" / "bench-streams", *map(str, server.address), str(options.streams), str(idle)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if clients.stdout.readline() != "ready\n":
            sys.exit("the streams could not be opened")
        spreads, began = [], cpu(server.process.pid)
        for _ in range(options.updates):
            clients.stdin.write("next\n")
            clients.stdin.flush()
            redis.client.hincrby(f"{{{CITY}}}:totals", "headcount_current", -1)
            redis.client.hincrby(f"{{{CITY}}}:totals", "version", 1)
            spreads.append(float(clients.stdout.readline()))
        used = (cpu(server.process.pid) - began) * 1e6 / options.updates / options.streams
        memory = rss(server.process.pid)
        print(f"streams: last after first, ms: median {statistics.median(spreads):.0f}, most {max(spreads):.0f}   CPU {used:.1f} us a message   "
              f"RSS {memory:.1f} MiB, {(memory - before) * 1024 / options.streams:.1f} KiB a stream")
    finally:
        clients.kill()
        clients.wait()


def latency(options, directory, redis):
    """From a producer's send to an open stream, beside a bare consumer of the same topic, on real Kafka."""
    import confluent_kafka

    from tests.lab import events as e
    from tests.lab.kafka import Kafka
    kafka, processes, seen, ended = Kafka(directory / "kafka", heap="512m"), [], {"bare": {}, "stream": {}}, threading.Event()
    city = "latency"
    try:
        kafka.start()
        kafka.create_city(city, 4)
        processes.append(Process("consumer", [BUILD / "consumer" / "citytotals-consumer", "run", "-b", kafka.bootstrap, "--city", city,
                                              "--redis", redis.url], directory))
        server = Server(city, redis, directory / "latency")
        processes.append(server.process)
        processes[0].wait_for_log("assigned")
        wait_until("it answers", lambda: server.ask("/v1/totals").status == 200, 60)
        stream = server.stream()
        bare = confluent_kafka.Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "bare", "auto.offset.reset": "earliest",
                                         "fetch.wait.max.ms": 10})
        bare.subscribe([f"{city}.headcount-changes"])

        def take_bare():
            while not ended.is_set():
                if (message := bare.poll(0.1)) and not message.error():
                    seen["bare"][len(seen["bare"]) + 1] = time.monotonic()

        def take_stream():
            while not ended.is_set():
                try:
                    event, data, _ = stream.next(1)
                except TimeoutError:
                    continue
                if event == "totals" and data["events"]:
                    seen["stream"].setdefault(data["events"], time.monotonic())
        threads = [threading.Thread(target=take) for take in (take_bare, take_stream)]
        for thread in threads:
            thread.start()
        producer, sent = kafka.producer(), {}
        for number in range(1, options.latencies + 21):
            sent[number] = time.monotonic()
            producer.produce(f"{city}.headcount-changes", e.wire(e.headcount(str(number), "hong-bang", 1)), b"hong-bang")
            producer.flush()
            wait_until("both have it", lambda: all(number in each for each in seen.values()), 60)
            time.sleep(0.15)  # so that the limit of updates a second holds none back
        ended.set()
        for thread in threads:
            thread.join()
        bare.close()
        late = {who: sorted((at[number] - sent[number]) * 1000 for number in range(21, options.latencies + 21)) for who, at in seen.items()}
        p99 = {who: each[len(each) * 99 // 100] for who, each in late.items()}
        for who, each in late.items():
            print(f"latency: {who:6} p50 {statistics.median(each):6.1f} ms   p99 {p99[who]:6.1f} ms")
        print(f"ratio stream/bare: p50 {statistics.median(late['stream']) / statistics.median(late['bare']):.2f}, p99 {p99['stream'] / p99['bare']:.2f}")
    finally:
        ended.set()
        for process in processes:
            process.stop(60)
        kafka.stop()


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=int, default=5, help="of each load")
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--connections", type=int, default=50)
    options.add_argument("--streams", type=int, default=10_000)
    options.add_argument("--updates", type=int, default=10)
    options.add_argument("--latencies", type=int, default=200, help="events sent one by one; 0 leaves this part out")
    options = options.parse_args()
    for tool in ("wrk", "nginx"):
        if not shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin"):
            sys.exit(f"{tool} is not installed: apt-get install wrk nginx-light")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="citytotals-bench-"))
    os.chmod(directory, 0o755)
    redis = RedisServer(directory / "redis").start()
    server = nginx = None
    try:
        redis.client.hset(f"{{{CITY}}}:meta", "epoch", "1")
        redis.client.hset(f"{{{CITY}}}:totals", mapping={"version": 1, "headcount_baseline": 10000, "headcount_current": 9575})
        server = Server(CITY, redis, directory, "--streams", str(options.streams + 100))
        wait_until("it answers", lambda: server.ask("/v1/totals").status == 200, 60)
        (directory / "root").mkdir()
        (directory / "root" / "totals.json").write_bytes(server.ask("/v1/totals").body)
        port = free_ports(1)[0]
        (directory / "nginx.conf").write_text(NGINX.format(directory, port))
        nginx = Process("nginx", [shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"), "-c", directory / "nginx.conf", "-e",
                                  directory / "error.log"], directory)

        def answers():
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/totals.json").status == 200
            except OSError:
                return False
        wait_until("nginx answers", answers, 30, nginx.check_alive)
        compare(options, server, nginx, port)
        streams(options, server, redis)
        if options.latencies:
            latency(options, directory, redis)
    finally:
        for process in (nginx, server and server.process):
            if process:
                process.stop(60)
        redis.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
