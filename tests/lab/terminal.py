"""A terminal of its own for a program under test."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios

from tests.lab.process import wait_until


class Terminal:
    """A program on a terminal of its own, with what it has drawn."""

    def __init__(self, command, rows=40, columns=100, **environment):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm-256color", **environment})
            if "NO_COLOR" not in environment:
                os.environ.pop("NO_COLOR", None)
            os.execv(command[0], [str(part) for part in command])
        self.resize(rows, columns)
        self.before = None

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds=0.05):
        while select.select([self.fd], [], [], seconds)[0]:
            try:
                part = os.read(self.fd, 65536)
            except OSError:  # it has ended
                return False
            if not part:
                return False
            self.seen += part
        return True

    def wait_for(self, what, seconds=60):
        def there():
            self.read()
            return what in self.seen if isinstance(what, bytes) else re.search(what, self.seen.decode(errors="replace"))
        try:
            return wait_until(f"the terminal shows {what!r}", there, seconds)
        except AssertionError:
            raise AssertionError(f"the terminal never showed {what!r}; its end: {self.seen[-1500:]!r}") from None

    def forget(self):
        self.read()
        self.seen = b""

    def type(self, text):
        os.write(self.fd, text)

    def wait(self, seconds=60):
        def ended():
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return (status,) if pid else None
        status = wait_until("the program on the terminal ends", ended, seconds)[0]
        self.read()
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)
