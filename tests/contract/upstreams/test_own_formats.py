"""Clients that speak a cloud's own format: every format to every kind of upstream, with one row."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from cloud_models import (
    AMAZONS,
    AS_IT_IS,
    CALLED,
    CLOUDS,
    DEPLOYMENT,
    FORMATS,
    GOOGLES,
    KINDS,
    MODEL,
    OWN,
    amazons_stream,
    ask,
    at,
    message_of,
    payload,
    said,
)
from local_server import LocalServer, local_server
from upstreams import upstream

from keystead.server.gateway import Limits
from keystead.server.gateway.ports import Kind
from keystead.testing.messages_api import MessagesApi

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running


@pytest.fixture
def cloud() -> Iterator[LocalServer]:
    with local_server({"*": said}) as server:
        yield server


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


def test_amazons_count_is_501_where_nobody_counts_and_none_where_the_answer_is_no_number(
    serve: "Callable[..., Running]", cloud: LocalServer
) -> None:
    inner = base64.b64encode(b'{"messages":[],"max_tokens":1}').decode()
    asked = json.dumps({"input": {"invokeModel": {"body": inner}}}).encode()
    target = f"/model/{AMAZONS}/count-tokens"
    answer = serve(upstreams=[at(Kind.BEDROCK, cloud)]).ask(asked, target=target)
    assert (answer.status, cloud.asked) == (501, [])
    assert "cannot count tokens" in message_of("bedrock", answer)
    answer = serve(upstreams=[at(Kind.BEDROCK, cloud), at(Kind.VERTEX, cloud)]).ask(asked, target=target)
    assert json.loads(answer.body) == {"inputTokens": 3}
    with local_server({"*": (200, "application/json", {"tokens": 3})}) as odd:
        answer = serve(upstreams=[at(Kind.MESSAGES, odd)]).ask(asked, target=target)
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (502, "ServiceUnavailableException")


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
