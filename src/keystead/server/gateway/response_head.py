"""The head of an upstream's answer, as the client gets it."""

import re
from collections.abc import Iterable
from typing import Final

from keystead.wire.http1 import ResponseHead

_NOT_RELAYED: Final = (
    # about the upstream's own connection, host or cookies
    b"alt-svc",
    b"clear-site-data",
    b"connection",
    b"(?:content-)?location",
    b"keep-alive",
    b"nel",
    b"proxy-[^:]*",
    b"refresh",
    b"report-to",
    b"reporting-endpoints",
    b"set-cookie2?",
    b"strict-transport-security",
    b"trailer",
    b"upgrade",
    # where the upstream wants to be signed in to; a client of ours would take that for where it signs in
    b"authentication-info",
    b"www-authenticate",
    # what an edge before this server acts upon, which then serves a file or an address of its own
    b"x-accel-[^:]*",
    b"x-lighttpd-send-[^:]*",
    b"x-reproxy-url",
    b"x-sendfile[^:]*",
    # said by this server alone
    b"x-keystead-warning",
    b"x-request-id",
)
"""Headers of the answer that end here, as patterns."""


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
