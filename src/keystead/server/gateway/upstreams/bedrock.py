"""Amazon Bedrock: the model in the path, betas in the body, an event stream of its own for an answer.

It counts no tokens and lists no models.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from keystead.server.gateway.ports import Kind
from keystead.server.gateway.request_head import RequestHead
from keystead.server.gateway.upstreams import foreign
from keystead.server.gateway.upstreams.foreign import Errors
from keystead.server.gateway.upstreams.translation import END, chunk, events
from keystead.wire import event_stream, sse
from keystead.wire.fields import Malformed
from keystead.wire.http1 import MalformedResponse, ResponseHead
from keystead.wire.members import edited, members
from keystead.wire.model_scan import RequestFacts

if TYPE_CHECKING:
    from keystead.server.gateway.upstream import Listener, Pool

VERSION: Final = "bedrock-2023-05-31"
_STREAM: Final = event_stream.CONTENT_TYPE.encode("ascii")
_REPLACED: Final = frozenset({"model", "stream", "anthropic_version", "anthropic_beta"})
_PROFILE: Final = b"anthropic-user-profile-id"
_DROPPED: Final = frozenset({b"anthropic-beta", b"anthropic-version", b"accept", _PROFILE})
_METRICS: Final = "amazon-bedrock-invocationMetrics"
"""What Amazon adds to a stream's last event, about its own work; a client of the Messages API knows no such thing."""


def prepare(pool: "Pool", head: RequestHead, facts: RequestFacts, body: bytes) -> Sequence[bytes]:
    """Return the request as Bedrock takes it; raises like :data:`~.adapter.Prepare`."""
    model = quote(foreign.model_in_path(pool, head, facts), safe="")
    action = "invoke-with-response-stream" if facts.stream else "invoke"
    return foreign.request(pool, head, f"/model/{model}/{action}", translated_body(pool, head, body), _DROPPED)


def translated_body(pool: "Pool", head: RequestHead, body: bytes) -> bytes:
    """Return the body without what Bedrock takes from the path, and with what it does not take from the headers."""
    first: dict[str, object] = {"anthropic_version": foreign.version_of(pool, head) or VERSION}
    named = list(dict.fromkeys([*foreign.named(head, b"anthropic-beta"), *_own_betas(body)]))
    if named:
        first["anthropic_beta"] = named
    if profile := foreign.named(head, _PROFILE):
        first["user_profile_id"] = profile[0]
    return foreign.body_with(body, _REPLACED, first)


def _own_betas(body: bytes) -> list[str]:
    """Return the betas that the client wrote into the body itself."""
    if b"anthropic_beta" not in body:
        return []
    try:
        found = [json.loads(one.value) for one in members(body) if one.name == "anthropic_beta"]
    except (ValueError, RecursionError) as error:
        raise foreign.not_json() from error
    return [name for value in found if isinstance(value, list) for name in value if isinstance(name, str)]


class Answer(Errors):
    """Makes server-sent events of Bedrock's messages, one by one as they arrive.

    Nothing has begun before the first of them: a stream that dies within it leads to the next upstream.
    """

    __slots__ = ("_held", "_is_own", "_parser")

    def __init__(self, asked: "Listener", head: RequestHead, _facts: RequestFacts) -> None:
        super().__init__(asked)
        self._is_own = head.own is not None and head.own.kind is Kind.BEDROCK
        self._parser: event_stream.MessagesParser | None = None
        self._held: ResponseHead | None = None

    def on_head(self, head: ResponseHead, *, more: bool) -> None:
        if head.status < 400 and head.content_type == _STREAM:
            self._parser = event_stream.MessagesParser()
            self._held = events(head)
        else:
            super().on_head(head, more=more)

    def on_body(self, raw: bytes, payload: bytes) -> None:
        if self._parser is None:
            super().on_body(raw, payload)
            return
        try:
            said = b"".join([sse.dump(self._plain(event)) for event in self._parser.feed(payload)])
        except (Malformed, sse.EventTooLarge, ValueError) as error:
            raise MalformedResponse(f"its event stream cannot be read: {error}") from error
        if said:
            self._begin()
            super().on_body(chunk(said), said)

    def _begin(self) -> None:
        if self._held is not None:
            super().on_head(self._held, more=True)
            self._held = None

    def _plain(self, event: sse.Event) -> sse.Event:
        """Return an event without what is about Amazon, unless it goes to a client that asked in Amazon's format."""
        if self._is_own or _METRICS not in event.data:
            return event
        return sse.Event(event.name, edited(event.data.encode(), frozenset({_METRICS}), {}).decode())

    def on_end(self) -> None:
        if self._parser is not None:
            if self._parser.unfinished:
                raise MalformedResponse("its event stream ends within a message")
            self._begin()
            super().on_body(END, b"")
        super().on_end()

    def on_answer(self, head: ResponseHead, body: bytes) -> None:
        if head.status < 400 and head.content_type == _STREAM:
            self.on_head(head, more=bool(body))
            self.on_body(body, body)
            self.on_end()
        else:
            super().on_answer(head, body)
