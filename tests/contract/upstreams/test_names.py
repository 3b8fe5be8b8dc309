"""Agents ask by the Messages API's names, and each cloud is asked by its own, without anybody's map."""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from cloud_models import AS_IT_IS, CALLED, FORMATS, ask, at, said
from local_server import LocalServer, local_server
from permits import allowing

from keystead.server import cloud_names
from keystead.server.gateway.ports import Kind, Upstream

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

ALIAS = "claude-sonnet-4-5"
PLACE = "/v1/projects/p-1/locations/global/publishers/anthropic/models"
AMAZONS = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
GOOGLES = "claude-sonnet-4-5@20250929"
ADDRESSES = {
    Kind.BEDROCK: ("/model/%s/invoke", quote(AMAZONS, safe="")),
    Kind.VERTEX: (f"{PLACE}/%s:rawPredict", GOOGLES),
}


@pytest.fixture
def cloud() -> Iterator[LocalServer]:
    with local_server({"*": said}) as server:
        yield server


def knowing(kind: Kind, cloud: LocalServer, profile: str = "", **more: object) -> Upstream:
    region = {Kind.BEDROCK: "eu-central-1", Kind.VERTEX: "global"}.get(kind, "")
    known = cloud_names.names(kind, region, profile)
    return at(kind, cloud, **({"models": {}, "region": region, "known": known} | more))


def body(model: str) -> bytes:
    return json.dumps({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}).encode()


@pytest.mark.requirement("G-01 clouds")
@pytest.mark.parametrize("asked", [ALIAS, AS_IT_IS])
@pytest.mark.parametrize("kind", ADDRESSES)
def test_a_model_is_asked_for_by_the_clouds_name_and_counted_by_the_agents(
    serve: "Callable[..., Running]", cloud: LocalServer, kind: Kind, asked: str
) -> None:
    running = serve(upstreams=[knowing(kind, cloud)], permits=allowing(asked))
    assert running.ask(body(asked)).status == 200
    address, name = ADDRESSES[kind]
    assert cloud.asked[0].path == address % name
    assert "model" not in json.loads(cloud.asked[0].body)
    assert [row.model for row in running.ledger.wait()] == [asked]


@pytest.mark.parametrize("kind", ADDRESSES)
def test_what_policies_do_not_list_is_refused_by_the_name_that_was_asked(
    serve: "Callable[..., Running]", cloud: LocalServer, kind: Kind
) -> None:
    running = serve(upstreams=[knowing(kind, cloud)], permits=allowing("claude-opus-5-5"))
    answer = running.ask(body(ALIAS))
    assert (answer.status, cloud.asked) == (400, [])
    assert f"model {ALIAS} is not in your role's availableModels" in answer.error["message"]


@pytest.mark.parametrize(
    ("kind", "asked", "sent"),
    [
        (Kind.BEDROCK, "claude-of-tomorrow", "claude-of-tomorrow"),
        (Kind.BEDROCK, "us.anthropic.claude-opus-5-5", "us.anthropic.claude-opus-5-5"),
        (Kind.VERTEX, "claude-opus-5-5", "claude-opus-5-5"),
        (Kind.VERTEX, "claude-haiku-4-5@20251001", "claude-haiku-4-5@20251001"),
    ],
)
def test_a_name_that_is_not_known_or_is_the_clouds_own_goes_as_it_is(
    serve: "Callable[..., Running]", cloud: LocalServer, kind: Kind, asked: str, sent: str
) -> None:
    assert serve(upstreams=[knowing(kind, cloud)]).ask(body(asked)).status == 200
    assert cloud.asked[0].path == ADDRESSES[kind][0] % sent


@pytest.mark.parametrize("kind", ADDRESSES)
def test_an_administrators_own_name_wins_and_leaves_the_others(
    serve: "Callable[..., Running]", cloud: LocalServer, kind: Kind
) -> None:
    running = serve(upstreams=[knowing(kind, cloud, models={ALIAS: "ours"})])
    for asked in (ALIAS, AS_IT_IS):
        assert running.ask(body(asked)).status == 200
    address, name = ADDRESSES[kind]
    assert [one.path for one in cloud.asked] == [address % "ours", address % name]


def test_where_requests_may_be_processed_is_the_administrators_choice(
    serve: "Callable[..., Running]", cloud: LocalServer
) -> None:
    serve(upstreams=[knowing(Kind.BEDROCK, cloud, "global")]).ask(body("claude-opus-5-5"))
    assert cloud.asked[0].path == "/model/global.anthropic.claude-opus-5-5/invoke"


def test_tokens_are_counted_for_the_model_by_googles_name(serve: "Callable[..., Running]", cloud: LocalServer) -> None:
    running = serve(upstreams=[knowing(Kind.VERTEX, cloud)])
    assert json.loads(running.ask(body(ALIAS), target="/v1/messages/count_tokens").body) == {"input_tokens": 3}
    assert json.loads(cloud.asked[0].body)["model"] == GOOGLES


def test_foundry_is_asked_for_its_usual_deployment_and_the_rest_of_the_body_stays(
    serve: "Callable[..., Running]", cloud: LocalServer
) -> None:
    running = serve(upstreams=[knowing(Kind.FOUNDRY, cloud)])
    for asked in (AS_IT_IS, "claude-opus-5-5"):
        assert running.ask(body(asked)).status == 200
    assert [one.body.encode() for one in cloud.asked] == [body(ALIAS), body("claude-opus-5-5")]
    assert [row.model for row in running.ledger.wait(2)] == [AS_IT_IS, "claude-opus-5-5"]


@pytest.mark.parametrize("name", ["bedrock", "vertex", "foundry"])
def test_a_clouds_own_client_is_taken_at_its_word_there_and_translated_elsewhere(
    serve: "Callable[..., Running]", cloud: LocalServer, name: str
) -> None:
    kind = Kind(name)
    ask(serve(upstreams=[knowing(kind, cloud)]), FORMATS[name], model=CALLED[name])
    other = Kind.VERTEX if kind is Kind.BEDROCK else Kind.BEDROCK
    ask(serve(upstreams=[knowing(other, cloud)]), FORMATS[name], model=CALLED[name])
    own, elsewhere = cloud.asked
    assert quote(CALLED[name], safe="@") in (own.body if kind is Kind.FOUNDRY else own.path)
    assert elsewhere.path == ADDRESSES[other][0] % ADDRESSES[other][1]


def test_the_list_of_models_is_what_administrators_named(serve: "Callable[..., Running]", cloud: LocalServer) -> None:
    running = serve(upstreams=[knowing(Kind.BEDROCK, cloud, models={"ours": "theirs"}), knowing(Kind.VERTEX, cloud)])
    answer = running.send(f"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-api-key: {running.key}\r\n\r\n".encode())
    assert [one["id"] for one in json.loads(answer.body)["data"]] == ["ours"]
