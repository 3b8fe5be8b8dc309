"""What is answered without ASGI: the same bytes as through ASGI, and one request after the other on a connection."""

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

    from keystead.testing.messages_api import MessagesApi

FORM = "content-type: application/x-www-form-urlencoded"
WHO = "client_id=nobody&client_secret=x"


def post(*lines: str, path: str = "/oauth/token", body: str = "", version: str = "1.1") -> bytes:
    own = [] if any(line.lower().startswith(("content-length", "transfer-")) for line in lines) else [_length(body)]
    host = [] if any(line.startswith("host") for line in lines) else ["host: 127.0.0.1"]
    head = "\r\n".join([f"POST {path} HTTP/{version}", *host, *lines, *own, "", ""])
    return (head + body).encode("latin-1")


def _length(body: str) -> str:
    return f"content-length: {len(body)}"


NOBODY = post(FORM, body=f"grant_type=client_credentials&{WHO}")
UNKNOWN = post(FORM, body="grant_type=refresh_token&refresh_token=x")
REQUESTS: dict[str, list[bytes]] = {
    "a client that nobody knows": [NOBODY],
    "a token that is none": [UNKNOWN],
    "no body": [post(FORM)],
    "JSON": [post("content-type: application/json", body='{"grant_type": "magic"}')],
    "another media type": [post("content-type: text/plain", body="x")],
    "the vendor's path": [post(FORM, path="/v1/oauth/token", body="grant_type=magic")],
    "introspection": [post(FORM, path="/oauth/introspect", body="token=x")],
    "revocation": [post(FORM, path="/oauth/revoke", body="token=x")],
    "a query": [post(FORM, path="/oauth/token?x=1", body="grant_type=magic")],
    "an absolute address": [post(FORM, path="http://127.0.0.1/oauth/token", body="grant_type=magic")],
    "a signed request": [post(FORM, "dpop: x", body="grant_type=magic")],
    "a proof twice": [post(FORM, "dpop: x", "dpop: y", body="grant_type=magic")],
    "two lengths": [post(FORM, "content-length: 3", "content-length: 4", body="abcd")],
    "a length that is no number": [post(FORM, "content-length: x", body="abcd")],
    "too large": [post(FORM, body="x" * 32_769)],
    "chunks": [post(FORM, "transfer-encoding: chunked", body="3\r\nx=1\r\n0\r\n\r\n")],
    "chunks and a length": [
        post(FORM, "transfer-encoding: chunked", "content-length: 3", body="3\r\nx=1\r\n0\r\n\r\n")
    ],
    "compressed": [post(FORM, "content-encoding: gzip", body="x=1")],
    "an upgrade": [post(FORM, "connection: upgrade", "upgrade: h2c", body="grant_type=magic")],
    "expecting to go on": [post(FORM, "expect: 100-continue", body="grant_type=magic")],
    "another host": [post(FORM, "host: evil.example", body="grant_type=magic")],
    "two hosts": [post(FORM, "host: 127.0.0.1", "host: evil.example", body="grant_type=magic")],
    "no host": [b"POST /oauth/token HTTP/1.1\r\ncontent-length: 0\r\n\r\n"],
    "the end of the connection": [post(FORM, "connection: close", body="grant_type=magic")],
    "an old client": [post(FORM, version="1.0", body="grant_type=magic")],
    "GET": [b"GET /oauth/token HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"],
    "HEAD": [b"HEAD /oauth/token HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"],
    "OPTIONS": [b"OPTIONS /oauth/token HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"],
    "PUT": [b"PUT /oauth/token HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1\r\n\r\nx"],
    "bytes that are no request": [b"POST /oauth/token\r\n\r\n"],
    "a header that is malformed": [b"POST /oauth/token HTTP/1.1\r\nhost: 127.0.0.1\r\nx y: z\r\n\r\n"],
    "many headers": [post(FORM, *(f"x-{number}: y" for number in range(200)), body="grant_type=magic")],
    "a large head": [post(FORM, "x: " + "y" * 70_000, body="grant_type=magic")],
    "empty lines before it": [b"\r\n\r\n" + NOBODY],
    "in two pieces": [NOBODY[:40], NOBODY[40:]],
    "its body apart": [NOBODY[:-10], NOBODY[-10:]],
    "two in one piece": [NOBODY + UNKNOWN],
    "one and a half in one piece": [NOBODY + UNKNOWN[:50], UNKNOWN[50:]],
    "after another page": [b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n" + NOBODY],
}


QUICK = {
    *("a client that nobody knows", "a token that is none", "no body", "JSON", "another media type"),
    *("the vendor's path", "introspection", "revocation", "a signed request"),
}
"""What does not become ASGI."""


@contextlib.contextmanager
def answering(api: "MessagesApi") -> Iterator[tuple["Running", "Running", list[bool]]]:
    """Run the server's protocol twice before the direct way, one without the quick one; Django's stack is left out."""
    from direct_way import nobody
    from tests.contract.upstreams.conftest import serving

    from keystead.server.client_address import Proxies
    from keystead.server.site.direct import Direct
    from keystead.server.site.lanes import Lanes

    lanes, asked = Lanes(1, together=True), list[bool]()
    direct = Direct(nobody, lanes, Proxies())

    def quick(*request: Any) -> Any:
        found = direct.quick(*request)
        asked.append(found is not None)
        return found

    try:
        with serving(api, otherwise=direct) as ordinary, serving(api, otherwise=direct, quick=quick) as running:
            yield ordinary, running, asked
    finally:
        lanes.close()


def heard(running: "Running", pieces: list[bytes]) -> bytes:
    """Return all that comes back on one connection, less what is of the moment; each piece is a segment of its own."""
    with running.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw = b""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                connection.sendall(piece)
                until_it_arrived(running)
            connection.sendall(BYE)
            while data := connection.recv(65_536):
                raw += data
    raw = re.sub(rb"(?mi)^(date|x-request-id): [^\r]*\r\n", b"", raw)
    return re.sub(rb"req_[0-9a-f]{32}", b"req_", raw)


BYE = b"GET /bye HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"


def until_it_arrived(running: "Running") -> None:
    """Ask on another connection of the same event loop, which reads what was sent before in the same round."""
    for _ in range(2):
        assert running.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").status == 200


def test_both_ways_say_the_same_bytes(database: Path, api: "MessagesApi") -> None:
    with answering(api) as (ordinary, running, asked):
        quick = set()
        for name, pieces in REQUESTS.items():
            asked.clear()
            expected, got = heard(ordinary, pieces), heard(running, pieces)
            assert (name, got) == (name, expected)
            assert got.startswith(b"HTTP/1.1 "), name
            quick |= {name} if True in asked else set()
    assert quick == QUICK


class Held:
    """What answers quickly, when the test says so."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.arrived = threading.Semaphore(0)
        self._tell: list[Callable[[], object]] = []

    def __call__(self, target: bytes, _headers: Any, _peer: Any, _size: int) -> Any:
        return self._ask if target == b"/oauth/token" else None

    def _ask(self, body: bytes, tell: Callable[[Any], None]) -> None:
        from keystead.server.gateway.ports import Answered

        loop, answer = asyncio.get_running_loop(), Answered(200, b"content-length: %d\r\n" % len(body), body)
        self._tell.append(lambda: loop.call_soon_threadsafe(tell, answer))
        self.asked.append(body)
        self.arrived.release()

    def answer(self) -> None:
        self._tell.pop(0)()


@pytest.fixture
def held() -> Held:
    return Held()


def test_a_second_request_waits_for_the_first_ones_answer(serve: Callable[..., "Running"], held: Held) -> None:
    running = serve(quick=held)
    with running.connect() as connection:
        connection.sendall(post(body="first"))
        assert held.arrived.acquire(timeout=60)
        connection.sendall(post(body="second"))
        until_it_arrived(running)
        assert held.asked == [b"first"]
        held.answer()
        assert running.read(connection).body == b"first"
        assert held.arrived.acquire(timeout=60)
        held.answer()
        assert running.read(connection).body == b"second"


def test_whoever_has_gone_is_not_answered_and_nobody_else_suffers(serve: Callable[..., "Running"], held: Held) -> None:
    running = serve(quick=held)
    with running.connect() as connection:
        connection.sendall(post(body="first"))
        assert held.arrived.acquire(timeout=60)
    until_it_arrived(running)
    held.answer()
    with running.connect() as connection:
        connection.sendall(post(body="second"))
        assert held.arrived.acquire(timeout=60)
        held.answer()
        assert running.read(connection).body == b"second"


def test_an_answer_under_way_is_finished_when_the_server_ends(serve: Callable[..., "Running"], held: Held) -> None:
    running = serve(quick=held)
    with running.connect() as connection, running.connect() as idle:
        connection.sendall(post(body="first"))
        assert held.arrived.acquire(timeout=60)
        running.server.end()
        assert idle.recv(1) == b"", "the server ends"
        held.answer()
        answer = running.read(connection)
        assert (answer.body, answer.headers["connection"]) == (b"first", "close")
        assert connection.recv(1) == b""


@pytest.mark.parametrize(("trusted", "address"), [("10.0.0.0/8", "127.0.0.1"), ("127.0.0.1", "192.0.2.7")])
def test_the_address_is_the_clients_behind_a_proxy_that_is_trusted(database: Path, trusted: str, address: str) -> None:
    from ipaddress import ip_network

    from direct_way import nobody

    from keystead.server.client_address import Proxies
    from keystead.server.site.direct import Direct

    asked: list[Any] = []

    class Noting:
        def ask(self, _endpoint: Any, request: Any, _tell: Any) -> None:
            asked.append(request)

    direct: Any = Direct(nobody, Noting(), Proxies((ip_network(trusted),)))  # type: ignore[arg-type]
    headers = [(b"host", b"127.0.0.1"), (b"content-length", b"3"), (b"x-forwarded-for", b"192.0.2.7")]
    direct.quick(b"/oauth/token", headers, "127.0.0.1", 3)(b"x=1", lambda _: None)
    assert [(one.address, one.path, one.body) for one in asked] == [(address, "/oauth/token", b"x=1")]
