"""The part of the Messages API that ``keystead -p`` speaks: one question, a streamed answer, errors, models.

What a newer server adds (unknown events, unknown fields) is passed over, as the API asks of clients.
"""

from dataclasses import dataclass
from typing import Any, Final

from keystead.wire import fields
from keystead.wire.fields import Fields, Malformed
from keystead.wire.sse import Event

VERSION: Final = "2023-06-01"
"""Value of the ``anthropic-version`` header."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request with one user message, answered as a stream."""

    model: str
    text: str
    max_tokens: int = 8192


def members(question: Question) -> dict[str, Any]:
    """Return what the body of ``POST /v1/messages`` says."""
    return {
        "model": question.model,
        "max_tokens": question.max_tokens,
        "stream": True,
        "messages": [{"role": "user", "content": question.text}],
    }


def dump_question(question: Question) -> bytes:
    """Return the body of ``POST /v1/messages``."""
    return fields.dump(members(question))


def parse_question(body: bytes) -> Question:
    """Read what :func:`dump_question` writes."""
    document = Fields.parse(body, "question")
    message = document.objects("messages")[0]
    return Question(document.text("model"), message.optional_text("content") or "", int(document.number("max_tokens")))


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why the model stopped, such as ``end_turn``, ``max_tokens`` or ``refusal``."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is complete. A stream that ends without it was cut off."""


@dataclass(frozen=True, slots=True)
class ApiError:
    """An error of the API, as a body or in the middle of a stream."""

    type: str
    message: str
    request_id: str | None = None


StreamEvent = TextDelta | Stopped | Finished | ApiError | None


def parse_event(event: Event) -> StreamEvent:
    """Return what an event of the stream means; ``None`` for pings and everything else that needs nothing done.

    Raises:
        Malformed: an event this version knows is not in its format.
    """
    document = Fields.parse(event.data.encode(), "event")
    match document.optional_text("type"):
        case "content_block_delta":
            return _delta(document.object("delta"))
        case "message_delta":
            reason = document.object("delta").optional_text("stop_reason")
            return Stopped(reason) if reason else None
        case "message_stop":
            return Finished()
        case "error":
            return _error(document)
    return None


def _delta(delta: Fields) -> TextDelta | None:
    return TextDelta(delta.optional_text("text") or "") if delta.optional_text("type") == "text_delta" else None


def dump_event(event: TextDelta | Stopped | Finished | ApiError) -> Event:
    """Return the event that :func:`parse_event` reads."""
    match event:
        case TextDelta(text):
            name = "content_block_delta"
            body = {"type": name, "index": 0, "delta": {"type": "text_delta", "text": text}}
        case Stopped(reason):
            name = "message_delta"
            body = {"type": name, "delta": {"stop_reason": reason}}
        case Finished():
            name = "message_stop"
            body = {"type": name}
        case ApiError():
            return Event("error", dump_error(event).decode())
    return Event(name, fields.dump(body).decode())


def parse_error(body: bytes) -> ApiError | None:
    """Return the error in a response body, or ``None`` when there is none. Total: never raises."""
    try:
        return _error(Fields.parse(body, "error"))
    except Malformed:
        return None


def _error(document: Fields) -> ApiError:
    error = document.object("error")
    return ApiError(error.text("type"), error.text("message"), document.optional_text("request_id"))


def dump_error(error: ApiError) -> bytes:
    """Return the body of an error response."""
    inner = {"type": error.type, "message": error.message}
    return fields.dump({"type": "error", "error": inner, "request_id": error.request_id})


def parse_models(body: bytes) -> tuple[str, ...]:
    """Return the ids in an answer of ``GET /v1/models``, in its order.

    Raises:
        Malformed: it is not a list of models.
    """
    return tuple(model.text("id") for model in Fields.parse(body, "list of models").objects("data"))


def dump_models(ids: tuple[str, ...]) -> bytes:
    """Return one page with all models."""
    data = [{"type": "model", "id": name, "display_name": name} for name in ids]
    page = {"data": data, "has_more": False, "first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
    return fields.dump(page)
