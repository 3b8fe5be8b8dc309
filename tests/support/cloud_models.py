"""A fake of every cloud's model API, upstreams that lead to it, and clients' requests in every format."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from botocore.eventstream import EventStreamBuffer
from local_server import Answer, Asked, LocalServer
from upstreams import upstream

from keystead.secret import Secret
from keystead.server.fixed_credential import FixedCredential
from keystead.server.gateway.ports import Kind, Upstream
from keystead.testing.messages_api.answers import encode_event, message
from keystead.testing.messages_api.answers import events as events_of
from keystead.testing.messages_api.scenarios import Scenario
from keystead.wire import event_stream, sse
from keystead.wire.http1 import ChunkedBody

MODEL: Final = "claude-x"
AMAZONS: Final = "anthropic.claude-x-v1:0"
GOOGLES: Final = "claude-x@20260101"
DEPLOYMENT: Final = "our-claude-x"
KINDS: Final = (Kind.MESSAGES, Kind.ANTHROPIC, Kind.BEDROCK, Kind.AWS, Kind.VERTEX, Kind.FOUNDRY)
"""Every kind of upstream that a Messages request can go to."""


def said(asked: Asked) -> Answer:
    """Answer like the cloud whose address was asked."""
    body = json.loads(asked.body) | {"model": MODEL}
    path = asked.path.partition("?")[0]
    if path.endswith(("count-tokens:rawPredict", "/count_tokens")):
        return 200, "application/json", {"input_tokens": 3}
    streamed = list(events_of(body, Scenario(pings=1), "msg_1"))
    if path.endswith("/invoke-with-response-stream"):
        return 200, event_stream.CONTENT_TYPE, amazons_stream(streamed)
    if path.endswith(":streamRawPredict") or (path.endswith("/v1/messages") and body.get("stream")):
        return 200, "text/event-stream", b"".join(map(encode_event, streamed))
    return 200, "application/json", message(body, Scenario(), "msg_1")


def amazons_stream(events: list[dict[str, Any]]) -> bytes:
    """Return events as Bedrock streams them."""
    found = [one for event in events for one in sse.Parser().feed(encode_event(event))]
    return b"".join(map(event_stream.dump_event, found))


def at(kind: Kind, server: LocalServer, **more: Any) -> Upstream:
    """Return an upstream of a kind at the fake."""
    names = {Kind.BEDROCK: AMAZONS, Kind.VERTEX: GOOGLES, Kind.FOUNDRY: DEPLOYMENT}
    prefix = {Kind.VERTEX: "/v1", Kind.FOUNDRY: "/anthropic"}.get(kind, "")
    usual: dict[str, Any] = {
        "models": {MODEL: names[kind]} if kind in names else {},
        "region": "global",
        "project": "p-1",
        "credential": FixedCredential(Secret("cloud-key"), "authorization"),
    }
    return upstream(server.url + prefix, kind.value, kind=kind, **usual | more)


@dataclass(frozen=True)
class Spoken:
    """A format of clients.

    Attributes:
        target: the address of a question about a model, streamed or not.
        body: the question there.
        events: the events of a stream, out of its bytes.
        own: the name of :data:`MODEL` in it.
    """

    target: Callable[[str, bool], str]
    body: Callable[[str, bool], dict[str, Any]]
    events: Callable[[bytes], list[dict[str, Any]]]
    own: str

    def question(self, *, stream: bool, model: str = "", **more: Any) -> tuple[str, bytes]:
        """Return address and body of a question."""
        model = model or self.own
        asked = {"max_tokens": 16, "messages": [{"role": "user", "content": "x"}]}
        return self.target(model, stream), json.dumps(self.body(model, stream) | asked | more).encode()


def _read_sse(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(event.data) for event in sse.Parser().feed(data)]


def read_amazons(data: bytes) -> list[dict[str, Any]]:
    """Return what botocore reads in an event stream; an exception as ``{name: message}``."""
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    found = []
    for one in buffer:
        payload = json.loads(one.payload)
        if one.headers[":message-type"] == "exception":
            found.append({one.headers[":exception-type"]: payload["message"]})
        else:
            found.append(json.loads(base64.b64decode(payload["bytes"])))
    return found


def _messages_body(model: str, stream: bool) -> dict[str, Any]:
    return {"model": model} | ({"stream": True} if stream else {})


FORMATS: Final = {
    "messages": Spoken(lambda *_: "/v1/messages", _messages_body, _read_sse, MODEL),
    "bedrock": Spoken(
        lambda model, stream: f"/model/{quote(model, safe='')}/invoke{'-with-response-stream' if stream else ''}",
        lambda *_: {"anthropic_version": "bedrock-2023-05-31"},
        read_amazons,
        AMAZONS,
    ),
    "vertex": Spoken(
        lambda model, stream: (
            f"/v1/projects/p-9/locations/eu/publishers/anthropic/models/{model}:"
            f"{'streamRawPredict' if stream else 'rawPredict'}"
        ),
        lambda _, stream: {"anthropic_version": "vertex-2023-10-16"} | ({"stream": True} if stream else {}),
        _read_sse,
        GOOGLES,
    ),
    "foundry": Spoken(lambda *_: "/anthropic/v1/messages", _messages_body, _read_sse, DEPLOYMENT),
}
"""By name."""

OWN: Final = ("bedrock", "vertex", "foundry")
CLOUDS: Final = {"bedrock": Kind.BEDROCK, "vertex": Kind.VERTEX, "foundry": Kind.FOUNDRY}
AS_IT_IS: Final = "claude-sonnet-4-5-20250929"
"""A model that the Messages API's fake knows, and what the clouds call it."""
CALLED: Final = {
    "bedrock": f"us.anthropic.{AS_IT_IS}-v1:0",
    "vertex": "claude-sonnet-4-5@20250929",
    "foundry": AS_IT_IS,
    "messages": AS_IT_IS,
}


def ask(running: Any, spoken: Spoken, *lines: str, stream: bool = False, **more: Any) -> Any:
    """Ask a running gateway in a format, and return its answer."""
    target, body = spoken.question(stream=stream, **more)
    return running.ask(body, *lines, target=target)


def payload(answer: Any) -> bytes:
    """Return the body of an answer, without chunks."""
    body: bytes = answer.body
    return ChunkedBody().feed(body) if "transfer-encoding" in answer.headers else body


def message_of(name: str, answer: Any) -> str:
    """Return the words of an error, having checked that it is in the shape that clients of the format read."""
    document = json.loads(answer.body)
    assert document["type"] == "error"
    if name == "bedrock":
        assert document["message"] == document["error"]["message"]
        assert answer.headers["x-amzn-errortype"].endswith("Exception")
        assert answer.headers["x-amzn-requestid"]
    text: str = document["error"]["message"]
    return text
