"""Many connections at once: ten thousand that do nothing, and the bounds on them."""
import contextlib
import json
import os
import resource
import socket
import subprocess

import pytest

from tests.lab.gateway import MEMORY_MIB, PRODUCER, Gateway, event, new_token
from tests.lab.process import wait_until

HEAD = "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 11000:
        pytest.fail(f"this machine lets a process open {hard} files; ten thousand connections need 11,000")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 11000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(stack, gateway):
    return stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=60))


def test_ten_thousand_idle_connections(city, many_files):
    """Some never say anything, some stop within a request, some were answered and stay."""
    gateway = Gateway(city)
    body = json.dumps(event("kept")).encode()
    whole = (HEAD + f"Authorization: Bearer {gateway.token}\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body
    before = gateway.rss_mib()
    with contextlib.ExitStack() as stack:
        silent = [connect(stack, gateway) for _ in range(6000)]
        halted = [connect(stack, gateway) for _ in range(2000)]
        for connection in halted:
            connection.sendall(whole[:len(whole) // 2])
        kept = [connect(stack, gateway) for _ in range(2000)]
        for connection in kept:
            connection.sendall(whole)
        for connection in kept:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        wait_until("all are counted", lambda: gateway.metric("gateway_connections") >= 10000, 30)
        for i in range(20):
            assert gateway.post(event(f"between-{i}")).status == 200
        for connection in halted[::100]:  # who goes on is answered
            connection.sendall(whole[len(whole) // 2:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        for connection in (silent + kept)[::100]:
            connection.sendall(whole)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        assert gateway.rss_mib() <= MEMORY_MIB, f"{before} MiB before, {gateway.rss_mib()} MiB with them"
    wait_until("they are gone", lambda: gateway.metric("gateway_connections") <= 1, 30)
    assert gateway.post(event("after")).status == 200


def test_a_connection_too_many_waits_and_the_others_are_served(city):
    gateway = Gateway(city, "--connections", "50")
    request = HEAD + f"Authorization: Bearer {gateway.token}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
    with contextlib.ExitStack() as stack:
        first = gateway.connect()
        first.connect()
        idle = [connect(stack, gateway) for _ in range(49)]
        wait_until("all are counted", lambda: gateway.metric("gateway_connections") == 50, 30)
        late = connect(stack, gateway)
        late.sendall(request.encode())
        assert gateway.metric("gateway_connections") == 50
        idle[0].close()
        assert late.recv(65536).startswith(b"HTTP/1.1 422"), "there is room for it"
        assert gateway.post(event("a"), connection=first).status == 200
    wait_until("all are gone", lambda: gateway.metric("gateway_connections") == 0, 30)
    assert gateway.post(event("b")).status == 200


def run_with_files(soft, hard, *arguments):
    return subprocess.run(["prlimit", f"--nofile={soft}:{hard}", os.fspath(PRODUCER), "gateway", *map(os.fspath, arguments)],
                          capture_output=True, text=True, timeout=60)


def test_the_limit_of_open_files(city):
    """What the system grants is taken; what it does not grant is told at the start."""
    gateway = Gateway(city)
    with open(f"/proc/{gateway.process.pid}/limits") as limits:
        soft = next(line.split()[3] for line in limits if line.startswith("Max open files"))
    assert soft == "unlimited" or int(soft) > 12000
    tokens = city.directory / "more-tokens"
    tokens.write_text(new_token()[1] + "\n")
    done = run_with_files(256, 512, "-b", city.kafka.bootstrap, "--listen", "127.0.0.1:0", "--tokens", tokens)
    assert done.returncode == 2 and "connections is 12000" in done.stderr and "only 512 files; allowed: --connections 384" in done.stderr
