"""The head of an upstream's answer, as the client gets it."""

import re
from collections.abc import Iterable
from typing import Final

from keystead.wire.http1 import ResponseHead

_NOT_RELAYED: Final = (
    b"alt-svc",
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-connection",
    b"set-cookie",
    b"strict-transport-security",
    b"trailer",
    b"upgrade",
    b"x-request-id",
)
"""Headers of the answer that are about the upstream's own connection, host or cookies."""


def _lines_of(names: Iterable[bytes]) -> "re.Pattern[bytes]":
    """Return what matches each header line of these names, from its line break on."""
    return re.compile(rb"\r\n(?:%b):[^\r\n]*" % b"|".join(names), re.IGNORECASE)


_UNWANTED: Final = _lines_of(_NOT_RELAYED)
_UNWANTED_WITHOUT_CHUNKS: Final = _lines_of([*_NOT_RELAYED, b"transfer-encoding"])


def for_client(head: ResponseHead, request_id: str, warning: str, *, dechunked: bool, close: bool) -> bytes:
    """Return the head with our request id, and without what is about the upstream's own connection.

    Args:
        head: as the upstream sent it.
        request_id: ours.
        warning: what to tell the client beside the answer, or empty.
        dechunked: the body goes out without its chunks.
        close: the connection ends with this answer.
    """
    fields = (_UNWANTED_WITHOUT_CHUNKS if dechunked else _UNWANTED).sub(b"", head.fields)
    if warning:
        fields += b"\r\nx-keystead-warning: %b" % warning.encode()
    if close:
        fields += b"\r\nconnection: close"
    return b"HTTP/1.1 %d %b\r\nx-request-id: %b\r\n\r\n" % (head.status, fields, request_id.encode())
