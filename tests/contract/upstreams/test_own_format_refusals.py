"""What clients that speak a cloud's own format are told when it is no, in the shape that they read."""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from cloud_models import (
    CALLED,
    FORMATS,
    MODEL,
    OWN,
    ask,
    at,
    message_of,
    said,
)
from local_server import LocalServer, local_server
from permits import facts
from upstreams import upstream

from keystead.server.gateway import Limits
from keystead.server.gateway.ports import Kind
from keystead.server.policy.decide import Permit
from keystead.server.policy.model_access import ModelAccess

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running


@pytest.fixture
def cloud() -> Iterator[LocalServer]:
    with local_server({"*": said}) as server:
        yield server


@pytest.mark.parametrize("name", OWN)
def test_without_a_key_of_ours_it_is_401(running: "Running", name: str) -> None:
    target, body = FORMATS[name].question(stream=True, model=CALLED[name])
    answer = running.ask(body, target=target, key=None)
    assert answer.status == 401
    assert message_of(name, answer).startswith("No credential was sent.")
    assert "www-authenticate" in answer.headers
    signed = "authorization: AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-1/bedrock/aws4_request, Signature=00"
    answer = running.ask(body, signed, target=target, key=None)
    assert answer.status == 401
    assert "AWS_BEARER_TOKEN_BEDROCK" in message_of(name, answer)
    assert running.ask(body, signed, target=target).status == 200
    for foreign, named in (("ya29.a0", "Google's"), ("ABSKx", "Amazon Bedrock")):
        answer = running.ask(body, f"authorization: Bearer {foreign}", target=target, key=None)
        assert named in message_of(name, answer)
    (recorded,) = running.api.requests
    assert "AWS4" not in repr(recorded.raw_headers)


@pytest.mark.parametrize("name", OWN)
def test_errors_are_in_the_clients_format(running: "Running", name: str) -> None:
    spoken = FORMATS[name]
    running.api.behaviour = "error=529"
    answer = ask(running, spoken, stream=True, model=CALLED[name])
    assert (answer.status, message_of(name, answer)) == (529, "Overloaded")
    for wrong in (b"[]", b"{", b'{"max_tokens":1,"Model":"x"}', b"\xff"):
        answer = running.ask(wrong, target=spoken.question(stream=False, model=CALLED[name])[0])
        assert answer.status == 400
        assert message_of(name, answer)
    answer = running.send(running.head(target=spoken.question(stream=False)[0]).replace(b"POST", b"PUT", 1))
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    alone = running.head("connection: close", target=spoken.question(stream=False)[0])
    head = running.send(alone.replace(b"POST", b"HEAD", 1))
    assert (head.status, head.body) == (405, b"")
    rows = running.ledger.wait()
    assert [row.status for row in rows] == [529]


def test_refusals_name_googles_status_and_amazons_exception(running: "Running") -> None:
    answer = running.ask(b"{}", target=FORMATS["vertex"].question(stream=False)[0], key=None)
    assert answer.error["status"] == "UNAUTHENTICATED"
    assert json.loads(answer.body)["error"]["code"] == 401
    answer = running.ask(b"[]", target=FORMATS["bedrock"].question(stream=False)[0])
    assert answer.headers["x-amzn-errortype"] == "ValidationException"
    assert answer.headers["x-amzn-requestid"] == answer.headers["x-request-id"]


@pytest.mark.requirement("S-19 models")
@pytest.mark.parametrize(
    ("entries", "denied", "allowed"),
    [
        (["claude-sonnet-4-5"], [], True),
        (["sonnet"], [], True),
        (list(CALLED.values()), [], True),
        (["claude-opus-4-6"], [], False),
        ([], [], False),
        (None, ["claude-sonnet-4-5"], False),
        (list(CALLED.values()), ["sonnet"], False),
    ],
)
@pytest.mark.parametrize("name", OWN)
def test_a_model_is_allowed_by_either_of_its_names(
    serve: "Callable[..., Running]", name: str, entries: list[str] | None, denied: list[str], allowed: bool
) -> None:
    permit = Permit(facts(access=ModelAccess(entries, denied=denied)))
    running = serve(permits=lambda _: permit)
    answer = ask(running, FORMATS[name], model=CALLED[name])
    if allowed:
        assert answer.status == 200
    else:
        assert answer.status == 400
        assert message_of(name, answer).startswith(f"model {CALLED[name]} is not in your role's availableModels")
        assert running.api.requests == []
    (row,) = running.ledger.wait()
    assert row.status == answer.status


OPAQUE = "arn:aws:bedrock:eu-west-1:111122223333:application-inference-profile/a1b2"


@pytest.mark.requirement("S-19 models")
@pytest.mark.parametrize(
    ("mapped", "entries", "denied", "refused"),
    [
        ({}, None, [], ""),
        ({}, [OPAQUE], [], ""),
        ({}, ["claude-x"], [], OPAQUE),
        ({}, [OPAQUE], ["opus"], OPAQUE),
        ({MODEL: OPAQUE}, ["claude-x"], [], ""),
        ({MODEL: OPAQUE}, [OPAQUE], [], ""),
        ({MODEL: OPAQUE}, ["claude-x"], ["opus"], ""),
        ({MODEL: OPAQUE}, None, ["opus"], ""),
        ({MODEL: OPAQUE}, None, [MODEL], MODEL),
        ({MODEL: OPAQUE}, ["claude-y"], ["opus"], MODEL),
    ],
)
def test_an_arn_that_says_nothing_is_what_an_administrator_says_it_is(
    serve: "Callable[..., Running]",
    cloud: LocalServer,
    mapped: dict[str, str],
    entries: list[str] | None,
    denied: list[str],
    refused: str,
) -> None:
    permit = Permit(facts(access=ModelAccess(entries, denied=denied)))
    running = serve(permits=lambda _: permit, upstreams=[at(Kind.BEDROCK, cloud, models=mapped)])
    answer = ask(running, FORMATS["bedrock"], model=OPAQUE)
    assert answer.status == (400 if refused else 200)
    if refused:
        assert message_of("bedrock", answer).startswith(f"model {refused} is not in your role's availableModels")
    assert len(cloud.asked) == (not refused)


@pytest.mark.parametrize("name", OWN)
def test_an_upstream_that_is_away_is_502(serve: "Callable[..., Running]", name: str) -> None:
    running = serve(upstreams=[upstream("http://127.0.0.1:9")])
    answer = ask(running, FORMATS[name], stream=True)
    assert answer.status == 502
    assert message_of(name, answer)
    (row,) = running.ledger.wait()
    assert row.status == 502


def test_a_body_that_is_too_large_is_413(serve: "Callable[..., Running]") -> None:
    running = serve(Limits(body_bytes=50))
    for name in OWN:
        answer = ask(running, FORMATS[name], model=CALLED[name])
        assert answer.status == 413
        assert message_of(name, answer)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/model/../v1/messages/invoke", 404),
        ("/model/../invoke", 400),
        ("/model/%2e%2e/invoke", 400),
        ("/model/a%2F..%2Fb/invoke", 400),
        ("/model/a%2Fb/invoke", 400),
        ("/model/a%252Fb/invoke", 400),
        ("/model/a%00/invoke", 400),
        ("/model/a%0d%0ahost:x/invoke", 400),
        ("/model/a%5Cb/invoke", 400),
        ("/model/a%zz/invoke", 400),
        ("/model/a;b/invoke", 400),
        ("/model/arn:aws:bedrock:us-east-1:1:inference-profile%2F..%2Fx/invoke", 400),
        ("/model/arn:aws:bedrock:us-east-1:1:inference-profile%2F%2Fx/invoke", 400),
        ("/model/arn:aws:bedrock:us-east-1:1:inference-profile/x/invoke", 404),
        ("/model//invoke", 404),
        ("/model/a/invoke/", 404),
        ("/model/a/invoke-with-response-stream/x", 404),
        ("/model/a/converse", 404),
        ("/model/a/count-tokens", 400),
        ("/model/a%2Fb/count-tokens", 400),
        ("/model/../count-tokens", 400),
        ("/projects/p/locations/../publishers/anthropic/models/m:rawPredict", 400),
        ("/projects/p%2F..%2Fq/locations/l/publishers/anthropic/models/m:rawPredict", 400),
        ("/projects/p/locations/l/publishers/google/models/m:rawPredict", 404),
        ("/projects/p/locations/l/publishers/anthropic/models/m:predict", 404),
        ("/projects/p/locations/l/publishers/anthropic/models/%2E%2E:rawPredict", 400),
        ("/projects/p/locations/l/publishers/anthropic/models/count-tokens:streamRawPredict", 400),
        ("/v1/projects/p", 404),
        ("/anthropic/v1/models", 404),
        ("/anthropic/../v1/messages", 404),
        ("/anthropic//v1/messages", 404),
    ],
)
def test_a_path_that_could_be_read_in_two_ways_is_refused(running: "Running", target: str, status: int) -> None:
    answer = running.ask(b'{"model":"x"}', target=target)
    assert answer.status == status
    assert json.loads(answer.body)["error"]["message"]
    assert (running.api.requests, running.ledger.rows) == ([], [])
