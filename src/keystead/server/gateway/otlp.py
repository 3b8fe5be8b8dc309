"""OTLP in: what agents tell of themselves (``gateway-protocol.md``). A caller is answered 200 whatever becomes of it.

Nothing is parsed: the body goes to the collectors byte for byte, in the encoding it came in.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from keystead.server.gateway.ports import Telemetry

SIGNALS: Final = {"/v1/metrics": "metrics", "/v1/logs": "logs", "/v1/traces": "traces"}
LARGEST: Final = 4 * 1024 * 1024
"""Bytes of one body; a larger one is read and discarded."""
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
_ENCODINGS: Final = frozenset({"", "identity", "gzip"})

Headers = list[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


def without_encoding(headers: Headers) -> Headers:
    """Return the headers without Content-Encoding: bodies may be compressed here, for nobody reads them."""
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
    return Telemetry(SIGNALS[path], content_type, "gzip" if encoding == "gzip" else "", b"".join(pieces))


def _value(headers: Headers, name: bytes) -> str:
    """Return a header's value without parameters, in lower case; of several lines the first."""
    found = next((value for known, value in headers if known == name), b"")
    return found.partition(b";")[0].strip().lower().decode("latin-1")
