"""Where an HTTP/1.1 answer ends, under any split."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.wire.http1 import Body, ChunkedBody, CloseBody, LengthBody, MalformedResponse, parse_head

POSITIONS = st.lists(st.integers(0, 10**6), max_size=30)


def cut(data: bytes, positions: list[int]) -> list[bytes]:
    edges = [0, *sorted(position % (len(data) + 1) for position in positions), len(data)]
    return [data[start:stop] for start, stop in itertools.pairwise(edges)]


def feed(body: Body, pieces: list[bytes]) -> bytes:
    return b"".join(body.feed(piece) for piece in pieces if piece)


@given(
    st.lists(st.binary(min_size=1, max_size=300), max_size=6),
    st.sampled_from([b"", b";name=value", b" "]),
    st.sampled_from([b"", b"x-trailer: 1\r\n"]),
    POSITIONS,
)
def test_chunks_give_their_payload_and_end_where_they_end(
    chunks: list[bytes], extension: bytes, trailer: bytes, positions: list[int]
) -> None:
    framed = b"".join(b"%X%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    body = ChunkedBody()
    assert feed(body, cut(framed + b"0\r\n" + trailer + b"\r\n", positions)) == b"".join(chunks)
    assert (body.done, body.surplus) == (True, 0)


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6))
def test_chunks_that_arrive_one_by_one_are_each_given_back_whole(chunks: list[bytes]) -> None:
    """Payloads that look like framing are payload all the same."""
    body = ChunkedBody()
    for chunk in [*chunks, b"5\r\nhello\r\n", b"\r\n", b"0\r\n\r\n"]:
        assert body.feed(b"%x\r\n%b\r\n" % (len(chunk), chunk)) == chunk
    assert not body.done
    assert body.feed(b"0\r\n\r\n") == b""
    assert (body.done, body.surplus) == (True, 0)


@given(st.binary(min_size=1, max_size=50), st.binary(min_size=1, max_size=50))
def test_bytes_after_the_end_are_counted_as_surplus(payload: bytes, after: bytes) -> None:
    chunked, measured = ChunkedBody(), LengthBody(len(payload))
    assert chunked.feed(b"%x\r\n%b\r\n0\r\n\r\n%b" % (len(payload), payload, after)) == payload
    assert measured.feed(payload + after) == payload
    assert (chunked.surplus, measured.surplus) == (len(after), len(after))


@pytest.mark.parametrize(
    "data",
    [
        b"x\r\n",
        b"-1\r\n",
        b"0x5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"5_0\r\n",
        b"5\nhello\r\n",
        b"5\r\nhelloo\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"\r\n",
        b"fffffffffffffffff\r\n",
        b"0\r\nx: y\n\r\n",
        b"5;" + b"x" * 5000,
    ],
)
def test_broken_chunks_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedResponse):
        ChunkedBody().feed(data)


@given(st.binary(max_size=400), POSITIONS)
def test_chunk_reader_is_total(data: bytes, positions: list[int]) -> None:
    body = ChunkedBody()
    try:
        feed(body, cut(data, positions))
    except MalformedResponse:
        return
    assert body.surplus >= 0


def test_head_tells_how_the_body_ends() -> None:
    head = parse_head(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/Event-Stream; charset=utf-8\r\nTransfer-Encoding: Chunked"
    )
    assert (head.status, head.content_type, head.chunked, head.keep_alive) == (200, b"text/event-stream", True, True)
    assert isinstance(head.body(), ChunkedBody)
    assert isinstance(parse_head(b"HTTP/1.1 200 OK\r\ncontent-length: 5").body(), LengthBody)
    assert isinstance(parse_head(b"HTTP/1.1 200").body(), CloseBody)
    assert parse_head(b"HTTP/1.1 204 No Content\r\ncontent-length: 5").body().done
    assert parse_head(b"HTTP/1.1 304 Not Modified").body().done


@pytest.mark.parametrize(
    "lines",
    [
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 200 OK\r\nconnection: Close",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nconnection: x-other",
    ],
)
def test_connection_that_ends_is_not_kept(lines: bytes) -> None:
    assert not parse_head(lines).keep_alive


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"HTTP/2 200 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 200 OK\r\nno colon",
        b"HTTP/1.1 200 OK\r\nname : value",
        b"HTTP/1.1 200 OK\r\n folded: value",
        b"HTTP/1.1 200 OK\r\nname: a\nb",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2",
        b"HTTP/1.1 200 OK\r\ncontent-length: +1",
        b"HTTP/1.1 200 OK\r\ncontent-length:",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\nContent-Length: 01",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1 200 OK\r\nname: a\0b: c",
        b"HTTP/1.1 200 OK\r\nname: a\rb",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked",
    ],
)
def test_ambiguous_heads_are_refused(block: bytes) -> None:
    with pytest.raises(MalformedResponse):
        parse_head(block)


def test_fields_are_kept_as_they_came() -> None:
    head = parse_head(b"HTTP/1.1 200 OK\r\nX-Name:  Some Value \r\ncontent-length: 12 \r\nContent-Length:12")
    assert (head.fields, head.length) == (b"\r\nX-Name:  Some Value \r\ncontent-length: 12 \r\nContent-Length:12", 12)


@given(st.binary(max_size=200))
def test_head_parser_is_total(block: bytes) -> None:
    try:
        head = parse_head(b"HTTP/1.1 200 OK\r\n" + block)
    except MalformedResponse:
        return
    assert head.status == 200
