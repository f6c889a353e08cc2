"""A TCP proxy in front of Redis that, told to, cuts or holds the connection at a commit: before it, within it, or after it."""
import collections
import select
import socket
import threading

from tests.lab.process import wait_until

CUTS = ("cut_before", "cut_within", "cut_after")  # not done; half of it sent, so not done; done, but the reply is lost
COMMIT = b"citytotals_commit_"


class RedisProxy:
    """Each commit that comes takes the next step of the plan; without one it passes."""

    def __init__(self, redis):
        self.redis = redis
        self.plan = collections.deque()
        self.done = collections.Counter()
        self.answered = collections.Counter()
        self.held = threading.Event()
        self.resumed = threading.Event()
        self.closed = False
        self.cut_held = False
        self.connections = set()
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    # --- what a test says ---

    def next_commits(self, *steps):
        """From now on: cut_before, cut_within, cut_after, hold_before, hold_after, passed."""
        self.held.clear()
        self.resumed.clear()
        self.plan.extend(steps)

    def wait_for_plan(self, seconds=60, alive=None):
        total = sum(self.done.values()) + len(self.plan)
        wait_until(f"the proxy did {total} steps", lambda: not self.plan and sum(self.done.values()) >= total, seconds, alive)

    def wait_until_held(self, seconds=60, alive=None):
        wait_until("a commit is held", self.held.is_set, seconds, alive)

    def release(self):
        self.resumed.set()

    def cut(self):
        """Close the connection that is held."""
        self.cut_held = True
        self.resumed.set()

    def close(self):
        self.closed = True
        self.resumed.set()
        self.listener.close()
        with self.lock:
            for connection in self.connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    # --- how ---

    def _accept(self):
        while not self.closed:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self.redis.port), timeout=10)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        pair = {client, server}
        with self.lock:
            self.connections |= pair
        try:
            self._pass_on(client, server)
        except OSError:
            pass  # either side went away
        finally:
            with self.lock:
                self.connections -= pair
            client.close()
            server.close()

    def _hold(self):
        """True when it may go on."""
        self.cut_held = False
        self.held.set()
        self.resumed.wait()
        return not (self.closed or self.cut_held)

    def _pass_on(self, client, server):
        reply_step = asked = None
        while not self.closed:
            ready, _, _ = select.select([client, server], [], [])
            if client in ready:
                data = client.recv(1 << 20)
                if not data:
                    return
                if COMMIT in data[:128]:  # one request at a time: it begins a chunk
                    step = asked = self.plan.popleft() if self.plan else "passed"
                    if step in ("cut_after", "hold_after"):
                        reply_step = step
                    else:
                        if step == "cut_within":
                            server.sendall(data[:len(data) // 2])
                        goes_on = step == "passed" or (step == "hold_before" and self._hold())
                        self.done[step] += 1
                        if not goes_on:
                            return
                server.sendall(data)
            if server in ready:
                data = server.recv(1 << 20)
                if not data:
                    return
                if reply_step:
                    step, reply_step = reply_step, None
                    goes_on = step == "hold_after" and self._hold()
                    self.done[step] += 1
                    if not goes_on:
                        return
                self.answered[asked] += 1
                client.sendall(data)
