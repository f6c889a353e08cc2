"""Peers that vanish: their machine lost power or its network, so neither FIN nor RST tells of it. Needs no rights."""
import array
import contextlib
import ctypes
import fcntl
import socket
import struct
import termios

from tests.lab.process import wait_until

SO_ATTACH_FILTER = 26
DROP_ALL = 0x06  # BPF_RET | BPF_K: 0 bytes of each packet are kept


def _unsent(peer):
    left = array.array("i", [0])
    fcntl.ioctl(peer, termios.TIOCOUTQ, left)
    return left[0]


def vanish(peer):
    """From now on the peer's kernel drops all that comes to it, so it neither acknowledges nor resets; it has nothing to send."""
    wait_until("what the peer sent has arrived", lambda: _unsent(peer) == 0, 30)
    instruction = ctypes.create_string_buffer(struct.pack("HBBI", DROP_ALL, 0, 0, 0))
    peer.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(instruction)))


@contextlib.contextmanager
def peers(address, count):
    """Connections with little room for what comes. Their end is a reset, which leaves nothing in the kernel."""
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            peer = stack.enter_context(socket.socket())
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.settimeout(60)
            peer.connect(address)
            made.append(peer)
        yield made
