"""Amazon's event stream: against botocore's own decoder, cut anywhere, and with every bit that can be wrong."""

import json
import struct
import zlib

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from keystead.wire import event_stream
from keystead.wire.event_stream import Message, MessagesParser, Parser, dump
from keystead.wire.fields import Malformed
from keystead.wire.sse import Event, EventTooLarge

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
sent = st.lists(st.builds(Message, st.dictionaries(names, text, max_size=4), st.binary(max_size=200)), max_size=4)
ALL_TYPES = b"".join(
    bytes([len(name)]) + name + value
    for name, value in {
        b"true": b"\x00",
        b"false": b"\x01",
        b"byte": b"\x02\x07",
        b"short": b"\x03\x00\x07",
        b"int": b"\x04\x00\x00\x00\x07",
        b"long": b"\x05" + bytes(7) + b"\x07",
        b"bytes": b"\x06\x00\x02ab",
        b"time": b"\x08" + bytes(8),
        b"uuid": b"\x09" + bytes(16),
        b":event-type": b"\x07\x00\x05chunk",
    }.items()
)


def raw(headers: bytes, payload: bytes) -> bytes:
    """Return a message with any headers at all, and checksums that are right."""
    start = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    whole = start + struct.pack(">I", zlib.crc32(start)) + headers + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def chunk(data: str) -> bytes:
    return event_stream.dump_event(Event("", data))


@given(sent)
def test_botocore_reads_the_same(messages: list[Message]) -> None:
    buffer = EventStreamBuffer()
    stream = b"".join(map(dump, messages))
    buffer.add_data(stream)

    assert [Message(one.headers, one.payload) for one in buffer] == messages == Parser().feed(stream)


@given(sent, st.lists(st.integers(0, 10_000), max_size=20))
def test_messages_come_back_however_the_bytes_are_cut(messages: list[Message], cuts: list[int]) -> None:
    stream = b"".join(map(dump, messages))
    parser, found, start = Parser(), [], 0
    for cut in [*sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]:
        found += parser.feed(stream[start:cut])
        start = cut

    assert found == messages


@given(st.binary(min_size=16, max_size=300))
def test_noise_is_refused_or_waited_for(noise: bytes) -> None:
    """No noise is taken for a message: its first checksum is wrong."""
    buffer = EventStreamBuffer()
    buffer.add_data(noise)
    with pytest.raises(ChecksumMismatch):
        list(buffer)
    with pytest.raises(Malformed):
        Parser().feed(noise)


def test_every_changed_bit_is_noticed() -> None:
    whole = dump(Message({":event-type": "chunk"}, b"payload"))
    for place in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(Malformed):
            Parser().feed(bytes(changed))


def test_headers_of_every_type_are_passed_over() -> None:
    assert Parser().feed(raw(ALL_TYPES, b"x")) == [Message({":event-type": "chunk"}, b"x")]


@pytest.mark.parametrize(
    "headers",
    [b"\x09", b"\x01a", b"\x01a\x0b", b"\x01a\x07", b"\x01a\x07\x00\x09ab", b"\x01a\x04\x00", b"\x01\xff\x00",
     b"\x01a\x07\x00\x01\xff", b"\x01a\x06\x00\x01"],
)  # fmt: skip
def test_headers_that_cannot_be_read(headers: bytes) -> None:
    with pytest.raises(Malformed):
        Parser().feed(raw(headers, b""))


def test_lengths_that_contradict_each_other() -> None:
    start = struct.pack(">II", 20, 9)
    with pytest.raises(Malformed, match="shorter than its headers"):
        Parser().feed(start + struct.pack(">I", zlib.crc32(start)))


def test_a_length_beyond_all_reason_does_not_fill_the_memory() -> None:
    start = struct.pack(">II", 0xFFFFFFFF, 0)
    with pytest.raises(EventTooLarge):
        Parser().feed(start + struct.pack(">I", zlib.crc32(start)))


def test_events_of_the_messages_api_come_out() -> None:
    """And what carries none of them is passed over."""
    other = dump(Message({":message-type": "event", ":event-type": "metrics"}, b"{}"))
    ping, untyped = '{"type": "ping"}', '{"completion": "x"}'

    found = MessagesParser().feed(chunk(ping) + other + chunk(untyped))

    assert found == [Event("ping", ping), Event("message", untyped)]


@pytest.mark.parametrize(
    ("message", "kind", "said"),
    [
        (Message({":message-type": "exception", ":exception-type": "throttlingException"}, b'{"message":"slow"}'),
         "rate_limit_error", "throttlingException: slow"),
        (Message({":message-type": "exception", ":exception-type": "newException"}, b""), "api_error", "newException"),
        (Message({":message-type": "error", ":error-code": "InternalFailure", ":error-message": "oh"}, b"not json"),
         "api_error", "InternalFailure: oh"),
        (Message({":message-type": "error"}, b""), "api_error", "no reason given"),
    ],
)  # fmt: skip
def test_exceptions_in_the_stream_are_errors_of_the_api(message: Message, kind: str, said: str) -> None:
    (event,) = MessagesParser().feed(dump(message))

    assert event.name == "error"
    assert json.loads(event.data)["error"] == {"type": kind, "message": said}


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"bytes": 7}', b'{"bytes": "%"}', b'{"bytes": "/w=="}'])
def test_a_chunk_that_carries_no_event(payload: bytes) -> None:
    with pytest.raises(Malformed):
        MessagesParser().feed(dump(Message({":message-type": "event", ":event-type": "chunk"}, payload)))
