"""A head is recognised only if it repeats, byte for byte, one that was checked; anything else goes to the parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.server.gateway.known_head import KnownHead
from keystead.server.gateway.request_head import of_messages

HEADERS = [(b"host", b"gateway"), (b"content-length", b"5"), (b"x-api-key", b"ksk_1")]


def request(length: str, body: bytes, *, key: str = "ksk_1") -> bytes:
    head = f"POST /v1/messages HTTP/1.1\r\nhost: gateway\r\nContent-Length: {length}\r\nx-api-key: {key}\r\n\r\n"
    return head.encode() + body


def known(first: bytes, *more: tuple[bytes, bytes]) -> KnownHead | None:
    return KnownHead.of(first, of_messages(b"POST", b"/v1/messages", [*HEADERS, *more]))


@given(st.binary(max_size=300))
def test_the_same_head_with_any_body_is_recognised(body: bytes) -> None:
    head = known(request("5", b"hello"))
    assert head is not None
    again = request(str(len(body)), body)
    assert head.begins(again) == (len(body), len(again) - len(body))


@given(st.binary(max_size=300), st.integers(0, 300))
def test_the_body_may_come_in_pieces_and_the_head_may_not(body: bytes, missing: int) -> None:
    first = request("5", b"")
    head = known(first)
    assert head is not None
    again = request(str(len(body)), body)
    cut, start = len(again) - missing, len(again) - len(body)
    assert head.begins(again[: max(0, cut)]) == ((len(body), start) if cut >= start else None)


@pytest.mark.parametrize(
    "other",
    [
        request("4", b"hello"),
        request("5", b"hello" + request("5", b"hello")),
        request("", b""),
        request("+5", b"hello"),
        request("5 ", b"hello"),
        request("5, 5", b"hello"),
        request("5\r\ncontent-length: 5", b"hello"),
        request("5\r\ntransfer-encoding: chunked", b"hello"),
        request("5\r\nx-api-key: ksk_2", b"hello"),
        request("0000000000000000005", b"hello"),
        request("5", b"hello", key="ksk_2"),
        request("5", b"hello").replace(b"POST", b"GET"),
        request("5", b"hello").replace(b"/v1/messages", b"/v1/messages?beta=true"),
        b"\r\n" + request("5", b"hello"),
        b"",
    ],
)
def test_another_head_or_more_than_its_body_is_not(other: bytes) -> None:
    head = known(request("5", b"hello"))
    assert head is not None
    assert head.begins(other) is None


@given(st.data())
def test_no_byte_of_the_head_may_differ(data: st.DataObject) -> None:
    head = known(request("5", b"hello"))
    assert head is not None
    one = bytearray(request("5", b"hello"))
    place = data.draw(st.integers(0, len(one) - 6))
    one[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != one[place]))
    assert head.begins(bytes(one)) is None


@pytest.mark.parametrize(
    "first",
    [
        request("5", b"hello, and more"),
        b"\r\n" + request("5", b"hello"),
        request("5\r\nx: " + "a" * 10_000, b"hello"),
    ],
    ids=["more than one request", "something before it", "a large head"],
)
def test_only_a_head_that_came_whole_and_alone_is_remembered(first: bytes) -> None:
    assert known(first) is None


def test_a_head_that_waits_for_continue_is_not_remembered() -> None:
    assert known(request("5\r\nexpect: 100-continue", b"hello"), (b"expect", b"100-continue")) is None
