"""Answers as Google Cloud gives them: the Messages API's own, and refusals with Google's code and status in them."""

from collections.abc import Mapping
from typing import Final

from keystead.server.gateway.refusals import Refusal, answer, envelope

_STATUSES: Final[Mapping[int, str]] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    431: "INVALID_ARGUMENT",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}
"""HTTP status -> Google's name for it (``google.rpc.Code``)."""


def render(refusal: Refusal, request_id: str, *, keep_alive: bool, head_only: bool = False) -> bytes:
    """Return what a client of Google Cloud is told of a refusal: one error that both kinds of readers understand."""
    document = envelope(refusal, request_id)
    document["error"] |= {"code": refusal.status, "status": _STATUSES.get(refusal.status, "INTERNAL")}
    return answer(refusal, request_id, document, keep_alive=keep_alive, head_only=head_only)
