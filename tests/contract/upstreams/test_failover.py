"""Several upstreams: who is asked next, what the client sees of it, and where a session stays."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from upstreams import UPSTREAM_KEY, upstream

from keystead.secret import Secret
from keystead.server.gateway import DirectoryUnavailable, Limits
from keystead.server.gateway.ports import Kind, Unsigned, Upstream
from keystead.server.gateway.routing import LONGEST, PATIENCE
from keystead.testing.clock import FakeClock
from keystead.testing.messages_api import MessagesApi

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

SWIFT = Limits(sweep_seconds=0.02, rest_seconds=0.05)
ASKED = b'{ "model" : "keystead-test-1",\n"max_tokens":16,"messages":[{"role":"user","content":"x"}]}'

TROUBLE = [*(f"error={status}" for status in (401, 403, 404, 429, 500, 502, 503, 529)), "slow=0.001, abort=0"]


@pytest.fixture
def apis() -> Iterator[list[MessagesApi]]:
    with ExitStack() as stack:
        yield [stack.enter_context(MessagesApi(api_key=Secret(f"{UPSTREAM_KEY}-{number}"))) for number in range(3)]


def named(apis: Sequence[MessagesApi], **more: Any) -> list[Upstream]:
    """Return the upstreams ``a``, ``b``, … in this order."""
    rows = zip(apis, "abc", range(3), strict=False)
    return [upstream(api.base_url, name, f"{UPSTREAM_KEY}-{number}", **more) for api, name, number in rows]


@pytest.fixture
def two(serve: "Callable[..., Running]", apis: list[MessagesApi]) -> "Running":
    return serve(SWIFT, upstreams=named(apis[:2]))


def counts(apis: Sequence[MessagesApi]) -> list[int]:
    return [len(api.requests) for api in apis]


# -- who is asked next -----------------------------------------------------------------------------------------------


@pytest.mark.requirement("G-01 failover")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "trouble", [*(f"error={n}" for n in (401, 403, 404, 429, 500, 502, 503, 529)), "slow=0.001, abort=0"]
)
def test_trouble_before_the_first_byte_leads_to_the_next(
    two: "Running", apis: list[MessagesApi], trouble: str, stream: bool
) -> None:
    apis[0].behaviour = trouble
    asked = ASKED.replace(b"{ ", b'{ "stream":true,') if stream else ASKED
    answer = two.ask(asked, "anthropic-beta: x", target="/v1/messages?beta=true")
    assert answer.status == 200
    assert b"test upstream" in answer.body
    assert counts(apis) == [1, 1, 0]
    first, second = (api.requests[0] for api in apis[:2])
    assert (first.target, first.body) == (second.target, second.body) == ("/v1/messages?beta=true", asked)
    assert second.headers["x-api-key"] == f"{UPSTREAM_KEY}-1"
    (row,) = two.ledger.wait()
    assert (row.upstream, row.upstream_kind, row.status) == ("b", "messages", 200)
    assert (row.output_tokens, row.aborted) == (3, False)
    assert row.request_id == answer.headers["x-request-id"]


@pytest.mark.parametrize("status", [400, 402, 413, 422])
def test_any_other_answer_is_the_requests_own_and_final(two: "Running", apis: list[MessagesApi], status: int) -> None:
    apis[0].behaviour = f"error={status}"
    assert two.ask().status == status
    assert counts(apis) == [1, 0, 0]
    (row,) = two.ledger.wait()
    assert (row.upstream, row.status) == ("a", status)


@pytest.mark.requirement("G-11 answers")
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("split", [0, 1])
def test_when_all_fail_the_last_answer_passes_as_it_is(
    two: "Running", apis: list[MessagesApi], framing: str, split: int
) -> None:
    apis[0].behaviour = "error=429"
    apis[1].behaviour = f"error=529, framing={framing}, split={split}"
    answer = two.ask()
    assert (answer.status, answer.headers["retry-after"]) == (529, "1")
    assert b'"overloaded_error"' in answer.body
    assert b"req_fake_" in answer.body
    (row,) = two.ledger.wait()
    assert (row.upstream, row.status) == ("b", 529)


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("split", [0, 1])
def test_an_answer_is_better_than_none(two: "Running", apis: list[MessagesApi], framing: str, split: int) -> None:
    apis[0].behaviour = f"error=529, framing={framing}, split={split}"
    apis[1].behaviour = "slow=0.001, abort=0"
    answer = two.ask()
    assert (answer.status, answer.headers["retry-after"]) == (529, "1")
    assert b'"overloaded_error"' in answer.body
    (row,) = two.ledger.wait()
    assert (row.upstream, row.status) == ("a", 529)


def test_an_error_that_does_not_end_is_not_waited_for(two: "Running", apis: list[MessagesApi]) -> None:
    apis[0].behaviour = "error=500, hang=1"
    assert two.ask().status == 200
    assert counts(apis) == [1, 1, 0]
    apis[0].wait_for(lambda requests: requests[0].disconnected)


def test_all_out_of_reach_is_one_refusal_that_names_the_last(serve: "Callable[..., Running]") -> None:
    running = serve(upstreams=[upstream("http://127.0.0.1:1", "x"), upstream("http://127.0.0.1:1", "y")])
    answer = running.ask()
    assert answer.status == 502
    assert "'y'" in answer.error["message"]
    (row,) = running.ledger.wait()
    assert (row.upstream, row.status) == ("y", 502)


def test_an_upstream_that_thinks_too_long_is_passed_by(
    serve: "Callable[..., Running]", apis: list[MessagesApi]
) -> None:
    apis[0].behaviour = "late=30"
    first, second = named(apis[:2])
    running = serve(SWIFT, upstreams=[replace(first, first_byte_seconds=0.05), second])
    assert running.ask().status == 200
    apis[0].wait_for(lambda requests: requests[0].disconnected)
    (row,) = running.ledger.wait()
    assert row.upstream == "b"


def test_nothing_is_asked_again_after_the_first_byte(two: "Running", apis: list[MessagesApi]) -> None:
    apis[0].behaviour = "abort=2, slow=0.05"
    asked = ASKED.replace(b"{ ", b'{"stream":true,')
    with two.connect() as connection:
        connection.sendall(two.head(length=len(asked)) + asked)
        received = two.read(connection).raw
    assert not received.endswith(b"0\r\n\r\n")
    (row,) = two.ledger.wait()
    assert (row.upstream, row.aborted) == ("a", True)
    assert counts(apis) == [1, 0, 0]


def test_a_client_that_leaves_between_two_upstreams_ends_it(two: "Running", apis: list[MessagesApi]) -> None:
    apis[0].behaviour = "error=500"
    apis[1].behaviour = "late=30"
    with two.connect() as connection:
        connection.sendall(two.head(length=len(ASKED)) + ASKED)
        apis[1].wait_for(lambda requests: len(requests) == 1)
    apis[1].wait_for(lambda requests: requests[0].disconnected)
    (row,) = two.ledger.wait()
    assert (row.upstream, row.status, row.aborted) == ("b", 499, True)


def test_the_connection_of_a_failed_answer_is_used_again(two: "Running", apis: list[MessagesApi]) -> None:
    apis[0].behaviour = "error=404, split=9"
    for _ in range(3):
        assert two.ask().status == 200
    assert {recorded.connection for recorded in apis[0].requests} == {1}


def test_the_log_says_who_failed_and_why_and_nothing_of_what_was_said(
    two: "Running", apis: list[MessagesApi], caplog: pytest.LogCaptureFixture
) -> None:
    apis[0].behaviour = "error=529"
    asked = ASKED.replace(b'"x"', b'"a canary"')
    answer = two.ask(asked)
    assert f"{answer.headers['x-request-id']}: upstream a: answered 529, so b is asked" in caplog.text
    assert "canary" not in caplog.text


# -- circuits and sessions -------------------------------------------------------------------------------------------


def test_a_circuit_opens_tries_again_and_closes(serve: "Callable[..., Running]", apis: list[MessagesApi]) -> None:
    clock = FakeClock()
    running = serve(SWIFT, upstreams=named(apis[:2]), clock=clock)
    apis[0].behaviour = "error=503"
    for _ in range(PATIENCE + 3):
        assert running.ask().status == 200
    assert counts(apis) == [PATIENCE, PATIENCE + 3, 0]
    clock.advance(LONGEST)
    assert running.ask().status == 200  # the trial, which fails
    assert running.ask().status == 200
    assert counts(apis)[0] == PATIENCE + 1
    apis[0].behaviour = ""
    clock.advance(LONGEST)
    assert running.ask().status == 200  # the trial, which succeeds
    assert running.ask().status == 200
    assert counts(apis)[0] == PATIENCE + 3


def test_when_every_circuit_is_open_the_first_is_asked_anyway(
    serve: "Callable[..., Running]", apis: list[MessagesApi]
) -> None:
    running = serve(SWIFT, upstreams=named(apis[:2]), clock=FakeClock())
    apis[0].behaviour = apis[1].behaviour = "error=503"
    for _ in range(PATIENCE):
        assert running.ask().status == 503
    apis[0].behaviour = ""
    assert running.ask().status == 200
    assert counts(apis) == [PATIENCE + 1, PATIENCE, 0]


@pytest.mark.parametrize("status", [403, 404])
def test_what_is_about_one_model_opens_no_circuit(two: "Running", apis: list[MessagesApi], status: int) -> None:
    apis[0].behaviour = f"error={status}"
    for _ in range(PATIENCE + 2):
        assert two.ask().status == 200
    assert counts(apis)[0] == PATIENCE + 2


def test_who_counts_tokens_too_often_takes_no_upstream_from_others(
    serve: "Callable[..., Running]", apis: list[MessagesApi]
) -> None:
    """Counting is free, unlimited here and has a rate of its own there, so its 429 says nothing of model requests."""
    running = serve(SWIFT, upstreams=named(apis[:2]), clock=FakeClock())
    apis[0].behaviour = "error=429"
    for _ in range(PATIENCE + 2):
        assert running.ask(target="/v1/messages/count_tokens").status == 200
    apis[0].behaviour = ""
    assert running.ask().status == 200
    assert counts(apis) == [PATIENCE + 3, PATIENCE + 2, 0]


def test_a_session_stays_where_it_was_served(two: "Running", apis: list[MessagesApi]) -> None:
    session = "x-claude-code-session-id: s1"
    apis[0].behaviour = "error=429"
    assert two.ask(None, session).status == 200
    apis[0].behaviour = ""
    assert two.ask(None, session).status == 200
    assert counts(apis) == [1, 2, 0]
    assert two.ask(None, "x-claude-code-session-id: s2").status == 200
    assert two.ask().status == 200
    assert counts(apis) == [3, 2, 0]
    apis[1].behaviour = "error=529"
    assert two.ask(None, session).status == 200  # its upstream failed, and it moves
    apis[1].behaviour = ""
    assert two.ask(None, session).status == 200
    assert counts(apis) == [5, 3, 0]


# -- models ----------------------------------------------------------------------------------------------------------


def asking(model: str) -> bytes:
    return json.dumps({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": model}]}).encode()


def test_each_model_goes_where_it_is_served(serve: "Callable[..., Running]", apis: list[MessagesApi]) -> None:
    first, second = named(apis[:2])
    routes = [replace(first, serves=("opus",)), replace(second, serves=("haiku", "claude-sonnet-4-5"))]
    running = serve(upstreams=routes)
    for model, expected in (("claude-opus-5", [1, 0]), ("claude-haiku-4-5", [1, 1]), ("claude-sonnet-4-5", [1, 2])):
        assert running.ask(asking(model)).status == 200
        assert counts(apis)[:2] == expected
    answer = running.ask(asking("keystead-test-1"))
    assert (answer.status, answer.error["type"]) == (404, "not_found_error")
    assert "No upstream of your organization serves the model keystead-test-1" in answer.error["message"]
    assert [(row.upstream, row.status) for row in running.ledger.wait(4)][3] == ("", 404)


@pytest.mark.requirement("G-11 names")
def test_a_models_name_is_changed_and_nothing_else(serve: "Callable[..., Running]", apis: list[MessagesApi]) -> None:
    apis[0].behaviour = "error=500"
    first, second = named(apis[:2])
    running = serve(upstreams=[first, replace(second, models={"keystead-test-1": "claude-our-9"})])
    assert running.ask(ASKED).status == 200
    assert apis[0].requests[0].body == ASKED
    assert apis[1].requests[0].body == ASKED.replace(b"keystead-test-1", b"claude-our-9")
    assert apis[1].requests[0].headers["content-length"] == str(len(ASKED) - 3)
    (row,) = running.ledger.wait()
    assert row.model == "keystead-test-1"


# -- kinds, credentials and headers ----------------------------------------------------------------------------------


class Signing:
    """Signs what it is shown, and writes it down."""

    fixed = None

    def __init__(self) -> None:
        self.version = 0
        self.seen: list[Unsigned] = []

    def lines(self, request: Unsigned) -> bytes:
        self.seen.append(request)
        return b"x-api-key: %b\r\n" % f"{UPSTREAM_KEY}-0".encode()


def test_a_signature_covers_the_request_as_it_is_sent(serve: "Callable[..., Running]", apis: list[MessagesApi]) -> None:
    signing, workspace = Signing(), ("anthropic-workspace-id", "wrkspc_1")
    given: dict[str, Any] = {"kind": Kind.AWS, "credential": signing, "headers": (workspace,)}
    running = serve(upstreams=[upstream(f"{apis[0].base_url}/", "a", **given)])
    for number in range(2):
        answer = running.ask(ASKED, "anthropic-workspace-id: another", "anthropic-beta: b", "x-amz-date: canary")
        assert answer.status == 200
        recorded, unsigned = apis[0].requests[number], signing.seen[number]
        assert (unsigned.method, unsigned.target, unsigned.body) == (b"POST", b"/v1/messages", ASKED)
        assert unsigned.host.decode() == recorded.headers["host"]
        assert {name.decode(): value.decode() for name, value in unsigned.headers}.items() <= recorded.headers.items()
        assert (b"anthropic-workspace-id", b"wrkspc_1") in unsigned.headers
        assert [value for name, value in recorded.raw_headers if name == "anthropic-workspace-id"] == ["wrkspc_1"]
        assert "x-amz-date" not in recorded.headers
        assert recorded.headers["x-api-key"] == f"{UPSTREAM_KEY}-0"


class Renewing:
    """A credential that was renewed, or cannot be had."""

    def __init__(self, *keys: str) -> None:
        self.keys = keys
        self.version = 0

    @property
    def fixed(self) -> bytes | None:
        return f"x-api-key: {self.keys[self.version]}\r\n".encode()

    def lines(self, _request: Unsigned) -> bytes:
        raise AssertionError("asked though they are fixed")


def test_a_renewed_credential_counts_from_the_next_request_on_one_connection(
    serve: "Callable[..., Running]", apis: list[MessagesApi]
) -> None:
    renewing = Renewing("old", f"{UPSTREAM_KEY}-0")
    running = serve(upstreams=[upstream(apis[0].base_url, "a", credential=renewing)])
    with running.connect() as connection:
        connection.sendall(running.head(length=len(ASKED)) + ASKED)
        assert running.read(connection).status == 401
        renewing.version = 1
        connection.sendall(running.head(length=len(ASKED)) + ASKED)
        assert running.read(connection).status == 200


def test_a_credential_that_cannot_be_had_leads_to_the_next(
    serve: "Callable[..., Running]", apis: list[MessagesApi]
) -> None:
    from keystead.server.gateway.ports import CredentialUnavailable

    class Missing(Signing):
        def lines(self, request: Unsigned) -> bytes:
            raise CredentialUnavailable("the token endpoint is down")

    first, second = named(apis[:2])
    without = upstream(first.base_url, "a", credential=Missing())
    running = serve(upstreams=[without, second])
    assert running.ask().status == 200
    assert counts(apis) == [0, 1, 0]
    alone = serve(upstreams=[without])
    answer = alone.ask()
    assert (answer.status, answer.error["type"]) == (503, "api_error")
    assert "token endpoint" not in answer.error["message"]


# -- whose upstreams -------------------------------------------------------------------------------------------------


def test_upstreams_are_the_callers_own(serve: "Callable[..., Running]", apis: list[MessagesApi]) -> None:
    first, second = named(apis[:2])
    running = serve(upstreams=[first])
    running.gateway.upstreams = lambda principal: [first] if principal.id == "key_1" else [second]
    assert running.ask().status == 200
    assert running.ask(key=running.other_key).status == 200
    assert counts(apis) == [1, 1, 0]


def test_no_upstream_and_no_knowledge_of_any_are_503(serve: "Callable[..., Running]", apis: list[MessagesApi]) -> None:
    running = serve(upstreams=named(apis))

    def unknown(_: object) -> list[Upstream]:
        raise DirectoryUnavailable("database is locked")

    for upstreams, says in ((lambda _: [], "no upstream"), (unknown, "cannot check")):
        running.gateway.upstreams = upstreams
        answer = running.ask()
        assert (answer.status, answer.error["type"]) == (503, "api_error")
        assert says in answer.error["message"]
    assert running.ledger.rows == []


def test_a_changed_upstream_gets_new_connections_and_the_old_ones_close(
    serve: "Callable[..., Running]", apis: list[MessagesApi]
) -> None:
    first, second = named(apis[:2])
    running = serve(upstreams=[first])
    assert running.ask().status == 200
    moved = upstream(second.base_url, "a", f"{UPSTREAM_KEY}-1")
    running.gateway.upstreams = lambda _: [moved]
    assert running.ask().status == 200
    assert counts(apis) == [1, 1, 0]
    apis[0].wait_for(lambda _: apis[0].connections == 0)
