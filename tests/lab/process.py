"""Processes that are started, watched and stopped by id, and free loopback ports."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CITYTOTALS_BUILD", ROOT / "build" / "dev"))


def free_ports(count):
    """Ports that nobody listens on now; all held at once so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_until(what, condition, seconds=60.0, alive=None):
    """Poll `condition` until it gives something true, which is returned; fail with `what` and its last value."""
    deadline, value = time.monotonic() + seconds, None
    while True:
        value = condition()
        if value:
            return value
        if alive:
            alive()
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain: {what() if callable(what) else what}; last seen: {value!r}")
        time.sleep(0.02)


class Process:
    """A child whose standard error goes to a file. Always stopped by its owner."""

    def __init__(self, name, command, directory, env=None, stdin=subprocess.DEVNULL, new_session=False):
        directory.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.sent = set()
        self.log_path = directory / f"{name}.err"
        self.out_path = directory / f"{name}.out"
        with open(self.log_path, "ab") as log, open(self.out_path, "ab") as out:
            self.popen = subprocess.Popen([str(part) for part in command], stdin=stdin, stdout=out, stderr=log,
                                          env={**os.environ, **(env or {})}, start_new_session=new_session)

    @property
    def pid(self):
        return self.popen.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def output(self):
        return self.out_path.read_text(errors="replace")

    def running(self):
        return self.popen.poll() is None

    def check_alive(self):
        if not self.running():
            raise AssertionError(f"{self.name} ended with {self.popen.returncode}:\n{self.log()[-4000:]}{self.output()[-2000:]}")

    def wait(self, seconds=60):
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {seconds} s:\n{self.log()[-4000:]}") from None

    def wait_for_log(self, pattern, seconds=60):
        return wait_until(lambda: f"{self.name} logs {pattern!r}; its log ends:\n{self.log()[-1500:]}",
                          lambda: re.search(pattern, self.log()), seconds, self.check_alive)

    def wait_until_stopped(self, seconds=30):
        """By SIGSTOP, which reaches one thread after the other: all of them."""
        def stopped():
            try:
                stats = [(task / "stat").read_text() for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir()]
            except (FileNotFoundError, ProcessLookupError):  # a thread that has just ended
                return False
            return all(stat.rsplit(")", 1)[1].split()[0] == "T" for stat in stats)
        wait_until(f"{self.name} stands still", stopped, seconds, self.check_alive)

    def signal(self, number):
        """Nothing when it has ended: its id may be another's by now."""
        if self.running():
            self.sent.add(number)
            self.popen.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.popen.wait()

    def stop(self, seconds=30):
        """SIGTERM, and wait for its exit status; a signal that nobody here sent it is a crash."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        status = self.wait(seconds)
        if status < 0 and -status not in self.sent:
            raise AssertionError(f"{self.name} was ended by {signal.Signals(-status).name}:\n{self.log()[-8000:]}")
        return status
