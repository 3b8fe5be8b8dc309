"""Requests that two servers could understand differently are refused, and nothing of them reaches the upstream."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

BODY = b'{"model":"keystead-test-1","max_tokens":1,"messages":[]}'
SMUGGLED = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
LENGTH = f"content-length: {len(BODY)}"

AMBIGUOUS = {
    "length and chunks": ([LENGTH, "transfer-encoding: chunked"], BODY),
    "chunks and length": (["transfer-encoding: chunked", LENGTH], BODY),
    "two different lengths": ([LENGTH, "content-length: 5"], BODY),
    "the same length twice": ([LENGTH, LENGTH], BODY),
    "a list of lengths": ([f"{LENGTH}, {len(BODY)}"], BODY),
    "a signed length": ([f"content-length: +{len(BODY)}"], BODY),
    "a negative length": (["content-length: -1"], BODY),
    "a hexadecimal length": (["content-length: 0x10"], BODY),
    "an empty length": (["content-length:"], BODY),
    "an enormous length": (["content-length: 99999999999999999999999999"], BODY),
    "a blank before the colon": ([f"content-length : {len(BODY)}"], BODY),
    "an unknown coding": (["transfer-encoding: xchunked"], b"0\r\n\r\n"),
    "chunked not last": (["transfer-encoding: chunked, identity"], b"0\r\n\r\n"),
    "chunked twice": (["transfer-encoding: chunked", "transfer-encoding: chunked"], b"0\r\n\r\n"),
    "gzip before chunked": (["transfer-encoding: gzip, chunked"], b"0\r\n\r\n"),
    "identity": (["transfer-encoding: identity", LENGTH], BODY),
    "vertical tab before chunked": (["transfer-encoding: \x0bchunked"], b"0\r\n\r\n"),
    "a folded header": (["x-a: 1", " transfer-encoding: chunked", LENGTH], BODY),
    "a header without a name": ([": value", LENGTH], BODY),
    "a header without a colon": (["no colon here", LENGTH], BODY),
    "a NUL in a header": (["x-a: a\0b", LENGTH], BODY),
    "a bare carriage return in a header": (["x-a: a\rb", LENGTH], BODY),
    "a bare line feed in a header": (["x-a: a\nx-api-key: b", LENGTH], BODY),
    "a chunk size that is no number": (["transfer-encoding: chunked"], b"zz\r\n" + BODY),
    "a chunk size with a sign": (["transfer-encoding: chunked"], b"+5\r\nhello\r\n0\r\n\r\n"),
    "a chunk size in 0x": (["transfer-encoding: chunked"], b"0x5\r\nhello\r\n0\r\n\r\n"),
    "a chunk longer than its size": (["transfer-encoding: chunked"], b"5\r\nhelloo\r\n0\r\n\r\n"),
    "a chunk size that overflows": (["transfer-encoding: chunked"], b"fffffffffffffffff\r\n"),
    "chunks ended by bare line feeds": (["transfer-encoding: chunked"], b"5\nhello\n0\n\n"),
    "two hosts": (["host: other", LENGTH], BODY),
    "two keys": (["x-api-key: other", LENGTH], BODY),
    "an upgrade": (["connection: upgrade", "upgrade: h2c", LENGTH], BODY),
    "an unknown expectation": (["expect: 200-ok", LENGTH], BODY),
    "a compressed body": (["content-encoding: gzip", LENGTH], BODY),
    "a second request at once": ([LENGTH], BODY + SMUGGLED),
    "garbage after the body": ([LENGTH], BODY + b"GARBAGE / x\r\n\r\n"),
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_ambiguous_request_is_refused_and_the_connection_closed(running: "Running", case: str) -> None:
    lines, body = AMBIGUOUS[case]
    answer = running.send(running.head(*lines) + body)
    assert 400 <= answer.status < 500
    assert answer.headers["connection"] == "close"
    assert answer.error["type"] == "invalid_request_error"
    assert running.api.requests == []
    assert running.ledger.rows == []


RAW = {
    "no host": b"POST /v1/messages HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
    "an empty host": b"POST /v1/messages HTTP/1.1\r\nhost:\r\ncontent-length: 0\r\n\r\n",
    "a version nobody speaks": b"POST /v1/messages HTTP/3.7\r\nhost: x\r\n\r\n",
    "a blank in the target": b"POST /v1/mess ages HTTP/1.1\r\nhost: x\r\n\r\n",
    "a control character in the target": b"POST /v1/messages\x01 HTTP/1.1\r\nhost: x\r\n\r\n",
    "an unknown method": b"BREW /v1/messages HTTP/1.1\r\nhost: x\r\n\r\n",
    "a lower-case method": b"post /v1/messages HTTP/1.1\r\nhost: x\r\n\r\n",
    "TLS on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
    "line feeds only": b"POST /v1/messages HTTP/1.1\nhost: x\ncontent-length: 0\n\n",
}


@pytest.mark.parametrize("case", RAW)
def test_what_is_no_request_is_400(running: "Running", case: str) -> None:
    answer = running.send(RAW[case])
    assert answer.status == 400
    assert answer.error["type"] == "invalid_request_error"
    assert running.api.requests == []


@pytest.mark.parametrize(
    "lines",
    [["x-large: " + "a" * 70_000], [f"x-{number}: 1" for number in range(200)], ["x" * 70_000 + ": a"]],
    ids=["a large value", "many headers", "a large name"],
)
def test_too_much_of_headers_is_431(running: "Running", lines: list[str]) -> None:
    answer = running.send(running.head(*lines, LENGTH) + BODY)
    assert answer.status == 431
    assert answer.headers["connection"] == "close"
    assert running.api.requests == []


def test_headers_that_never_end_are_431(running: "Running") -> None:
    with running.connect() as connection:
        connection.sendall(b"POST /v1/messages HTTP/1.1\r\nx: " + b"a" * 400_000)
        assert connection.recv(65536).startswith(b"HTTP/1.1 431")


def test_second_request_during_an_answer_ends_with_the_connection(running: "Running") -> None:
    """The first answer arrives whole; the second request is not acted upon, and the client can send it again."""
    request = running.head("x-keystead-fake: late=0.2", LENGTH) + BODY
    with running.connect() as connection:
        connection.sendall(request)
        running.api.wait_for(lambda requests: len(requests) == 1)
        connection.sendall(request)
        answer = running.read(connection)
        assert answer.status == 200
        assert connection.recv(1) == b""
    assert len(running.api.requests) == 1


@pytest.mark.parametrize(
    "target", ["/v1/messages/", "//v1/messages", "/v1/%6dessages", "/V1/messages", "/v1/messages;x"]
)
def test_addresses_that_only_resemble_the_messages_path_are_404(running: "Running", target: str) -> None:
    answer = running.ask(BODY, target=target)
    assert answer.status == 404
    assert running.api.requests == []


def test_blank_lines_before_a_request_are_skipped(running: "Running") -> None:
    assert running.send(b"\r\n\r\n" + running.head(LENGTH) + BODY).status == 200
