"""Clients that speak a cloud's own format: every format to every kind of upstream, with one row, and every refusal."""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from cloud_models import AMAZONS, DEPLOYMENT, FORMATS, GOOGLES, KINDS, MODEL, Spoken, amazons_stream, at, said
from local_server import LocalServer, local_server
from permits import facts
from upstreams import upstream

from keystead.server.gateway import Limits
from keystead.server.gateway.ports import Kind
from keystead.server.policy.decide import Permit
from keystead.server.policy.model_access import ModelAccess
from keystead.testing.messages_api import MessagesApi
from keystead.wire.http1 import ChunkedBody

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Answer, Running

OWN = ("bedrock", "vertex", "foundry")
CLOUDS = {"bedrock": Kind.BEDROCK, "vertex": Kind.VERTEX, "foundry": Kind.FOUNDRY}
AS_IT_IS = "claude-sonnet-4-5-20250929"
"""A model that the Messages API's fake knows, and what the clouds call it."""
CALLED = {
    "bedrock": f"us.anthropic.{AS_IT_IS}-v1:0",
    "vertex": "claude-sonnet-4-5@20250929",
    "foundry": AS_IT_IS,
    "messages": AS_IT_IS,
}


@pytest.fixture
def cloud() -> Iterator[LocalServer]:
    with local_server({"*": said}) as server:
        yield server


def ask(running: "Running", spoken: Spoken, *lines: str, stream: bool = False, **more: Any) -> "Answer":
    target, body = spoken.question(stream=stream, **more)
    return running.ask(body, *lines, target=target)


def payload(answer: "Answer") -> bytes:
    """Return the body of an answer, without chunks."""
    return ChunkedBody().feed(answer.body) if "transfer-encoding" in answer.headers else answer.body


def message_of(name: str, answer: "Answer") -> str:
    """Return the words of an error, having checked that it is in the shape that clients of the format read."""
    document = json.loads(answer.body)
    assert document["type"] == "error"
    if name == "bedrock":
        assert document["message"] == document["error"]["message"]
        assert answer.headers["x-amzn-errortype"].endswith("Exception")
        assert answer.headers["x-amzn-requestid"]
    text: str = document["error"]["message"]
    return text


@pytest.mark.requirement("G-01 own formats")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_reaches_every_kind_and_is_one_row(
    serve: "Callable[..., Running]", cloud: LocalServer, name: str, kind: Kind, stream: bool
) -> None:
    spoken = FORMATS[name]
    names = {Kind.BEDROCK: AMAZONS, Kind.VERTEX: GOOGLES, Kind.FOUNDRY: DEPLOYMENT}
    map_ = {MODEL: names.get(CLOUDS.get(name, kind), MODEL)}  # one name for what the client's cloud calls it
    mapping = at(CLOUDS.get(name, kind), cloud, id="upst_map", models=map_, serves=("nothing",))
    running = serve(upstreams=[at(kind, cloud), mapping])
    answer = ask(running, spoken, stream=stream, odd={"x": 1.0})
    assert answer.status == 200
    if stream:
        events = spoken.events(payload(answer))
        assert [event["type"] for event in events][:3] == ["message_start", "content_block_start", "ping"]
        assert events[-1] == {"type": "message_stop"}
        usage = events[0]["message"]["usage"] | events[-2]["usage"]
    else:
        usage = json.loads(answer.body)["usage"]
    (row,) = running.ledger.wait()
    counted = (row.input_tokens, row.output_tokens, row.model, row.upstream_kind, row.streamed, row.status)
    assert counted == (usage["input_tokens"], usage["output_tokens"], MODEL, kind.value, stream, 200)
    (asked,) = cloud.asked
    assert '"odd": {"x": 1.0}' in asked.body
    assert asked.headers["authorization"] == "Bearer cloud-key"
    assert "x-api-key" not in asked.headers
    assert running.ledger.rows == [row]


@pytest.mark.parametrize("name", OWN)
def test_a_request_in_messages_form_has_what_that_form_has(
    serve: "Callable[..., Running]", cloud: LocalServer, name: str
) -> None:
    running = serve(upstreams=[at(Kind.ANTHROPIC, cloud)])
    betas = {} if name == "foundry" else {"anthropic_beta": ["b-2", "b-1"], "user_profile_id": "u-1"}
    ask(running, FORMATS[name], "anthropic-beta: b-1", "accept: x/y", model=CALLED[name], stream=True, **betas)
    (asked,) = cloud.asked
    assert asked.path == "/v1/messages"
    document = json.loads(asked.body)
    assert document == {
        "model": AS_IT_IS,
        "stream": True,
        "max_tokens": 16,
        "messages": [{"role": "user", "content": "x"}],
    }
    if name != "foundry":
        assert asked.headers["anthropic-version"] == "2023-06-01"
        assert asked.headers["anthropic-beta"] == "b-1,b-2"
        assert asked.headers["anthropic-user-profile-id"] == "u-1"
        assert asked.headers["content-type"] == "application/json"
        assert "accept" not in asked.headers


@pytest.mark.parametrize(
    ("name", "model", "path"),
    [
        ("bedrock", "eu.anthropic.claude-y-20260101-v1:0", "/model/eu.anthropic.claude-y-20260101-v1%3A0/invoke"),
        (
            "bedrock",
            "arn:aws:bedrock:eu-west-1:111122223333:application-inference-profile/a1b2",
            "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A111122223333%3Aapplication-inference-profile%2Fa1b2/invoke",
        ),
        ("vertex", "claude-y@20260101", "/v1/projects/p-1/locations/global/publishers/anthropic/models/"),
    ],
)
def test_what_nobody_mapped_keeps_its_name_and_version_at_its_own_cloud(
    serve: "Callable[..., Running]", cloud: LocalServer, name: str, model: str, path: str
) -> None:
    running = serve(upstreams=[at(CLOUDS[name], cloud)])
    assert ask(running, FORMATS[name], model=model, anthropic_version="2026-10-21", user_profile_id="u").status == 200
    (asked,) = cloud.asked
    assert asked.path.startswith(path)
    assert json.loads(asked.body)["anthropic_version"] == "2026-10-21"


def test_google_counts_tokens_without_a_row(serve: "Callable[..., Running]", cloud: LocalServer) -> None:
    running = serve(upstreams=[at(Kind.VERTEX, cloud)])
    target = "/projects/p/locations/eu/publishers/anthropic/models/count-tokens:rawPredict"
    question = {"anthropic_version": "vertex-2023-10-16", "model": GOOGLES, "messages": []}
    answer = running.ask(json.dumps(question).encode(), target=target)
    assert json.loads(answer.body) == {"input_tokens": 3}
    assert json.loads(cloud.asked[0].body)["model"] == GOOGLES
    answer = running.ask(json.dumps({"model": MODEL}).encode(), target="/anthropic/v1/messages/count_tokens")
    assert json.loads(answer.body) == {"input_tokens": 3}
    assert running.ledger.rows == []


def test_amazons_own_metrics_are_for_clients_of_amazons_only(serve: "Callable[..., Running]") -> None:
    metrics = {"inputTokenCount": 7}
    last = {"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics}
    stream = (200, "application/vnd.amazon.eventstream", amazons_stream([last]))
    with local_server({"*": stream}) as server:
        running = serve(upstreams=[at(Kind.BEDROCK, server)])
        seen = {
            name: spoken.events(payload(ask(running, spoken, model=MODEL, stream=True)))
            for name, spoken in FORMATS.items()
        }
    plain = [{"type": "message_stop"}]
    assert seen == {"messages": plain, "bedrock": [last], "vertex": plain, "foundry": plain}


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


@pytest.mark.requirement("G-01 own formats")
@pytest.mark.parametrize("framing", ["chunked", "close"])
@pytest.mark.parametrize("name", OWN)
def test_a_stream_whose_upstream_dies_is_no_whole_one(running: "Running", name: str, framing: str) -> None:
    running.api.behaviour = f"abort=5, framing={framing}"
    answer = ask(running, FORMATS[name], stream=True, model=CALLED[name])
    assert answer.status == 200
    if name == "bedrock":
        events = FORMATS[name].events(payload(answer))
        assert events[0]["type"] == "message_start"
        assert events[-1].keys() == {"modelStreamErrorException"}
    else:
        assert not answer.body.endswith(b"0\r\n\r\n")
    (row,) = running.ledger.wait()
    assert (row.status, row.aborted, row.input_tokens > 0) == (200, True, True)


@pytest.mark.parametrize("name", OWN)
def test_failover_and_sessions_are_as_for_every_request(serve: "Callable[..., Running]", name: str) -> None:
    session = "x-claude-code-session-id: s-1"
    with MessagesApi() as first, MessagesApi() as second:
        first.behaviour = "error=500"
        running = serve(upstreams=[upstream(first.base_url, "a"), upstream(second.base_url, "b")])
        for _ in range(2):
            assert ask(running, FORMATS[name], session, stream=True, model=CALLED[name]).status == 200
        assert (len(first.requests), len(second.requests)) == (1, 2)
    rows = running.ledger.wait(2)
    assert [(row.upstream, row.session_id) for row in rows] == [("b", "s-1")] * 2


@pytest.mark.parametrize("split", ["split=1", "split=7, framing=close", "framing=length"])
def test_a_stream_is_the_same_however_it_is_cut(running: "Running", split: str) -> None:
    running.api.behaviour = f"words=3, {split}"
    spoken = FORMATS["bedrock"]
    events = spoken.events(payload(ask(running, spoken, stream=True, model=CALLED["bedrock"])))
    running.api.behaviour = "words=3"
    plain = FORMATS["messages"]
    others = plain.events(payload(ask(running, plain, stream=True, model=AS_IT_IS)))
    assert [event["type"] for event in events] == [event["type"] for event in others]
    assert events[1:] == others[1:]
    first, second = running.ledger.wait(2)
    assert first.output_tokens == second.output_tokens > 3


@pytest.mark.parametrize("name", OWN)
def test_an_upstream_that_falls_silent_is_not_waited_for(serve: "Callable[..., Running]", name: str) -> None:
    limits = Limits(first_byte_seconds=0.1, silence_seconds=0.1, sweep_seconds=0.02)
    running = serve(limits)
    running.api.behaviour = "late=30"
    answer = ask(running, FORMATS[name], stream=True, model=CALLED[name])
    assert (answer.status, message_of(name, answer)) == (504, "The upstream did not answer in time.")
    running.api.behaviour = "hang=5"
    answer = ask(running, FORMATS[name], stream=True, model=CALLED[name])
    assert answer.status == 200
    assert (b"modelStreamErrorException" in answer.body) is (name == "bedrock")
    running.api.wait_for(lambda requests: all(one.disconnected for one in requests))
    rows = running.ledger.wait(2)
    assert [(row.status, row.aborted) for row in rows] == [(504, False), (200, True)]


@pytest.mark.parametrize("name", OWN)
def test_a_client_that_leaves_ends_the_upstreams_work_in_one_row(running: "Running", name: str) -> None:
    running.api.behaviour = "hang=5"
    target, body = FORMATS[name].question(stream=True, model=CALLED[name])
    with running.connect() as connection:
        connection.sendall(running.head(length=len(body), target=target) + body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    running.api.wait_for(lambda requests: requests[0].disconnected)
    (row,) = running.ledger.wait()
    assert (row.status, row.aborted, row.estimated, row.input_tokens > 0) == (200, True, True, True)


def test_what_could_pay_or_sign_elsewhere_is_not_sent_on(running: "Running") -> None:
    stray = [f"{one}: stray" for one in ("x-goog-user-project", "x-amz-security-token", "x-amz-date", "api-key")]
    for name in OWN:
        assert ask(running, FORMATS[name], *stray, model=CALLED[name]).status == 200
    assert "stray" not in repr([one.raw_headers for one in running.api.requests])


def test_an_old_client_of_amazons_gets_the_stream_without_chunks(running: "Running") -> None:
    target, body = FORMATS["bedrock"].question(stream=True, model=CALLED["bedrock"])
    head = running.head(target=target, length=len(body)).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    answer = running.send(head + body)
    assert "transfer-encoding" not in answer.headers
    assert FORMATS["bedrock"].events(answer.body)[-1] == {"type": "message_stop"}


def test_one_connection_takes_one_format_after_the_other(running: "Running") -> None:
    with running.connect() as connection:
        for name in [*FORMATS, *FORMATS]:
            target, body = FORMATS[name].question(stream=True, model=CALLED[name])
            connection.sendall(running.head(length=len(body), target=target) + body)
            answer = running.read(connection)
            assert FORMATS[name].events(payload(answer))[-1] == {"type": "message_stop"}
    assert [row.model for row in running.ledger.wait(8)] == [AS_IT_IS] * 8


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
