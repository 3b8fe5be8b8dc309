"""The unmodified OpenAI SDK works through the gateway, with the same keys, rules and ledger as every other client."""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import openai
import pytest
from openai_api import OpenAIApi, serving
from upstreams import upstream

from keystead.secret import Secret
from keystead.server.fixed_credential import FixedCredential
from keystead.server.gateway.ports import Kind

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

KEY = "openai-key-canary"
MESSAGE: Any = [{"role": "user", "content": "hello"}]


@pytest.fixture
def api() -> Iterator[OpenAIApi]:
    with serving(KEY) as running:
        yield running


@pytest.fixture(params=["", "/v1"], ids=["the origin", "with /v1"])
def running(request: pytest.FixtureRequest, api: OpenAIApi, serve: Callable[..., "Running"]) -> "Running":
    credential = FixedCredential(Secret(KEY), "authorization")
    place = api.base_url + request.param
    return serve(upstreams=[upstream(place, "openai", kind=Kind.OPENAI, credential=credential)])


@pytest.fixture
def client(running: "Running") -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=running.base_url + "/v1", api_key=running.key, max_retries=0) as one:
        yield one


def test_a_completion_arrives_and_is_written_down(running: "Running", api: OpenAIApi, client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-test", messages=MESSAGE)
    assert answer.choices[0].message.content == "This is not a model"
    (row,) = running.ledger.wait()
    assert (row.input_tokens, row.cache_read_tokens, row.output_tokens, row.estimated) == (20, 30, 5, False)
    assert (row.model, row.upstream, row.upstream_kind, row.status) == ("gpt-test", "openai", "openai", 200)
    path, headers, body = api.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(body)["messages"] == MESSAGE
    assert running.key not in str(headers)


@pytest.mark.requirement("G-01 OpenAI")
def test_a_stream_that_tells_is_written_down_as_told(running: "Running", client: openai.OpenAI) -> None:
    asked: Any = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(model="gpt-test", messages=MESSAGE, **asked))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "This is not a model"
    (row,) = running.ledger.wait()
    assert (row.input_tokens, row.cache_read_tokens, row.output_tokens, row.estimated) == (20, 30, 5, False)
    assert row.streamed


@pytest.mark.requirement("G-01 OpenAI")
def test_a_stream_that_does_not_tell_is_never_free(running: "Running", client: openai.OpenAI) -> None:
    assert len(list(client.chat.completions.create(model="gpt-test", messages=MESSAGE, stream=True))) == 6
    (row,) = running.ledger.wait()
    assert row.estimated
    assert row.output_tokens >= 5
    assert row.input_tokens > 0


def test_a_response_arrives_streamed_or_not(running: "Running", client: openai.OpenAI) -> None:
    assert client.responses.create(model="gpt-test", input="hello").output_text == "This is not a model"
    events = client.responses.create(model="gpt-test", input="hello", stream=True)
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(pieces) == "This is not a model"
    rows = running.ledger.wait(2)
    assert [(row.input_tokens, row.cache_read_tokens, row.output_tokens) for row in rows] == [(30, 10, 7)] * 2
    assert [(row.streamed, row.estimated) for row in rows] == [(False, False), (True, False)]


def test_who_pays_upstream_is_not_the_clients_choice(running: "Running", api: OpenAIApi) -> None:
    choice = {"organization": "org-elsewhere", "project": "proj-elsewhere"}
    with openai.OpenAI(base_url=running.base_url + "/v1", api_key=running.key, max_retries=0, **choice) as client:  # type: ignore[arg-type]
        client.chat.completions.create(model="gpt-test", messages=MESSAGE)
    assert "elsewhere" not in str(api.requests[0][1])


def test_the_sdk_raises_its_own_errors(running: "Running", client: openai.OpenAI) -> None:
    with (
        openai.OpenAI(base_url=running.base_url + "/v1", api_key="nobody's", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError, match="not known here"),
    ):
        stranger.chat.completions.create(model="gpt-test", messages=MESSAGE)
    with pytest.raises(openai.BadRequestError, match="model"):
        client.chat.completions.create(model="", messages=MESSAGE)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_messages_find_no_upstream_that_speaks_them(running: "Running", path: str) -> None:
    answer = running.ask(target=path)
    assert (answer.status, "speaks the Messages API" in answer.error["message"]) == (404, True)


def test_completions_find_no_upstream_among_others(serve: Callable[..., "Running"], api: OpenAIApi) -> None:
    running = serve(upstreams=[upstream(api.base_url)])
    answer = running.ask(target="/v1/chat/completions")
    assert (answer.status, "speaks the OpenAI API" in answer.error["message"]) == (404, True)
    assert api.requests == []


@pytest.mark.requirement("G-01 OpenAI")
@pytest.mark.parametrize(
    "field", ['"background":true', '"background" : true', '"back\\u0067round":true', '"background":1']
)
def test_an_answer_in_the_background_which_nobody_could_count_is_refused(
    running: "Running", api: OpenAIApi, field: str
) -> None:
    """It would be paid for when its usage is not known yet, and be read by a later request that goes on from it."""
    answer = running.ask(b'{"model":"gpt-test","input":"hello",%b}' % field.encode(), target="/v1/responses")
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert answer.error["message"].startswith("background: ")
    assert api.requests == []


@pytest.mark.parametrize("value", ["false", "null"])
def test_an_answer_that_is_not_in_the_background_arrives(running: "Running", value: str) -> None:
    body = b'{"model":"gpt-test","input":"hello","background":%b}' % value.encode()
    assert running.ask(body, target="/v1/responses").status == 200
