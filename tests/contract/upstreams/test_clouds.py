"""The gateway before Bedrock and Vertex: their own requests, answers in Messages form, the same row in the ledger."""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from cloud_models import GOOGLES, at, said
from local_server import LocalServer, local_server

from keystead.server.gateway.ports import Kind

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

ODD = b'"metadata":{"x":1.0,"y":123456789012345678901234567890,"z":"\\ud800\xc3\xa9"}'
ASKED = b'{"model":"claude-x","max_tokens":16,"messages":[{"role":"user","content":"x"}],%b}' % ODD
STREAMED = ASKED.replace(b'"max_tokens"', b'"stream":true,"max_tokens"')
PLACE = "/v1/projects/p-1/locations/global/publishers/anthropic/models"


@pytest.fixture
def cloud() -> Iterator[LocalServer]:
    with local_server({"*": said}) as server:
        yield server


@pytest.mark.requirement("G-01 clouds")
@pytest.mark.parametrize(
    ("kind", "body", "path", "first"),
    [
        (
            Kind.BEDROCK, ASKED, "/model/anthropic.claude-x-v1%3A0/invoke",
            b'"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["b-1","b-2"]',
        ),
        (
            Kind.BEDROCK, STREAMED, "/model/anthropic.claude-x-v1%3A0/invoke-with-response-stream",
            b'"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["b-1","b-2"]',
        ),
        (Kind.VERTEX, ASKED, f"{PLACE}/{GOOGLES}:rawPredict", b'"anthropic_version":"vertex-2023-10-16"'),
        (
            Kind.VERTEX, STREAMED, f"{PLACE}/{GOOGLES}:streamRawPredict",
            b'"anthropic_version":"vertex-2023-10-16","stream":true',
        ),
    ],
)  # fmt: skip
def test_the_request_is_the_clouds_and_the_answer_the_clients(
    serve: "Callable[..., Running]", cloud: LocalServer, kind: Kind, body: bytes, path: str, first: bytes
) -> None:
    running = serve(upstreams=[at(kind, cloud)])
    answer = running.ask(
        body, "anthropic-version: 2023-06-01", "anthropic-beta: b-1, b-2", target="/v1/messages?beta=1"
    )
    (asked,) = cloud.asked
    rest = b'"max_tokens":16,"messages":[{"role":"user","content":"x"}],%b' % ODD
    assert (asked.path, asked.body.encode()) == (path, b"{%b,%b}" % (first, rest))
    assert asked.headers["authorization"] == "Bearer cloud-key"
    assert "x-api-key" not in asked.headers
    assert asked.headers.get("anthropic-beta") == (None if kind is Kind.BEDROCK else "b-1, b-2")
    assert "anthropic-version" not in asked.headers
    assert answer.status == 200
    (row,) = running.ledger.wait()
    counted = (row.model, row.input_tokens > 0, row.output_tokens > 0, row.upstream_kind, row.aborted, row.estimated)
    assert counted == ("claude-x", True, True, kind.value, False, False)
    assert row.streamed is (body is STREAMED)
    if body is STREAMED:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert b"event: message_stop" in answer.body
    else:
        assert json.loads(answer.body)["type"] == "message"


def test_betas_of_the_body_are_kept_and_named_once(serve: "Callable[..., Running]", cloud: LocalServer) -> None:
    running = serve(upstreams=[at(Kind.BEDROCK, cloud)])
    running.ask(ASKED[:-1] + b',"anthropic_beta":["b-2","b-3"],"anthropic_version":"x"}', "anthropic-beta: b-1,b-2")
    document = json.loads(cloud.asked[0].body)
    assert (document["anthropic_beta"], document["anthropic_version"]) == (["b-1", "b-2", "b-3"], "bedrock-2023-05-31")


def test_tokens_are_counted_where_the_cloud_can(serve: "Callable[..., Running]", cloud: LocalServer) -> None:
    path = "/v1/messages/count_tokens"
    running = serve(upstreams=[at(Kind.BEDROCK, cloud), at(Kind.VERTEX, cloud)])
    assert json.loads(running.ask(ASKED, target=path).body) == {"input_tokens": 3}
    (asked,) = cloud.asked
    assert asked.path == f"{PLACE}/count-tokens:rawPredict"
    assert json.loads(asked.body)["model"] == GOOGLES
    assert serve(upstreams=[at(Kind.BEDROCK, cloud)]).ask(ASKED, target=path).status == 501


@pytest.mark.parametrize("kind", [Kind.BEDROCK, Kind.VERTEX])
def test_a_body_that_cannot_be_put_into_another_form_is_refused(
    serve: "Callable[..., Running]", cloud: LocalServer, kind: Kind
) -> None:
    answer = serve(upstreams=[at(kind, cloud)]).ask(b'{"model":"claude-x","messages":[}')
    assert (answer.status, answer.error["type"], cloud.asked) == (400, "invalid_request_error", [])


@pytest.mark.parametrize(("missing", "named"), [("project", "no project"), ("region", "no region")])
def test_a_place_that_is_missing_is_the_operators_to_see(
    serve: "Callable[..., Running]", cloud: LocalServer, caplog: pytest.LogCaptureFixture, missing: str, named: str
) -> None:
    assert serve(upstreams=[at(Kind.VERTEX, cloud, **{missing: ""})]).ask(ASKED).status == 503
    assert named in caplog.text
