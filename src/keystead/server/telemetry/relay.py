"""What becomes of an agent's OTLP before it goes to collectors. Pure.

What a client says of itself is its own; whose credential it came with is not. Each resource gets that as attributes
which no client can set, so that a collector can go by them.
"""

import gzip
import zlib
from typing import Final, NamedTuple

from keystead.server.telemetry import otlp_json, otlp_protobuf
from keystead.server.telemetry.otlp_schema import REQUESTS, Malformed, Marks

LARGEST: Final = 16 * 1024 * 1024
"""Bytes of a body that was compressed."""
_EITHER: Final = 47
"""``wbits`` by which zlib reads gzip and deflate, as the first bytes are."""
_ENCODINGS: Final = {"application/json": otlp_json.rewritten, "application/x-protobuf": otlp_protobuf.rewritten}


class Body(NamedTuple):
    """One OTLP request.

    Attributes:
        signal: ``metrics``, ``logs`` or ``traces``.
        content_type: ``application/json`` or ``application/x-protobuf``.
        encoding: ``gzip``, ``deflate`` or empty.
    """

    signal: str
    content_type: str
    encoding: str
    data: bytes


def marked(body: Body, marks: Marks) -> Body:
    """Return the body with its attributes as ``marks`` say, compressed by gzip when it was compressed.

    Raises:
        Malformed: it is not what it says it is, has nothing in it, or is too large.
    """
    data = _inflated(body.data) if body.encoding else body.data
    data = _ENCODINGS[body.content_type](REQUESTS[body.signal], data, marks)
    if not body.encoding:
        return body._replace(data=data)
    return body._replace(encoding="gzip", data=gzip.compress(data, 1, mtime=0))


def _inflated(data: bytes) -> bytes:
    """Return what was compressed, in however many pieces (RFC 1952 section 2.2).

    Raises:
        Malformed: it was cut off, is something else, or is larger than :data:`LARGEST`.
    """
    found = bytearray()
    try:
        while data:
            one = zlib.decompressobj(_EITHER)
            found += one.decompress(data, LARGEST + 1 - len(found))
            if not one.eof or len(found) > LARGEST:
                raise Malformed
            data = one.unused_data
    except zlib.error as error:
        raise Malformed from error
    return bytes(found)
