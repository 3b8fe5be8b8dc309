"""The gateway before Bedrock and Vertex: their own requests, answers in Messages form, the same row in the ledger."""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from cloud_models import AMAZONS, GOOGLES, at, said
from clouds import AWS_KEYS, signed_by
from local_server import Answer, Asked, LocalServer, local_server
from upstreams import upstream

from keystead.secret import Secret
from keystead.server import cloud_credentials
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
def test_a_clouds_error_is_told_in_its_words_or_leads_to_the_next(serve: "Callable[..., Running]", kind: Kind) -> None:
    refused = (429, "application/json", {"message": "Too many tokens, wait."})
    with local_server({"*": refused}) as full, local_server({"*": said}) as other:
        first = at(kind, full)
        answer = serve(upstreams=[first, at(Kind.BEDROCK, other, id="upst_other")]).ask(ASKED)
        assert (answer.status, json.loads(answer.body)["type"]) == (200, "message")
        alone = serve(upstreams=[first])
        answer = alone.ask(STREAMED)
        error = json.loads(answer.body)["error"]
        assert (answer.status, error) == (429, {"type": "rate_limit_error", "message": "Too many tokens, wait."})
        (row,) = alone.ledger.wait()
        assert (row.status, row.output_tokens) == (429, 0)


@pytest.mark.parametrize("kind", [Kind.BEDROCK, Kind.VERTEX])
def test_a_body_that_cannot_be_put_into_another_form_is_refused(
    serve: "Callable[..., Running]", cloud: LocalServer, kind: Kind
) -> None:
    answer = serve(upstreams=[at(kind, cloud)]).ask(b'{"model":"claude-x","messages":[}')
    assert (answer.status, answer.error["type"], cloud.asked) == (400, "invalid_request_error", [])


def test_a_stream_that_breaks_off_is_cut_and_estimated(serve: "Callable[..., Running]") -> None:
    def half(asked: Asked) -> Answer:
        status, kind, content = said(asked)
        assert isinstance(content, bytes)
        return status, kind, content[: len(content) // 2 + 3]

    with local_server({"*": half}) as server:
        running = serve(upstreams=[at(Kind.BEDROCK, server)])
        answer = running.ask(STREAMED)
        (row,) = running.ledger.wait()
    assert not answer.body.endswith(b"0\r\n\r\n")
    assert (row.aborted, row.estimated, row.input_tokens > 0, row.output_tokens > 0) == (True, True, True, True)


@pytest.mark.parametrize(("missing", "named"), [("project", "no project"), ("region", "no region")])
def test_a_place_that_is_missing_is_the_operators_to_see(
    serve: "Callable[..., Running]", cloud: LocalServer, caplog: pytest.LogCaptureFixture, missing: str, named: str
) -> None:
    assert serve(upstreams=[at(Kind.VERTEX, cloud, **{missing: ""})]).ask(ASKED).status == 503
    assert named in caplog.text


@pytest.mark.parametrize(
    ("kind", "service", "body"),
    [
        (Kind.BEDROCK, "bedrock", ASKED),
        (Kind.BEDROCK, "bedrock", STREAMED),
        (Kind.AWS, "aws-external-anthropic", ASKED),
        (Kind.AWS, "aws-external-anthropic", STREAMED),
    ],
)
def test_what_arrives_is_signed(
    serve: "Callable[..., Running]", cloud: LocalServer, kind: Kind, service: str, body: bytes
) -> None:
    names = ("access_key_id", "secret_access_key")
    keys = {name: Secret(AWS_KEYS[f"AWS_{name.upper()}"]) for name in names}
    credential: Any = cloud_credentials.of(kind, "access_keys", keys, "eu-west-1")
    signing = upstream(cloud.url, "aws", kind=kind, credential=credential, models={"claude-x": AMAZONS})
    running = serve(upstreams=[signing])
    assert running.ask(body).status == 503
    credential.refresh()
    answer = running.ask(body, "x-amz-date: 20200101T000000Z", "x-amz-security-token: canary")
    assert answer.status == 200
    (asked,) = cloud.asked
    assert signed_by(asked) == (AWS_KEYS["AWS_ACCESS_KEY_ID"], "eu-west-1", service)
    assert "canary" not in str(asked.headers)
