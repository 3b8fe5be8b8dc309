"""OTLP in: what agents tell of themselves (``gateway-protocol.md``). A caller is answered 200 whatever becomes of it.

Nothing is parsed here: whoever takes it reads it later, where no request waits for that.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from keystead.server.gateway.ports import Telemetry

SIGNALS: Final = {"/v1/metrics": "metrics", "/v1/logs": "logs", "/v1/traces": "traces"}
LARGEST: Final = 4 * 1024 * 1024
"""Bytes of one body; a larger one is read and discarded."""
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
_ENCODINGS: Final = {"": "", "identity": "", "gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
"""What of Content-Encoding is understood (RFC 9110 section 8.4.1), and how we call it."""

Headers = list[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


def without_encoding(headers: Headers) -> Headers:
    """Return the headers without Content-Encoding: bodies may be compressed here."""
    return [line for line in headers if line[0] != b"content-encoding"]


def is_protobuf(headers: Headers) -> bool:
    """Return whether the answer is to be protobuf, as the request is."""
    return _value(headers, b"content-type") == PROTOBUF


async def telemetry(path: str, headers: Headers, receive: Receive) -> Telemetry | None:
    """Read a body; returns None for one that is discarded.

    Args:
        path: one of :data:`SIGNALS`.
        headers: of the request.
        receive: gives the body, as ASGI has it.
    """
    pieces: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        piece, more = message.get("body", b""), message.get("more_body", False)
        size += len(piece)
        if size <= LARGEST:
            pieces.append(piece)
    content_type, encoding = _value(headers, b"content-type"), _value(headers, b"content-encoding")
    if not 0 < size <= LARGEST or content_type not in {JSON, PROTOBUF} or encoding not in _ENCODINGS:
        return None
    return Telemetry(SIGNALS[path], content_type, _ENCODINGS[encoding], b"".join(pieces))


def _value(headers: Headers, name: bytes) -> str:
    """Return a header's value without parameters, in lower case; of several lines the first."""
    found = next((value for known, value in headers if known == name), b"")
    return found.partition(b";")[0].strip().lower().decode("latin-1")
