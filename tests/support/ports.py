"""Ports for programs that are told theirs and bind it later."""

import itertools
import os
import socket
from typing import Final

_FIRST: Final = 20_000
_COUNT: Final = 10_000
"""Below those that systems give to whoever asks for any port: nothing else takes one before its program has it."""

_NEXT = itertools.count(os.getpid() * 97)  # processes that test at the same time begin in different places


def free_port() -> int:
    """Return a port of loopback that is free, and that this process returns only once."""
    for number in itertools.islice(_NEXT, _COUNT):
        port = _FIRST + number % _COUNT
        if is_free(port):
            return port
    raise AssertionError("no free port")


def is_free(port: int) -> bool:
    """Whether a program could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
