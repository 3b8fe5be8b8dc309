"""HTTP/1.1 responses as bytes (RFC 9112): the head, and where the body ends.

The gateway relays a body as it comes; it only has to know where it stops and which bytes are payload. Each
framing is a small reader with the same shape: ``feed(data) -> payload``, ``done``, ``surplus``.
"""

import re
from dataclasses import dataclass
from typing import Final, Protocol

_SIZE_LINE: Final = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_HEAD: Final = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n\0]*+)?((?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]++:[^\r\n\0]*+)*+)"
)
_FRAMING: Final = re.compile(
    rb"\r\n(connection|content-length|content-type|transfer-encoding):[ \t]*([^\r\n]*)", re.IGNORECASE
)
"""The headers that say where a body ends and what it is; of what else there is only the form is checked."""
_LONGEST_LINE: Final = 4096


class MalformedResponse(ValueError):
    """The upstream does not speak HTTP/1.1; the message says in what way."""


class Body(Protocol):
    """Where a body ends.

    Attributes:
        done: the body is complete.
        surplus: bytes of the last ``feed`` that came after its end.
    """

    done: bool
    surplus: int

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes and return the payload among them.

        Raises:
            MalformedResponse: the framing is broken.
        """


class LengthBody:
    """A body of a declared length."""

    __slots__ = ("_left", "done", "surplus")

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0
        self.surplus = 0

    def feed(self, data: bytes) -> bytes:
        size = len(data)
        if size > self._left:
            self.surplus = size - self._left
            data = data[: self._left]
            size = self._left
        self._left -= size
        self.done = self._left == 0
        return data


class CloseBody:
    """A body that ends with the connection."""

    __slots__ = ("done", "surplus")

    def __init__(self) -> None:
        self.done = False
        self.surplus = 0

    def feed(self, data: bytes) -> bytes:
        return data


class ChunkedBody:
    """A body in chunks (RFC 9112 section 7.1); trailers are passed over."""

    __slots__ = ("_expects", "_left", "_partial", "done", "surplus")

    def __init__(self) -> None:
        self.done = False
        self.surplus = 0
        self._left = 0
        self._expects = "size"
        self._partial = b""

    def feed(self, data: bytes) -> bytes:
        if self._partial:
            data, self._partial = self._partial + data, b""
        elif not self._left and self._expects == "size":  # the common case: exactly one chunk, whole
            found = _SIZE_LINE.match(data)
            if found is not None and data.endswith(b"\r\n"):
                start, size = found.end(), int(found[1], 16)
                if size and start + size + 2 == len(data):
                    return data[start:-2]
        payload: list[bytes] = []
        position, end = 0, len(data)
        while position < end and not self.done:
            if self._left:
                piece = data[position : position + self._left]
                payload.append(piece)
                position += len(piece)
                self._left -= len(piece)
                continue
            after = self._line(data, position)
            if after == position:
                self._keep(data[position:])
                break
            position = after
        if self.done:
            self.surplus = end - position
        return payload[0] if len(payload) == 1 else b"".join(payload)

    def _line(self, data: bytes, position: int) -> int:
        """Read the line at ``position``; returns where it ends, or ``position`` if it is not complete."""
        if self._expects == "size":
            found = _SIZE_LINE.match(data, position)
            if found is not None:
                self._left = int(found[1], 16)
                self._expects = "end" if self._left else "trailer"
                return found.end()
        stop = data.find(b"\n", position) + 1
        if not stop:
            return position
        if self._expects == "size" or data[stop - 2 : stop - 1] != b"\r":
            raise MalformedResponse("a chunk does not start with its size")
        if self._expects == "end":
            if stop - position != 2:
                raise MalformedResponse("a chunk is longer than its size")
            self._expects = "size"
        elif stop - position == 2:
            self.done = True
        return stop

    def _keep(self, rest: bytes) -> None:
        if len(rest) > _LONGEST_LINE:
            raise MalformedResponse("a line of the chunk framing is too long")
        self._partial = rest


@dataclass(slots=True)
class ResponseHead:
    """Status and headers of a response.

    Attributes:
        fields: the header lines as they came, each *after* its line break.
        content_type: lower-case, without parameters.
        keep_alive: whether the connection can be used again after the body.
    """

    status: int
    fields: bytes
    content_type: bytes
    length: int | None
    chunked: bool
    keep_alive: bool

    @property
    def bodiless(self) -> bool:
        """Whether no body follows, whatever the headers say."""
        return self.status in (204, 304)

    def body(self) -> Body:
        """Return the reader for the body that follows (RFC 9112 section 6.3), the request not being ``HEAD``."""
        if self.bodiless:
            return LengthBody(0)
        if self.chunked:
            return ChunkedBody()
        return CloseBody() if self.length is None else LengthBody(self.length)


def parse_head(block: bytes) -> ResponseHead:
    """Parse a response head, without the empty line that ends it.

    Raises:
        MalformedResponse: it is not HTTP/1.1, or says two different things about the body's length.
    """
    parts = _HEAD.fullmatch(block)
    if parts is None:
        raise MalformedResponse("its head is not an HTTP/1.1 status line and header lines")
    version, code, fields = parts.groups()
    named: dict[bytes, bytes] = {}
    for name, value in _FRAMING.findall(fields):
        key, text = name.lower(), value.lower()
        named[key] = text if key not in named else _joined(key, named[key], text)
    length, coding = named.get(b"content-length"), named.get(b"transfer-encoding")
    content_type = named.get(b"content-type", b"")
    if b";" in content_type or content_type[-1:].isspace():
        content_type = content_type.partition(b";")[0].rstrip(b" \t")
    return ResponseHead(
        int(code),
        fields,
        content_type,
        None if length is None else _length(length, coding),
        coding is not None and _is_chunked(coding),
        version == b"1" and (b"connection" not in named or b"close" not in named[b"connection"]),
    )


def _joined(name: bytes, first: bytes, second: bytes) -> bytes:
    """Return what is meant by a header that is there twice."""
    if name == b"content-length" and first.rstrip(b" \t") != second.rstrip(b" \t"):
        raise MalformedResponse("its Content-Length is not one number")
    return b"%b,%b" % (first, second) if name in (b"connection", b"transfer-encoding") else second


def _length(value: bytes, coding: bytes | None) -> int:
    value = value.rstrip(b" \t")
    if not value.isdigit() or len(value) > 18:
        raise MalformedResponse("its Content-Length is not one number")
    if coding is not None:
        raise MalformedResponse("it has both Content-Length and Transfer-Encoding")
    return int(value)


def _is_chunked(coding: bytes) -> bool:
    if coding.rstrip(b" \t") != b"chunked":
        raise MalformedResponse("its Transfer-Encoding is not chunked")
    return True
