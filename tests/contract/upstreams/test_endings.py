"""How a connection with a client ends: no answer is lost, and the other side is not surprised."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from keystead.server.gateway import Limits
from keystead.server.gateway.pages import Receive, Scope, Send

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


async def _page(_scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body, once it is whole; to whoever has gone, nothing."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        body, more = body + message["body"], message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def test_slow_body_for_a_page_ends_with_408(serve: Callable[..., "Running"]) -> None:
    running = serve(Limits(body_seconds=0.1, sweep_seconds=0.02), otherwise=_page)
    head = b"POST /page HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n"
    assert running.send(head + b"abc").body == b"abc"
    late = running.send(head + b"a")
    assert (late.status, late.headers["connection"]) == (408, "close")


@pytest.mark.parametrize(
    "rest", [b"5;" + b"a" * 400_000, b"0\r\n" + b"x: y\r\n" * 100_000], ids=["an endless extension", "endless trailers"]
)
def test_framing_without_end_is_refused_before_it_is_kept(running: "Running", rest: bytes) -> None:
    with running.connect() as connection:
        connection.sendall(running.head("transfer-encoding: chunked") + rest)
        answer = running.read(connection)
    assert answer.status == 400
    assert "framing" in answer.error["message"]
    assert running.api.requests == []


def test_chunks_of_a_byte_each_are_taken(running: "Running") -> None:
    question = {"role": "user", "content": "x" * 50_000}
    body = json.dumps({"model": "keystead-test-1", "max_tokens": 1, "messages": [question]}).encode()
    pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    assert running.send(running.head("transfer-encoding: chunked") + pieces + b"0\r\n\r\n").status == 200
    assert running.api.requests[0].body == body


@pytest.mark.parametrize("path", ["/v1/messages", "/page"])
def test_a_request_after_a_page_that_has_not_ended_yet_is_answered(serve: Callable[..., "Running"], path: str) -> None:
    """The client has all of the page, so the next request is no pipelining: a proxy would say 502 for a lost one."""
    ended, asked = threading.Event(), threading.Event()

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        await _page(scope, receive, _without_the_end(send) if scope["path"] == "/slow" else send)
        if scope["path"] == "/slow":
            asked.set()
            await asyncio.to_thread(ended.wait, 60)
            await send({"type": "http.response.body", "body": b""})

    running = serve(otherwise=page)
    body = b'{"model":"keystead-test-1","max_tokens":1,"messages":[]}'
    with running.connect() as connection:
        connection.sendall(b"POST /slow HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc")
        assert running.read(connection).body == b"abc"
        assert asked.wait(60)
        connection.sendall(running.head(length=len(body), target=path))
        connection.sendall(body)
        ended.set()
        answer = running.read(connection)
        assert answer.status == 200
        connection.sendall(running.head(length=len(body)) + body)
        assert running.read(connection).status == 200


def _without_the_end(send: Send) -> Send:
    async def sent(message: Any) -> None:
        await send(message | {"more_body": True} if message["type"] == "http.response.body" else message)

    return sent
