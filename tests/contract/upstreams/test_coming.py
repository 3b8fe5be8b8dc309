"""A credential that is being got for the first time: whoever has no other upstream waits for it, within bounds."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from upstreams import UPSTREAM_KEY, upstream

from keystead.secret import Secret
from keystead.server.gateway import coming
from keystead.server.gateway.ports import COMING, Upstream
from keystead.testing.messages_api import MessagesApi

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running


class Given:
    """What the gateway is told of the caller's upstreams: the first once it was asked for so many times."""

    def __init__(self, there: Upstream, behind: tuple[Upstream, ...] = (), times: float = 3) -> None:
        self.there = there
        self.behind = behind
        self.left = times
        self.asked = 0

    def __call__(self, _principal: object) -> list[Upstream]:
        self.asked += 1
        self.left -= 1
        first = self.there if self.left < 0 else replace(self.there, credential=COMING)
        return [first, *self.behind]


@pytest.fixture
def first(api: MessagesApi) -> Upstream:
    return upstream(api.base_url, "first")


@pytest.fixture
def second() -> Iterator[Upstream]:
    with MessagesApi(api_key=Secret(UPSTREAM_KEY)) as other:
        yield upstream(other.base_url, "second")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coming, "LONGEST", 0.2)
    monkeypatch.setattr(coming, "LISTS_WAIT", 0.2)
    monkeypatch.setattr(coming, "EVERY", 0.01)


def serving(serve: "Callable[..., Running]", given: Given) -> "Running":
    running = serve(upstreams=[given.there])
    running.gateway.upstreams = given
    return running


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    "target", ["/v1/messages", "/v1/messages/count_tokens", "/model/keystead-test-1/invoke", "/anthropic/v1/messages"]
)
def test_a_request_without_another_upstream_waits(
    serve: "Callable[..., Running]", first: Upstream, target: str
) -> None:
    given = Given(first)
    running = serving(serve, given)
    assert running.ask(target=target).status == 200
    assert given.asked >= 3
    if not target.endswith("count_tokens"):
        assert [(row.status, row.upstream) for row in running.ledger.wait()] == [(200, "first")]


def test_a_request_with_another_one_goes_there(
    serve: "Callable[..., Running]", first: Upstream, second: Upstream
) -> None:
    given = Given(first, (second,), float("inf"))
    running = serving(serve, given)
    assert running.ask().status == 200
    assert given.asked == 1
    assert [row.upstream for row in running.ledger.wait()] == ["second"]


@pytest.mark.usefixtures("soon")
def test_when_the_others_fail_it_is_waited_for(
    serve: "Callable[..., Running]", first: Upstream, second: Upstream
) -> None:
    given = Given(first)
    running = serving(serve, given)
    refusing = replace(second, credential=None)
    running.gateway.upstreams = lambda principal: [refusing, *given(principal)]
    assert running.ask().status == 200
    assert [row.upstream for row in running.ledger.wait()] == ["first"]


@pytest.mark.usefixtures("soon")
def test_it_is_not_waited_for_without_end(serve: "Callable[..., Running]", first: Upstream) -> None:
    running = serving(serve, Given(first, times=float("inf")))
    answer = running.ask()
    assert (answer.status, answer.error["type"]) == (503, "api_error")
    assert "cannot ask its upstream 'first'" in answer.error["message"]
    assert [row.status for row in running.ledger.wait()] == [503]


@pytest.mark.usefixtures("soon")
def test_one_that_is_left_out_after_all_is_not_waited_for(serve: "Callable[..., Running]", first: Upstream) -> None:
    running = serving(serve, Given(first))
    known = [[replace(first, credential=COMING)]]
    running.gateway.upstreams = lambda _: known.pop() if known else []
    assert running.ask().status == 503


@pytest.mark.usefixtures("soon")
def test_a_client_that_leaves_is_not_asked_for(
    serve: "Callable[..., Running]", first: Upstream, api: MessagesApi
) -> None:
    given = Given(first, times=float("inf"))
    running = serving(serve, given)
    with running.connect() as connection:
        body = b'{"model":"keystead-test-1","messages":[],"max_tokens":1}'
        connection.sendall(running.head(length=len(body)) + body)
        while not given.asked:
            pass
    (row,) = running.ledger.wait()
    given.left = 0
    assert running.ask().status == 200
    assert (row.status, row.aborted) == (499, True)
    assert len(api.requests) == 1


@pytest.mark.usefixtures("soon")
def test_a_list_of_models_waits_too(serve: "Callable[..., Running]", first: Upstream) -> None:
    running = serving(serve, Given(first))
    answer = running.send(running.head().replace(b"POST /v1/messages ", b"GET /v1/models "))
    assert answer.status == 200
    assert json.loads(answer.body)["data"]
