"""Answers as Amazon Bedrock gives them: an event stream of its own, and errors with the name of an exception."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from keystead.server.gateway.client import Client
from keystead.server.gateway.metering import EVENTS
from keystead.server.gateway.refusals import JSON, Refusal, answer, envelope
from keystead.server.gateway.upstreams.foreign import message_of
from keystead.server.gateway.upstreams.translation import END, chunk
from keystead.wire import event_stream, fields, sse
from keystead.wire.event_stream import Message
from keystead.wire.http1 import Body, MalformedResponse, ResponseHead, parse_head
from keystead.wire.members import edited

_LARGEST_ERROR: Final = 1 << 20
_OF_BODY: Final = re.compile(rb"\r\n(?:content-type|content-length|transfer-encoding):[^\r\n]*", re.IGNORECASE)
_REQUEST_ID: Final = re.compile(rb"\r\nx-request-id:[ \t]*([^\r\n]*)", re.IGNORECASE)
_NAMED: Final = (b"x-amzn-errortype", b"x-amzn-requestid")
_STREAM: Final = b"\r\ncontent-type: %b\r\nx-amzn-bedrock-content-type: application/json" % (
    event_stream.CONTENT_TYPE.encode("ascii")
)
_GONE: Final = "The answer broke off before it was complete. Ask again."

_OF_TYPE: Final[Mapping[str, str]] = {
    "authentication_error": "UnrecognizedClientException",
    "billing_error": "ServiceQuotaExceededException",
    "invalid_request_error": "ValidationException",
    "not_found_error": "ResourceNotFoundException",
    "overloaded_error": "ServiceUnavailableException",
    "permission_error": "AccessDeniedException",
    "rate_limit_error": "ThrottlingException",
    "request_too_large": "ValidationException",
    "timeout_error": "ModelTimeoutException",
}
"""Error type of the Messages API -> Amazon's exception."""
_OF_STATUS: Final[Mapping[int, str]] = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    429: "ThrottlingException",
    502: "ServiceUnavailableException",
    503: "ServiceUnavailableException",
    504: "ModelTimeoutException",
    529: "ServiceUnavailableException",
}
"""The same by the status, where the type says nothing more."""
_OTHERWISE: Final = "InternalServerException"
_IN_STREAM: Final = frozenset(
    {
        "internalServerException",
        "modelStreamErrorException",
        "modelTimeoutException",
        "serviceUnavailableException",
        "throttlingException",
        "validationException",
    }
)
"""What Amazon's stream may end with."""


def exception_of(kind: str, status: int) -> str:
    """Return Amazon's exception for an error of this type and status; one that is unknown is the server's."""
    return _OF_TYPE.get(kind) or _OF_STATUS.get(status, "ValidationException" if 400 <= status < 500 else _OTHERWISE)


def render(refusal: Refusal, request_id: str, *, keep_alive: bool, head_only: bool = False) -> bytes:
    """Return what a client of Bedrock is told of a refusal; the rest of the envelope stands beside Amazon's."""
    document = {"message": refusal.message, **envelope(refusal, request_id)}
    more = (("x-amzn-errortype", exception_of(refusal.kind, refusal.status)), ("x-amzn-requestid", request_id))
    return answer(refusal, request_id, document, *more, keep_alive=keep_alive, head_only=head_only)


def frame(event: sse.Event) -> bytes:
    """Return the message of an event of the Messages API; an error is an exception, which ends the stream."""
    if event.name != "error":
        return event_stream.dump_event(event)
    try:
        error = json.loads(event.data)["error"]
        kind, text = str(error["type"]), str(error["message"])
    except (ValueError, TypeError, KeyError, RecursionError):
        kind, text = "api_error", event.data
    return _exception(exception_of(kind, 500), text)


def _exception(name: str, text: str) -> bytes:
    name = name[:1].lower() + name[1:]
    if name not in _IN_STREAM:
        name = "modelStreamErrorException"
    kind = {":message-type": "exception", ":exception-type": name, ":content-type": JSON}
    return event_stream.dump(Message(kind, fields.dump({"message": text})))


class Answers:
    """Stands between an exchange and the connection of a client of Bedrock. Implements :class:`.client.Client`.

    What is written is an answer of the gateway in Messages form. Of it, a stream of events becomes one of Amazon's,
    each event as soon as it is complete; an error gets Amazon's names; anything else goes on as it is.
    """

    __slots__ = ("_body", "_client", "_ended", "_error", "_events", "_framed", "_head", "_step", "_text")

    _head: ResponseHead
    _body: Body

    def __init__(self, client: Client) -> None:
        self._client = client
        self._step: Callable[[bytes], None] = self._begin
        self._events: sse.Parser | None = None
        self._error = False
        self._text = b""
        self._framed = True
        self._ended = False

    def write(self, data: bytes) -> None:
        self._step(data)

    def _begin(self, data: bytes) -> None:
        """Take the head, which an exchange writes in one piece, and what follows it."""
        block, _, rest = data.partition(b"\r\n\r\n")
        head = self._head = parse_head(block)
        self._body = head.body()
        if head.status >= 400:
            self._error, self._step = True, self._keep
        elif head.content_type == EVENTS:
            self._events, self._step = sse.Parser(), self._relay
            self._framed = not self._client.is_old()
            self._client.write(_start(head, _STREAM + (b"\r\ntransfer-encoding: chunked" if self._framed else b"")))
        else:
            self._begin_document()
        self._step(rest)

    def _begin_document(self) -> None:
        """Begin an answer that is no stream and no error."""
        head, self._step = self._head, self._client.write
        self._client.write(b"HTTP/1.1 %d %b%b\r\n\r\n" % (head.status, head.fields, _names(head)))

    def _relay(self, data: bytes) -> None:
        """Pass a piece of a stream on."""
        events = self._events
        if events is None or self._ended:
            return
        try:
            said = b"".join([frame(event) for event in events.feed(self._body.feed(data))])
        except sse.EventTooLarge as error:
            raise MalformedResponse(str(error)) from error
        if self._framed:
            said = (chunk(said) if said else b"") + (END if self._body.done else b"")
        self._ended = self._body.done
        if said:
            self._client.write(said)

    def _keep(self, data: bytes) -> None:
        """Keep a piece of an error; it is told once it is complete."""
        self._text += self._body.feed(data)
        if len(self._text) > _LARGEST_ERROR:
            raise MalformedResponse("its error is too long")
        if self._error and self._body.done:
            self._tell()

    def _tell(self) -> None:
        self._error = False
        head, (kind, body) = self._head, _error(self._text, self._head.status)
        about = b"\r\ncontent-type: application/json\r\ncontent-length: %d" % len(body)
        if _NAMED[0] not in head.fields.lower():
            about += b"\r\nx-amzn-errortype: %b" % exception_of(kind, head.status).encode("ascii")
        self._client.write(_start(head, about) + body)

    def awaiting(self, seconds: float) -> None:
        self._client.awaiting(seconds)

    def closes_after(self) -> bool:
        return self._client.closes_after()

    def is_old(self) -> bool:
        return self._client.is_old()

    def refuse(self, refusal: Refusal) -> None:
        self._client.refuse(refusal)

    def finished(self, *, close: bool) -> None:
        if self._error:
            self._tell()
        elif self._events is not None and self._framed and not self._ended:
            self._client.write(END)
        self._client.finished(close=close)

    def cut(self) -> None:
        """End a stream as Amazon does when the model fails it; end with the connection what else has begun."""
        if self._error:  # of which nothing has gone out: what is certain is its status
            self._text = b""
            self._tell()
        elif self._events is not None and not self._ended:
            said = _exception("modelStreamErrorException", _GONE)
            self._client.write(chunk(said) + END if self._framed else said)
        else:
            self._client.cut()
            return
        self._client.finished(close=True)


class Counts(Answers):
    """The same for a number of tokens, which Amazon calls otherwise."""

    __slots__ = ()

    def _begin_document(self) -> None:
        self._step = self._count

    def _count(self, data: bytes) -> None:
        """Keep a piece of the document; it is told once it is complete."""
        if self._ended:
            return
        self._text += self._body.feed(data)
        if len(self._text) > _LARGEST_ERROR:
            raise MalformedResponse("its number of tokens is too long")
        if self._body.done:
            self._say()

    def _say(self) -> None:
        try:
            tokens = int(fields.Fields.parse(self._text, "answer").number("input_tokens"))
        except fields.Malformed as error:
            raise MalformedResponse(f"its number of tokens cannot be read: {error}") from error
        self._ended = True
        body = b'{"inputTokens":%d}' % tokens
        about = b"\r\ncontent-type: application/json\r\ncontent-length: %d" % len(body)
        self._client.write(_start(self._head, about) + body)

    def finished(self, *, close: bool) -> None:
        if self._step == self._count and not self._ended:
            self._say()
        super().finished(close=close)

    def cut(self) -> None:
        if self._step == self._count and not self._ended:  # nothing has gone out
            self._client.refuse(Refusal(502, "The upstream gave no number of tokens that can be read."))
        else:
            super().cut()


def _start(head: ResponseHead, about_body: bytes) -> bytes:
    """Return the head of an answer with another body."""
    fields_left = _OF_BODY.sub(b"", head.fields)
    return b"HTTP/1.1 %d %b%b%b\r\n\r\n" % (head.status, fields_left, about_body, _names(head))


def _names(head: ResponseHead) -> bytes:
    """Return the line with the request's id under Amazon's name, unless there is one."""
    found = _REQUEST_ID.search(head.fields)
    if found is None or _NAMED[1] in head.fields.lower():
        return b""
    return b"\r\nx-amzn-requestid: %b" % found[1]


def _error(body: bytes, status: int) -> tuple[str, bytes]:
    """Return the type of an error, and its body with Amazon's ``message`` before the rest of it."""
    try:
        said: Any = json.loads(body)
        text = message_of(said) or f"The upstream answered {status} and gave no reason."
        inner = said.get("error") if isinstance(said, dict) else None
        kind = str(inner.get("type", "")) if isinstance(inner, dict) else ""
        return kind, edited(body, frozenset({"message"}), {"message": text})
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace").strip() or f"The upstream answered {status} and gave no reason."
        return "", fields.dump({"message": text})
