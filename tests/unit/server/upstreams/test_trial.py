"""One small request to an upstream, and the sentence that its answer becomes."""

from typing import Any

import pytest
from local_server import local_server

from keystead.secret import Secret
from keystead.server.fixed_credential import FixedCredential
from keystead.server.outbound import Reach
from keystead.server.upstream_shape import CredentialUnavailable, Kind, Unsigned, Upstream
from keystead.server.upstreams import trial

LOOPBACK = Reach(loopback=True)


def at(url: str, kind: Kind = Kind.MESSAGES, **more: Any) -> Upstream:
    return Upstream("upst_1", "A", kind, url, **({"credential": FixedCredential(Secret("k"))} | more))


@pytest.mark.parametrize(
    ("status", "works", "said"),
    [
        (200, True, "It answered GET /v1/models."),
        (429, True, "at its limit"),
        (400, False, "check region, project"),
        (401, False, "refused the credential (401): enter another one"),
        (403, False, "refused the credential (403): give it the permission"),
        (302, False, "sends elsewhere (302), which is never followed"),
        (418, False, "refused the test (418)"),
        (503, False, "in trouble itself (503)"),
    ],
)
def test_each_answer_is_one_sentence(status: int, works: bool, said: str) -> None:
    with local_server({"GET /p/v1/models": (status, "application/json", {"secret": "of the upstream"})}) as server:
        outcome = trial.ask(at(f"{server.url}/p", headers=(("anthropic-workspace-id", "wrk"),)), LOOPBACK)
    assert outcome.works is works
    assert said in outcome.sentence
    (asked,) = server.asked
    assert asked.path == "/p/v1/models?limit=1"
    assert {name: asked.headers[name] for name in ("x-api-key", "anthropic-version", "anthropic-workspace-id")} == {
        "x-api-key": "k",
        "anthropic-version": "2023-06-01",
        "anthropic-workspace-id": "wrk",
    }


def test_where_there_is_no_list_tokens_are_counted() -> None:
    with local_server({"POST /v1/messages/count_tokens": (200, "application/json", {})}) as server:
        named = at(server.url, models={"opus": "our-deployment"})
        assert trial.ask(named, LOOPBACK).sentence == "It answered POST /v1/messages/count_tokens."
    assert '"model": "our-deployment"' in server.asked[1].body
    with local_server({}) as server:
        assert "It has no /v1/messages/count_tokens (404)" in trial.ask(named_at(server.url), LOOPBACK).sentence


def named_at(url: str) -> Upstream:
    return at(url, Kind.FOUNDRY)


def test_where_nothing_is_free_an_empty_question_shows_whether_the_credential_is_taken() -> None:
    for status, works in ((400, True), (403, False)):
        with local_server({"POST /model/ours%3A0/invoke": (status, "application/json", {})}) as server:
            outcome = trial.ask(at(server.url, Kind.BEDROCK, models={"opus": "ours:0"}), LOOPBACK)
        assert outcome.works is works
        assert "the credential" in outcome.sentence
        assert server.asked[0].body == '{"messages": []}'


def test_it_goes_nowhere_that_requests_would_not_go() -> None:
    with local_server({"*": (200, "text/plain", "x")}) as server:
        refused = trial.ask(at(server.url), Reach(setting="KEYSTEAD_SERVER_UPSTREAM_NETWORKS"))
    assert not refused.works
    assert "can open it with KEYSTEAD_SERVER_UPSTREAM_NETWORKS" in refused.sentence
    assert server.asked == []
    assert "could not be reached" in trial.ask(at("http://127.0.0.1:9"), LOOPBACK).sentence


def test_a_credential_that_cannot_be_had_is_no_request() -> None:
    class Gone(FixedCredential):
        def lines(self, _request: Unsigned) -> bytes:
            raise CredentialUnavailable("the token ended")

    with local_server({"*": (200, "text/plain", "x")}) as server:
        outcome = trial.ask(at(server.url, credential=Gone(Secret("k"))), LOOPBACK)
    assert outcome == trial.Outcome(works=False, sentence="Its credential cannot be had: the token ended")
    assert server.asked == []


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_a_question(kind: Kind) -> None:
    asked = trial.questions(at("https://x", kind, region="global", project="p", models={"a": "b"}))
    assert asked
    assert all(one.path.startswith("/") for one in asked)
