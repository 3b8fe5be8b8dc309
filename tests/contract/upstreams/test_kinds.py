"""What the table of kinds promises to a new row: its own request, its own answer, and everything else as for others."""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from upstreams import upstream

from keystead.secret import Secret
from keystead.server.fixed_credential import FixedCredential
from keystead.server.gateway import Limits
from keystead.server.gateway.ports import Kind
from keystead.server.gateway.upstream import Failure
from keystead.server.gateway.upstreams import ADAPTERS, Adapter, messages
from keystead.server.gateway.upstreams.translation import END, Translation, chunk, events
from keystead.testing.messages_api import MessagesApi
from keystead.testing.messages_api.answers import encode_event
from keystead.wire.http1 import MalformedResponse, ResponseHead

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

ASKED = b'{"model":"keystead-test-1","max_tokens":16,"messages":[{"role":"user","content":"x"}]}'


@pytest.fixture
def apis() -> Iterator[list[MessagesApi]]:
    with MessagesApi() as first, MessagesApi() as second:
        yield [first, second]


class Told(Translation):
    """Makes a stream of events of a document, one byte a chunk, and finds fault with an odd one."""

    def on_head(self, head: ResponseHead, *, more: bool) -> None:
        self.parts: list[bytes] = []
        self.head = head

    def on_body(self, _raw: bytes, payload: bytes) -> None:
        self.parts.append(payload)

    def on_end(self) -> None:
        document = json.loads(b"".join(self.parts))
        if self.head.status >= 400:
            self.asked.on_failure(Failure(502, "It says no.", "translated"))
            return
        if document["usage"]["output_tokens"] > 20:
            raise MalformedResponse("too much")
        self.asked.on_head(events(self.head), more=True)
        started = {"type": "message_start", "message": document}
        ended = {"type": "message_delta", "usage": document["usage"]}
        for byte in b"".join(map(encode_event, (started, ended, {"type": "message_stop"}))):
            self.asked.on_body(chunk(bytes([byte])), bytes([byte]))
        self.asked.on_body(END, b"")
        self.asked.on_end()

    def on_answer(self, head: ResponseHead, body: bytes) -> None:
        self.on_head(head, more=True)
        self.on_body(body, body)
        self.on_end()


@pytest.fixture
def telling(monkeypatch: pytest.MonkeyPatch) -> Kind:
    """Add a row to the table: no list, no counting, answers in words of its own."""
    row = Adapter(messages.prepare, lambda asked, *_: Told(asked), counts_tokens=False, lists_models=False)
    monkeypatch.setitem(ADAPTERS, Kind.OPENAI, row)
    return Kind.OPENAI


@pytest.mark.parametrize("framing", ["length", "chunked", "split=7"])
def test_a_translated_answer_is_metered_like_any_other(
    serve: "Callable[..., Running]", apis: list[MessagesApi], telling: Kind, framing: str
) -> None:
    apis[0].behaviour = framing if "=" in framing else f"framing={framing}"
    running = serve(upstreams=[upstream(apis[0].base_url, "a", kind=telling)])
    for number in range(2):
        answer = running.ask(ASKED)
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.body.startswith(b"1\r\ne\r\n1\r\nv\r\n")
        row = running.ledger.wait(number + 1)[number]
        assert (row.output_tokens, row.streamed, row.aborted, row.upstream_kind) == (3, True, False, telling.value)


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("trouble", ["error=404", "words=30"])
def test_a_translator_that_fails_leads_to_the_next(
    serve: "Callable[..., Running]", apis: list[MessagesApi], telling: Kind, trouble: str, framing: str
) -> None:
    apis[0].behaviour = f"{trouble}, framing={framing}"
    first = upstream(apis[0].base_url, "a", kind=telling)
    answer = serve(upstreams=[first, upstream(apis[1].base_url, "b")]).ask(ASKED)
    assert (answer.status, json.loads(answer.body)["type"]) == (200, "message")
    alone = serve(upstreams=[first])
    assert alone.ask(ASKED).status == 502
    (row,) = alone.ledger.wait()
    assert row.status == 502


def test_a_translated_answer_that_is_late_is_not_waited_for(
    serve: "Callable[..., Running]", apis: list[MessagesApi], telling: Kind
) -> None:
    apis[0].behaviour = "late=30"
    first = upstream(apis[0].base_url, "a", kind=telling, first_byte_seconds=0.05)
    running = serve(Limits(sweep_seconds=0.02), upstreams=[first, upstream(apis[1].base_url, "b")])
    assert running.ask(ASKED).status == 200
    apis[0].wait_for(lambda requests: requests[0].disconnected)


def test_counting_goes_where_it_can_be_done_or_is_501(
    serve: "Callable[..., Running]", apis: list[MessagesApi], telling: Kind
) -> None:
    without, other = upstream(apis[0].base_url, "a", kind=telling), upstream(apis[1].base_url, "b")
    path = "/v1/messages/count_tokens"
    answer = serve(upstreams=[without, other]).ask(ASKED, target=path)
    assert (answer.status, json.loads(answer.body).keys()) == (200, {"input_tokens"})
    alone = serve(upstreams=[without])
    answer = alone.ask(ASKED, target=path)
    assert (answer.status, answer.error["type"]) == (501, "not_supported")
    assert apis[0].requests == []
    assert alone.ledger.rows == []


def test_a_kind_of_another_format_is_asked_for_nothing(
    serve: "Callable[..., Running]", apis: list[MessagesApi]
) -> None:
    odd, other = upstream(apis[0].base_url, "a", kind=Kind.OPENAI), upstream(apis[1].base_url, "b")
    assert serve(upstreams=[odd, other]).ask(ASKED).status == 200
    answer = serve(upstreams=[odd]).ask(ASKED)
    assert answer.status == 404
    assert "speaks the Messages API" in answer.error["message"]
    assert apis[0].requests == []


@pytest.mark.parametrize(
    ("header", "sent"),
    [
        ("x-api-key", "k"),
        ("api-key", "k"),
        ("authorization", "Bearer k"),
    ],
)
def test_a_prefix_and_the_place_of_the_key_are_the_upstreams(
    serve: "Callable[..., Running]", apis: list[MessagesApi], header: Any, sent: str
) -> None:
    credential = FixedCredential(Secret("k"), header)
    foundry = upstream(f"{apis[0].base_url}/anthropic/", "f", kind=Kind.FOUNDRY, credential=credential)
    running = serve(upstreams=[foundry])
    running.ask(ASKED, "api-key: canary", target="/v1/messages?beta=true")
    (recorded,) = apis[0].requests
    assert recorded.target == "/anthropic/v1/messages?beta=true"
    names = ("x-api-key", "api-key", "authorization")
    assert [line for line in recorded.raw_headers if line[0] in names] == [(header, sent)]
