"""The list of models of a caller with several upstreams: one list, whoever of them is in trouble."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from permits import allowing
from upstreams import upstream

from keystead.server.gateway.ports import Kind, Unsigned
from keystead.testing.messages_api import MessagesApi

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Answer, Running

LISTS = (("claude-opus-5", "claude-sonnet-5"), ("claude-sonnet-5", "claude-haiku-4-5"))


@pytest.fixture
def apis() -> Iterator[list[MessagesApi]]:
    with ExitStack() as stack:
        yield [stack.enter_context(MessagesApi(lists=names)) for names in LISTS]


@pytest.fixture
def two(serve: "Callable[..., Running]", apis: list[MessagesApi]) -> "Running":
    return serve(upstreams=[upstream(api.base_url, name) for api, name in zip(apis, "ab", strict=True)])


def ask(running: "Running", query: str = "?limit=1000") -> "Answer":
    return running.send(f"GET /v1/models{query} HTTP/1.1\r\nhost: x\r\nx-api-key: {running.key}\r\n\r\n".encode())


def names(running: "Running", query: str = "?limit=1000") -> list[str]:
    answer = ask(running, query)
    assert answer.status == 200
    return [one["id"] for one in json.loads(answer.body)["data"]]


def test_each_model_is_there_once_in_the_upstreams_order(two: "Running", apis: list[MessagesApi]) -> None:
    assert names(two) == ["claude-opus-5", "claude-sonnet-5", "claude-haiku-4-5"]
    assert [api.requests[0].target for api in apis] == ["/v1/models?limit=1000"] * 2
    assert {api.requests[0].headers["x-api-key"] for api in apis} == {"upstream-key-canary"}
    with anthropic.Anthropic(base_url=two.base_url, api_key=two.key, max_retries=0) as client:
        assert [model.id for model in client.models.list(limit=1)] == names(two)


@pytest.mark.parametrize("trouble", ["error=500", "error=401", "late=30", "slow=0.01, abort=0"])
def test_one_in_trouble_takes_only_its_own_away(two: "Running", apis: list[MessagesApi], trouble: str) -> None:
    apis[0].behaviour = trouble
    assert names(two) == ["claude-sonnet-5", "claude-haiku-4-5"]


def test_when_all_are_in_trouble_the_answer_says_so(
    two: "Running", serve: "Callable[..., Running]", apis: list[MessagesApi]
) -> None:
    for api in apis:
        api.behaviour = "error=529"
    answer = ask(two)
    assert (answer.status, json.loads(answer.body)["error"]["type"]) == (529, "overloaded_error")
    gone = serve(upstreams=[upstream("http://127.0.0.1:1", name) for name in "xy"])
    assert ask(gone).status == 502
    assert ask(gone).error["type"] == "api_error"


def test_what_a_row_names_is_listed_where_there_is_no_list(
    serve: "Callable[..., Running]", apis: list[MessagesApi]
) -> None:
    given: dict[str, Any] = {"kind": Kind.FOUNDRY, "models": {"claude-fable-5": "our-deployment"}}
    without = upstream("http://127.0.0.1:1", "f", serves=("fable", "claude-sonnet-4-5"), **given)
    running = serve(upstreams=[without, upstream(apis[1].base_url, "b", serves=("haiku",))])
    assert names(running) == ["claude-fable-5", "claude-sonnet-4-5", "claude-haiku-4-5"]


def test_the_list_is_the_callers(serve: "Callable[..., Running]", apis: list[MessagesApi]) -> None:
    rows = [upstream(api.base_url, name) for api, name in zip(apis, "ab", strict=True)]
    assert names(serve(upstreams=rows, permits=allowing("sonnet", "haiku"))) == [
        "claude-sonnet-5",
        "claude-haiku-4-5",
    ]
    assert names(serve(upstreams=rows, permits=allowing())) == []


@pytest.mark.parametrize(
    ("query", "expected", "more"),
    [
        ("", [0, 1, 2], False),
        ("?limit=2", [0, 1], True),
        ("?limit=2&after_id=claude-opus-5", [1, 2], False),
        ("?limit=1&before_id=claude-haiku-4-5", [1], True),
        ("?after_id=claude-haiku-4-5", [], False),
        ("?limit=1000&after_id=unknown", [0, 1, 2], False),
    ],
)
def test_a_page_is_what_was_asked_for(two: "Running", query: str, expected: list[int], more: bool) -> None:
    every = ["claude-opus-5", "claude-sonnet-5", "claude-haiku-4-5"]
    document = json.loads(ask(two, query).body)
    assert [one["id"] for one in document["data"]] == [every[number] for number in expected]
    assert document["has_more"] is more
    ends = (every[expected[0]], every[expected[-1]]) if expected else (None, None)
    assert (document["first_id"], document["last_id"]) == ends


@pytest.mark.parametrize("limit", ["0", "1001", "x", "-1", "9" * 5000, "000000001" + "0" * 5000, "%D9%A1"])
def test_a_limit_that_is_none_is_400(two: "Running", limit: str) -> None:
    answer = ask(two, f"?limit={limit}")
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert "limit" in answer.error["message"]


def test_a_signature_covers_the_question_for_the_list(serve: "Callable[..., Running]", apis: list[MessagesApi]) -> None:
    class Signing:
        fixed = None
        version = 0

        def lines(self, request: Unsigned) -> bytes:
            return b"x-signed: %b %b\r\n" % (request.method, request.target)

    running = serve(upstreams=[upstream(apis[0].base_url, "a", kind=Kind.AWS, credential=Signing())])
    assert names(running) == list(LISTS[0])
    assert apis[0].requests[0].headers["x-signed"] == "GET /v1/models?limit=1000"
