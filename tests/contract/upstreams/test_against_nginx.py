"""What nginx refuses to pass on, we refuse too: each malformed request goes to both."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from edge import plain_nginx
from malformed import requests
from ports import free_port

from keystead.testing.messages_api import MessagesApi

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

CASES = requests("KEY")
PATIENCE = 0.5
"""Seconds for an answer to a request that may not be complete; then we say that no more of it comes."""
PASSED_ON = {502, 504}
"""What nginx answers when the upstream did not understand what nginx had passed on."""


@dataclass(frozen=True)
class Nginx:
    port: int
    api: MessagesApi

    def refuses(self, request: bytes) -> bool:
        before = len(self.api.requests)
        status = ask(self.port, [request])
        return (status == 0 or status >= 400) and status not in PASSED_ON and len(self.api.requests) == before


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    port = free_port()
    with (
        MessagesApi() as api,
        plain_nginx(tmp_path_factory.mktemp("nginx"), port, int(api.base_url.rpartition(":")[2])),
    ):
        yield Nginx(port, api)


def ask(port: int, pieces: list[bytes]) -> int:
    """Send pieces on a new connection; returns the status of the first answer, 0 for none."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
        with suppress(ConnectionError):
            connection.settimeout(PATIENCE)
            with suppress(TimeoutError):
                answer = connection.recv(65_536)
            if not answer:
                connection.settimeout(10)
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(65_536)
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0


def ours(running: "Running", case: str) -> bytes:
    return CASES[case].replace(b"KEY", running.key.encode())


@pytest.mark.parametrize("case", CASES)
def test_what_nginx_refuses_is_refused(running: "Running", nginx: Nginx, case: str) -> None:
    if not nginx.refuses(CASES[case]):
        return
    assert ask(running.port, [ours(running, case)]) in {0, *range(400, 500)}
    assert running.api.requests == []
    assert running.ledger.rows == []


def test_nginx_refuses_most_of_them(nginx: Nginx) -> None:
    """The comparison above compares something."""
    assert sum(nginx.refuses(request) for request in CASES.values()) > len(CASES) / 2
