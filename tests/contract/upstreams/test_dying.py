"""An upstream that dies at any byte of its answer: the client never takes a part for the whole, and one row is written.

The answer is cut after every number of bytes, in every framing that has an end of its own.
"""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from upstreams import upstream

from keystead.server.gateway.ports import Upstream
from keystead.testing.messages_api import MessagesApi
from keystead.testing.messages_api.answers import encode_event, events, message
from keystead.testing.messages_api.scenarios import Scenario

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

QUESTION = {"model": "keystead-test-1", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
ASKED = json.dumps(QUESTION).encode()
_LAST = ASKED[-20:]
"""What also ends with it in another format."""
DOCUMENT = json.dumps(message(QUESTION, Scenario(), "msg_dying")).encode()
EVENTS = [encode_event(event) for event in events(QUESTION, Scenario(), "msg_dying")][:4]
HEAD = b"HTTP/1.1 %d Status\r\ncontent-type: %b\r\n%b\r\n\r\n"


def framed(status: int, framing: str) -> tuple[bytes, bytes]:
    """Return the head and the body of a whole answer."""
    if framing == "length":
        return HEAD % (status, b"application/json", b"content-length: %d" % len(DOCUMENT)), DOCUMENT
    body = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in EVENTS) + b"0\r\n\r\n"
    return HEAD % (status, b"text/event-stream", b"transfer-encoding: chunked"), body


class Dying:
    """A server that sends so many bytes of its answer and is gone; the test says how many."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.bytes = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Dying":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                received = b""
                while not received.endswith(_LAST):
                    received += connection.recv(65536)
                connection.sendall(self.answer[: self.bytes])


@pytest.fixture
def healthy() -> Iterator[MessagesApi]:
    with MessagesApi() as api:
        yield api


def relayed(running: "Running", target: str = "/v1/messages") -> tuple[bytes, bool]:
    """Return what a client receives, and whether by the framing it is a whole answer."""
    raw = b""
    with running.connect() as connection, contextlib.suppress(ConnectionResetError):
        connection.sendall(running.head("connection: close", length=len(ASKED), target=target) + ASKED)
        while data := connection.recv(65536):
            raw += data
    head, end, body = raw.partition(b"\r\n\r\n")
    if not end:
        return raw, False
    if b"transfer-encoding: chunked" in head:
        return raw, body.endswith(b"0\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert len(body) <= length
    return raw, len(body) == length


@pytest.mark.requirement("G-01 any byte")
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("status", [200, 529])
def test_alone(serve: "Callable[..., Running]", framing: str, status: int) -> None:
    head, body = framed(status, framing)
    with Dying(head + body) as dying:
        running = serve(upstreams=[upstream(dying.base_url, "a")])
        for number in range(len(head + body) + 1):
            dying.bytes = number
            raw, whole = relayed(running)
            case = f"{number} of {len(head)} + {len(body)} bytes: {raw!r}"
            if number < len(head):
                assert whole, case
                assert raw.startswith(b"HTTP/1.1 502 "), case
            else:
                assert whole == (number == len(head + body)), case
                assert raw.startswith(b"HTTP/1.1 %d " % status), case
                assert (head + body).endswith(raw.partition(b"\r\n\r\n")[2]) or not whole, case
        rows = running.ledger.wait(len(head + body) + 1)
    assert len({row.id for row in rows}) == len(rows) == len(head + body) + 1
    assert [row.aborted for row in rows] == [len(head) <= n < len(head + body) for n in range(len(rows))]
    used = [row.input_tokens > 0 for row in rows]
    assert used == [status == 200 and row.status == 200 for row in rows], "an error is not paid for"


@pytest.mark.requirement("G-01 stream error")
def test_a_stream_that_ends_with_an_error_counts_what_went_out(serve: "Callable[..., Running]") -> None:
    """The last word on usage never comes, and the first one says a token or so."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    said = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x" * 4000}}
    events = [*EVENTS[:2], encode_event(said), encode_event(error)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events) + b"0\r\n\r\n"
    with Dying(HEAD % (200, b"text/event-stream", b"transfer-encoding: chunked") + body) as dying:
        running = serve(upstreams=[upstream(dying.base_url, "a")])
        dying.bytes = len(dying.answer)
        _, whole = relayed(running)
        (row,) = running.ledger.wait()
    assert whole
    assert (row.status, row.aborted, row.estimated) == (200, False, True)
    assert row.input_tokens > 0
    assert 950 <= row.output_tokens <= 1050


@pytest.mark.requirement("G-01 tariff")
@pytest.mark.parametrize("stream", [False, True])
def test_what_else_changes_the_price_is_in_the_row(serve: "Callable[..., Running]", stream: bool) -> None:
    said = {"input_tokens": 5, "output_tokens": 1, "speed": "fast", "inference_geo": "us", "service_tier": "standard"}
    if stream:
        start = encode_event({"type": "message_start", "message": {"usage": said}})
        last = encode_event({"type": "message_delta", "usage": {"output_tokens": 7}})
        kind, body = b"text/event-stream", start + last
    else:
        kind, body = b"application/json", json.dumps({"usage": said | {"output_tokens": 7}}).encode()
    with Dying(HEAD % (200, kind, b"content-length: %d" % len(body)) + body) as dying:
        running = serve(upstreams=[upstream(dying.base_url, "a")])
        dying.bytes = len(dying.answer)
        relayed(running)
        (row,) = running.ledger.wait()
    assert (row.input_tokens, row.output_tokens, row.tariff, row.estimated) == (5, 7, "fast us", False)


@pytest.mark.requirement("G-01 any byte", "G-01 failover")
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("status", [200, 529])
def test_with_another_behind_it(
    serve: "Callable[..., Running]", healthy: MessagesApi, framing: str, status: int
) -> None:
    head, body = framed(status, framing)
    with Dying(head + body) as dying:
        first: Upstream = upstream(dying.base_url, "a")
        running = serve(upstreams=[first, upstream(healthy.base_url, "b")])
        for number in range(len(head + body) + 1):
            dying.bytes = number
            running.gateway.health.succeeded(first)
            raw, whole = relayed(running)
            case = f"{number} of {len(head)} + {len(body)} bytes: {raw!r}"
            passed = status == 200 and number >= len(head)
            assert raw.startswith(b"HTTP/1.1 200 "), case
            assert whole == (not passed or number == len(head + body)), case
            assert (b"msg_dying" in raw) <= passed, case
        rows = running.ledger.wait(len(head + body) + 1)
    assert len({row.id for row in rows}) == len(rows) == len(head + body) + 1
    expected = ["a" if status == 200 and number >= len(head) else "b" for number in range(len(rows))]
    assert [row.upstream for row in rows] == expected


@pytest.mark.requirement("G-01 any byte", "G-01 own formats")
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("status", [200, 529])
def test_for_a_client_of_amazons(serve: "Callable[..., Running]", framing: str, status: int) -> None:
    """A stream ends by its framing, because Amazon's have a message that says it failed."""
    head, body = framed(status, framing)
    with Dying(head + body) as dying:
        running = serve(upstreams=[upstream(dying.base_url, "a")])
        for number in range(len(head + body) + 1):
            dying.bytes = number
            raw, whole = relayed(running, "/model/keystead-test-1/invoke-with-response-stream")
            complete = number == len(head + body)
            case = f"{number} of {len(head)} + {len(body)} bytes: {raw!r}"
            if number < len(head):
                assert whole, case
                assert raw.startswith(b"HTTP/1.1 502 "), case
                assert b'"message": "The upstream ' in raw, case
            elif status != 200:
                assert whole, case
                assert raw.startswith(b"HTTP/1.1 529 "), case
                assert (b"msg_dying" in raw) is complete, case
            elif framing == "chunked":
                assert whole, case
                assert (b"modelStreamErrorException" in raw) is not complete, case
            else:
                assert whole is complete, case
        rows = running.ledger.wait(len(head + body) + 1)
    assert len({row.id for row in rows}) == len(rows) == len(head + body) + 1
    assert [row.aborted for row in rows] == [len(head) <= n < len(head + body) for n in range(len(rows))]
