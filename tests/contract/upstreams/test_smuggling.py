"""Requests that two servers could understand differently are refused, and nothing of them reaches the upstream."""

from typing import TYPE_CHECKING

import pytest
from malformed import AMBIGUOUS, BODY, LENGTH, RAW

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_ambiguous_request_is_refused_and_the_connection_closed(running: "Running", case: str) -> None:
    lines, body = AMBIGUOUS[case]
    answer = running.send(running.head(*lines) + body)
    assert 400 <= answer.status < 500
    assert answer.headers["connection"] == "close"
    assert answer.error["type"] == "invalid_request_error"
    assert running.api.requests == []
    assert running.ledger.rows == []


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
