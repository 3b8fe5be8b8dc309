"""What the gateway says when it does not relay: one exception, one envelope, one table of types."""

import json
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

JSON: Final = "application/json"

TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    431: "invalid_request_error",
    501: "not_supported",
    529: "overloaded_error",
}
"""The error type of each status; every other 5xx is an ``api_error``."""


class Refusal(Exception):
    """The gateway answers by itself.

    Args:
        status: HTTP status.
        message: one sentence or two: what happened, and the fix. Never contains a credential or a part of a prompt.
        headers: additional response headers.
        log: what the operator should read, when it is more than the client may.
        kind: the error's type, when it is another than its status usually has.
    """

    def __init__(self, status: int, message: str, *headers: tuple[str, str], log: str = "", kind: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers
        self.log = log
        self.kind = kind or TYPES.get(status, "api_error")


def envelope(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """Return the error body that Messages API clients understand."""
    return {
        "type": "error",
        "request_id": request_id,
        "error": {"type": refusal.kind, "message": refusal.message},
    }


def response_headers(refusal: Refusal, request_id: str, length: int) -> list[tuple[str, str]]:
    """Return the headers that go with a refusal's envelope."""
    return [
        ("content-type", JSON),
        ("content-length", str(length)),
        ("cache-control", "no-store"),
        ("x-request-id", request_id),
        *refusal.headers,
    ]


def render(refusal: Refusal, request_id: str, *, keep_alive: bool, head_only: bool = False) -> bytes:
    """Return the whole HTTP/1.1 response; ``head_only`` for a ``HEAD`` request."""
    return answer(refusal, request_id, envelope(refusal, request_id), keep_alive=keep_alive, head_only=head_only)


def answer(
    refusal: Refusal,
    request_id: str,
    document: dict[str, Any],
    *more: tuple[str, str],
    keep_alive: bool,
    head_only: bool = False,
) -> bytes:
    """Return the whole HTTP/1.1 response with this document for a body and ``more`` headers."""
    body = json.dumps(document).encode()
    headers = [*response_headers(refusal, request_id, len(body)), *more]
    if not keep_alive:
        headers.append(("connection", "close"))
    return _status_line(refusal.status) + _lines(headers) + b"\r\n" + (b"" if head_only else body)


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Overloaded"  # 529, which HTTP itself does not know
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


def _lines(headers: Iterable[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("latin-1")
