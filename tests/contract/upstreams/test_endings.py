"""How a connection with a client ends: no answer is lost, and the other side is not surprised."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from keystead.server.gateway import Limits

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running


def test_refusal_cuts_nobody_off_who_sends_before_they_read(running: "Running") -> None:
    """nginx, asked not to collect requests, says 502 when its sending meets a reset, whatever was answered."""
    with running.connect() as connection:
        connection.sendall(running.head(length=100_000_000, key="ksk_no"))
        for _ in range(32):
            connection.sendall(b"x" * 65_536)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 401")


def test_connection_that_is_idle_after_a_page_is_kept_as_long_as_any(serve: Callable[..., "Running"]) -> None:
    """uvicorn's own 5 seconds are less than a proxy waits, whose next request would meet the end."""
    running = serve(Limits(keep_alive_seconds=1.0))
    with running.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert running.read(connection).status == 200
        connection.settimeout(4)
        assert connection.recv(1) == b""
