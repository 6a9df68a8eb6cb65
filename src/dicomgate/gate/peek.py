"""Look at the first bytes of a connection and leave them where they are, for whoever reads the socket next."""

import socket


def peek(sock: socket.socket, most: int, known: int) -> bytes:
    """All that has arrived, up to `most` bytes; empty when the other side left with no more than the `known` ones.

    BlockingIOError when nothing has come. Before waiting for more, tell the kernel with `wake_beyond`: what is
    peeked at stays readable, and readiness would be reported again and again.
    """
    data = sock.recv(most, socket.MSG_PEEK)
    return data if len(data) > known else b""


def wake_beyond(sock: socket.socket, known: int) -> None:
    """Report readiness only once more than `known` bytes are there, or the end (SO_RCVLOWAT); 0 is the usual way."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, known + 1)
