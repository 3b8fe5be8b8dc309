"""Amazon's event stream (``application/vnd.amazon.eventstream``), read incrementally, however the bytes are cut.

A message is a prelude (its length, the length of its headers, their CRC), the headers, a payload, and a CRC of all
before it. :class:`MessagesParser` turns the messages of Bedrock into the events of the Messages API they carry.
"""

import base64
import binascii
import struct
import zlib
from dataclasses import dataclass, field
from typing import Final

from keystead.wire import fields
from keystead.wire.fields import Fields, Malformed
from keystead.wire.sse import LARGEST_EVENT, Event, EventTooLarge

CONTENT_TYPE: Final = "application/vnd.amazon.eventstream"
_PRELUDE: Final = struct.Struct(">III")
_SIZES: Final = struct.Struct(">II")
_CRC: Final = struct.Struct(">I")
_LEAST: Final = _PRELUDE.size + _CRC.size
_TEXT: Final = 7
_WIDTHS: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value by its type; types 6 and 7 say their own length."""
_SIZED: Final = frozenset({6, _TEXT})


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        headers: those that are text; the others mean nothing here.
    """

    headers: dict[str, str]
    payload: bytes = field(repr=False)


class Parser:
    """Turns pieces of a body into messages. One parser for one stream."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> list[Message]:
        """Return the messages that ``chunk`` completes.

        Raises:
            Malformed: a checksum or a length is not what it must be; nothing after it can be trusted.
            EventTooLarge: a message is larger than :data:`~keystead.wire.sse.LARGEST_EVENT`.
        """
        self._rest += chunk
        found = []
        while (size := self._size()) is not None and size <= len(self._rest):
            found.append(_message(bytes(self._rest[:size])))
            del self._rest[:size]
        return found

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._rest)

    def _size(self) -> int | None:
        """Return the length of the message that begins here, once its prelude is there and in order."""
        if len(self._rest) < _PRELUDE.size:
            return None
        total, headers, checksum = _PRELUDE.unpack_from(self._rest)
        if zlib.crc32(self._rest[: _PRELUDE.size - _CRC.size]) != checksum:
            raise Malformed("the checksum of a message's beginning is wrong")
        if total > LARGEST_EVENT:
            raise EventTooLarge("an event of the stream is too large")
        if total < _LEAST + headers:
            raise Malformed("a message is shorter than its headers")
        return int(total)


def _message(data: bytes) -> Message:
    if zlib.crc32(data[: -_CRC.size]) != _CRC.unpack(data[-_CRC.size :])[0]:
        raise Malformed("the checksum of a message is wrong")
    end = _PRELUDE.size + _PRELUDE.unpack_from(data)[1]
    return Message(_headers(data[_PRELUDE.size : end]), data[end : -_CRC.size])


def _headers(data: bytes) -> dict[str, str]:
    found, at = {}, 0
    try:
        while at < len(data):
            length = data[at]
            name = data[at + 1 : at + 1 + length].decode()
            kind = data[at + 1 + length]
            at += 2 + length
            if kind in _SIZED:
                (width,) = struct.unpack_from(">H", data, at)
                at += 2
            else:
                width = _WIDTHS[kind]
            if at + width > len(data):
                raise Malformed("a header of a message is cut off")
            if kind == _TEXT:
                found[name] = data[at : at + width].decode()
            at += width
    except (IndexError, KeyError, struct.error, UnicodeDecodeError):
        raise Malformed("the headers of a message cannot be read") from None
    return found


def dump(message: Message) -> bytes:
    """Return the bytes of a message; :class:`Parser` gives it back."""
    return _framed(b"".join([_header(name, value) for name, value in message.headers.items()]), message.payload)


def _framed(headers: bytes, payload: bytes) -> bytes:
    start = _SIZES.pack(_LEAST + len(headers) + len(payload), len(headers))
    whole = start + _CRC.pack(zlib.crc32(start)) + headers + payload
    return whole + _CRC.pack(zlib.crc32(whole))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack(">B", len(key)) + key + struct.pack(">BH", _TEXT, len(text)) + text


_OF_CHUNK: Final = b"".join(
    _header(name, value)
    for name, value in {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}.items()
)
"""The headers of every message with an event in it, as Amazon writes them."""


class MessagesParser:
    """Turns pieces of Bedrock's answer into the events of the Messages API, as :class:`keystead.wire.sse.Parser`."""

    def __init__(self) -> None:
        self._parser = Parser()

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that ``chunk`` completes; see :meth:`Parser.feed` for the errors."""
        return [event for message in self._parser.feed(chunk) if (event := _event(message)) is not None]

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._parser.unfinished


def dump_event(event: Event) -> bytes:
    """Return the message that carries ``event``; :class:`MessagesParser` gives it back."""
    return _framed(_OF_CHUNK, b'{"bytes":"%b"}' % base64.b64encode(event.data.encode()))


def _event(message: Message) -> Event | None:
    kind = message.headers.get(":message-type", "event")
    if kind == "error":  # without a payload
        return _problem(message.headers.get(":error-code", ""), message.headers.get(":error-message", ""))
    document = Fields.parse(message.payload or b"{}", "message")
    if kind == "exception":
        return _problem(message.headers.get(":exception-type", ""), document.optional_text("message") or "")
    if message.headers.get(":event-type") != "chunk":
        return None
    try:
        data = base64.b64decode(document.text("bytes"), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Malformed("the bytes of a message are not text in base64") from None
    return Event(Fields.parse(data.encode(), "event").optional_text("type") or "message", data)


def _problem(code: str, text: str) -> Event:
    """Return what the Messages API would have streamed in place of an exception of Amazon's."""
    kind = EXCEPTIONS.get(code[:1].upper() + code[1:], "api_error")
    error = {"type": kind, "message": f"{code}: {text}" if text else code or "no reason given"}
    return Event("error", fields.dump({"type": "error", "error": error}).decode())


EXCEPTIONS: Final = {
    "AccessDeniedException": "permission_error",
    "ExpiredTokenException": "authentication_error",
    "IncompleteSignature": "authentication_error",
    "InvalidSignatureException": "authentication_error",
    "MissingAuthenticationTokenException": "authentication_error",
    "ModelNotReadyException": "overloaded_error",
    "ModelTimeoutException": "timeout_error",
    "ResourceNotFoundException": "not_found_error",
    "ServiceUnavailableException": "overloaded_error",
    "ThrottlingException": "rate_limit_error",
    "UnrecognizedClientException": "authentication_error",
    "ValidationException": "invalid_request_error",
}
"""Amazon's exceptions, in an answer or in the middle of a stream -> error type of the Messages API."""
