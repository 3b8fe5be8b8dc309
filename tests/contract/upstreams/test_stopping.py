"""A server that is told to stop loses no request that somebody has sent already."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from tests.contract.upstreams.conftest import question

from keystead.server.gateway import Limits

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

ASKED = question()


@pytest.mark.parametrize("kind", ["messages", "messages again", "another page", "half a request"])
def test_what_is_on_its_way_when_the_server_stops_is_answered(running: "Running", kind: str) -> None:
    """A proxy keeps connections and may send on one in the moment of the signal; it may not send a POST twice."""
    page = b"GET /healthz HTTP/1.1\r\nhost: gateway\r\n\r\n"
    asked = page if kind == "another page" else running.head(length=len(ASKED)) + ASKED
    half = len(asked) // 2 if kind == "half a request" else 0
    with running.connect() as connection:
        for _ in range(2 if kind == "messages again" else 1):
            connection.sendall(asked)
            assert "connection" not in running.read(connection).headers
        connection.sendall(asked[:half])
        _tell_to_leave(running)
        connection.sendall(asked[half:])
        answer = running.read(connection)
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert connection.recv(1) == b""


def test_idle_connections_end_soon_when_the_server_stops(serve: Callable[..., "Running"]) -> None:
    running = serve(Limits(farewell_seconds=0, sweep_seconds=0.01))
    with running.connect() as fresh, running.connect() as used:
        used.sendall(running.head(length=len(ASKED)) + ASKED)
        assert running.read(used).status == 200
        fresh.sendall(b"GET /healthz HTTP/1.1\r\nhost: gateway\r\n\r\n")
        assert running.read(fresh).status == 200
        _tell_to_leave(running)
        assert (fresh.recv(1), used.recv(1)) == (b"", b"")


def _tell_to_leave(running: "Running") -> None:
    """Do to the gateway's connections what uvicorn does when it is told to stop; returns when that is done."""
    told = threading.Event()

    def tell() -> None:
        for connection in connections:
            connection.shutdown()
        told.set()

    connections = list(running.gateway._connections)
    connections[0].loop.call_soon_threadsafe(tell)
    assert told.wait(60)
