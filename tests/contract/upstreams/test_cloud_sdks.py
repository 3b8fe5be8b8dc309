"""The clouds' official SDKs work through the gateway, unmodified: each streamed and not, and their own errors."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anthropic
import botocore.config
import botocore.exceptions
import botocore.session
import pytest
from edge import nginx
from local_server import make_certificate
from ports import free_port

import peers
from keystead.testing.messages_api.answers import NOTICE

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

MODEL = "claude-sonnet-9-1-20270101"
AMAZONS = f"us.anthropic.{MODEL}-v1:0"
PROFILE = f"arn:aws:bedrock:us-east-1:111122223333:inference-profile/{AMAZONS}"
GOOGLES = "claude-sonnet-9-1@20270101"
HELLO: Any = [{"role": "user", "content": "hello"}]
Connect = Callable[[str, str], Any]

pytestmark = pytest.mark.requirement("G-01 own formats")


def bedrock(base: str, key: str) -> anthropic.AnthropicBedrock:
    return anthropic.AnthropicBedrock(base_url=base, api_key=key, aws_region="us-east-1", max_retries=0)


def vertex(base: str, key: str) -> anthropic.AnthropicVertex:
    return anthropic.AnthropicVertex(base_url=base, access_token=key, project_id="p", region="global", max_retries=0)


def vertex_with_version(base: str, key: str) -> anthropic.AnthropicVertex:
    return vertex(f"{base}/v1", key)


def foundry(base: str, key: str) -> anthropic.AnthropicFoundry:
    return anthropic.AnthropicFoundry(base_url=f"{base}/anthropic", api_key=key, max_retries=0)


def foundry_with_token(base: str, key: str) -> anthropic.AnthropicFoundry:
    url = f"{base}/anthropic/"
    return anthropic.AnthropicFoundry(base_url=url, azure_ad_token_provider=lambda: key, max_retries=0)


def mantle(base: str, key: str) -> anthropic.AnthropicBedrockMantle:
    return anthropic.AnthropicBedrockMantle(
        base_url=f"{base}/anthropic", api_key=key, aws_region="us-east-1", max_retries=0
    )


def on_aws(base: str, key: str) -> anthropic.AnthropicAWS:
    return anthropic.AnthropicAWS(
        base_url=base, api_key=key, aws_region="us-east-1", workspace_id="wrkspc_1", max_retries=0
    )


def on_google(base: str, key: str) -> anthropic.AnthropicGoogleCloud:
    return anthropic.AnthropicGoogleCloud(base_url=base, token_provider=lambda: key, max_retries=0)


CLIENTS = [
    (bedrock, AMAZONS),
    (bedrock, PROFILE),
    (vertex, GOOGLES),
    (vertex_with_version, GOOGLES),
    (foundry, MODEL),
    (foundry_with_token, MODEL),
    (mantle, MODEL),
    (on_aws, MODEL),
    (on_google, MODEL),
]


@pytest.mark.parametrize(("connect", "model"), CLIENTS)
def test_an_answer_arrives_and_is_written_down(running: "Running", connect: Connect, model: str) -> None:
    with connect(running.base_url, running.key) as client:
        message = client.messages.create(model=model, max_tokens=9, messages=HELLO)
    assert message.content[0].text.startswith(NOTICE)
    (row,) = running.ledger.wait()
    assert (row.input_tokens, row.output_tokens) == (message.usage.input_tokens, message.usage.output_tokens)
    assert (row.model, row.status, row.streamed, row.aborted) == (MODEL, 200, False, False)


@pytest.mark.parametrize(("connect", "model"), CLIENTS)
def test_a_stream_arrives_and_is_written_down(running: "Running", connect: Connect, model: str) -> None:
    running.api.behaviour = "cache, searches=3, pings=1, words=40"
    with (
        connect(running.base_url, running.key) as client,
        client.messages.stream(model=model, max_tokens=9, messages=HELLO) as stream,
    ):
        message = stream.get_final_message()
    assert message.content[0].text.startswith(NOTICE)
    (row,) = running.ledger.wait()
    assert (row.input_tokens, row.output_tokens) == (message.usage.input_tokens, message.usage.output_tokens)
    assert (row.cache_read_tokens, row.cache_write_tokens, row.web_searches) == (2048, 64, 3)
    assert (row.model, row.streamed, row.aborted, row.estimated) == (MODEL, True, False, False)


@pytest.mark.parametrize(("connect", "model"), CLIENTS)
def test_betas_arrive_as_a_header(running: "Running", connect: Connect, model: str) -> None:
    with connect(running.base_url, running.key) as client:
        client.beta.messages.create(model=model, max_tokens=9, messages=HELLO, betas=["b-1", "b-2"])
    (recorded,) = running.api.requests
    assert recorded.headers["anthropic-beta"].replace(" ", "") == "b-1,b-2"
    assert recorded.headers["anthropic-version"]
    document = json.loads(recorded.body)
    assert document["model"] == MODEL
    assert not document.keys() & {"anthropic_beta", "anthropic_version"}
    assert running.key not in repr(recorded.raw_headers)


@pytest.mark.parametrize(("connect", "model"), CLIENTS[2:])
def test_tokens_are_counted(running: "Running", connect: Connect, model: str) -> None:
    with connect(running.base_url, running.key) as client:
        assert client.messages.count_tokens(model=model, messages=HELLO).input_tokens > 0
    assert running.ledger.rows == []


@pytest.mark.parametrize(("connect", "model"), CLIENTS)
def test_refusals_and_errors_are_the_sdks_own(running: "Running", connect: Connect, model: str) -> None:
    with connect(running.base_url, "ksk_wrong") as client, pytest.raises(anthropic.AuthenticationError) as refused:
        client.messages.create(model=model, max_tokens=9, messages=HELLO)
    assert (refused.value.type, "damaged" in str(refused.value)) == ("authentication_error", True)
    running.api.behaviour = "error=529"
    with connect(running.base_url, running.key) as client, pytest.raises(anthropic.InternalServerError) as failed:
        client.messages.create(model=model, max_tokens=9, messages=HELLO)
    assert (failed.value.status_code, failed.value.type) == (529, "overloaded_error")


def test_a_stream_that_breaks_off_is_an_error_of_the_sdks(running: "Running") -> None:
    running.api.behaviour = "abort=5, framing=chunked"
    with (
        bedrock(running.base_url, running.key) as client,
        pytest.raises(anthropic.APIError, match="broke off"),
        client.messages.stream(model=AMAZONS, max_tokens=9, messages=HELLO) as stream,
    ):
        stream.get_final_message()


def test_a_client_that_signs_is_told_what_to_set(running: "Running") -> None:
    signing = anthropic.AnthropicBedrock(
        base_url=running.base_url, aws_access_key="AKIAEXAMPLE", aws_secret_key="made-up", aws_region="us-east-1",
        max_retries=0,
    )  # fmt: skip
    with signing:
        with pytest.raises(anthropic.AuthenticationError, match="AWS_BEARER_TOKEN_BEDROCK"):
            signing.messages.create(model=AMAZONS, max_tokens=9, messages=HELLO)
        keyed = signing.with_options(default_headers={"x-api-key": running.key})
        assert keyed.messages.create(model=AMAZONS, max_tokens=9, messages=HELLO).content
    (recorded,) = running.api.requests
    assert "AKIAEXAMPLE" not in repr(recorded.raw_headers)


def of_amazons(address: str, session: Any, **more: Any) -> Any:
    """Return Amazon's own client of a gateway."""
    config = botocore.config.Config(retries={"total_max_attempts": 1})
    return session.create_client("bedrock-runtime", "us-east-1", endpoint_url=address, config=config, **more)


@pytest.fixture
def amazons(running: "Running") -> Iterator[Any]:
    """Give a client that sends a key beside its signature."""
    session = botocore.session.Session()
    session.set_credentials("AKIAEXAMPLE", "made-up")
    client = of_amazons(running.base_url, session)
    client.meta.events.register(
        "before-sign.bedrock-runtime", lambda request, **_: request.headers.add_header("x-api-key", running.key)
    )
    yield client
    client.close()


QUESTION = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": HELLO})


@pytest.mark.parametrize("model", [AMAZONS, PROFILE])
def test_amazons_own_client_asks_and_streams(running: "Running", amazons: Any, model: str) -> None:
    answer = amazons.invoke_model(modelId=model, body=QUESTION)
    assert json.load(answer["body"])["content"][0]["text"].startswith(NOTICE)
    assert answer["ResponseMetadata"]["RequestId"].startswith("req_")
    with closing(amazons.invoke_model_with_response_stream(modelId=model, body=QUESTION)["body"]) as stream:
        events = [json.loads(event["chunk"]["bytes"]) for event in stream]
    assert [events[0]["type"], events[-1]["type"]] == ["message_start", "message_stop"]
    whole, streamed = running.ledger.wait(2)
    assert (whole.model, whole.streamed, streamed.model, streamed.streamed) == (MODEL, False, MODEL, True)
    assert streamed.output_tokens == whole.output_tokens > 0


@pytest.mark.parametrize("edge", [False, True], ids=["direct", "edge"])
def test_amazons_own_client_sends_its_bearer_by_tls(
    serve: "Callable[..., Running]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edge: bool
) -> None:
    certificate = make_certificate(tmp_path)
    running = serve(certificate=None if edge else certificate)
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", running.key)
    port = free_port() if edge else running.port
    client = of_amazons(f"https://127.0.0.1:{port}", botocore.session.Session(), verify=str(certificate))
    with nginx(tmp_path, port, running.port, certificate) if edge else nullcontext():
        stream = client.invoke_model_with_response_stream(modelId=PROFILE, body=QUESTION)["body"]
        with closing(client), closing(stream):
            events = [json.loads(event["chunk"]["bytes"]) for event in stream]
    assert events[-1] == {"type": "message_stop"}
    (row,) = running.ledger.wait()
    assert (row.model, row.streamed, row.aborted) == (MODEL, True, False)


@pytest.mark.parametrize("framing", ["length", "chunked", "close", "split=1"])
def test_amazons_own_client_counts_tokens(running: "Running", amazons: Any, framing: str) -> None:
    running.api.behaviour = framing if "=" in framing else f"framing={framing}"
    asked = QUESTION[:-1] + ', "temperature": 1.0, "anthropic_beta": ["b-1"], "tools": []}'
    answer = amazons.count_tokens(modelId=PROFILE, input={"invokeModel": {"body": asked}})
    assert answer["inputTokens"] > 0
    (recorded,) = running.api.requests
    assert json.loads(recorded.body) == {"model": MODEL, "messages": HELLO, "tools": []}
    assert (recorded.target, recorded.headers["anthropic-beta"]) == ("/v1/messages/count_tokens", "b-1")
    assert running.ledger.rows == []


def test_amazons_own_client_reads_why_no_tokens_are_counted(running: "Running", amazons: Any) -> None:
    def refused(about: dict[str, Any]) -> tuple[int, str]:
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            amazons.count_tokens(modelId=AMAZONS, input=about)
        return caught.value.response["ResponseMetadata"]["HTTPStatusCode"], caught.value.response["Error"]["Code"]

    invalid = (400, "ValidationException")
    assert refused({"converse": {"messages": [{"role": "user", "content": [{"text": "x"}]}]}}) == invalid
    assert refused({"invokeModel": {"body": b"[]"}}) == invalid
    assert running.api.requests == []
    running.api.behaviour = "error=429"
    assert refused({"invokeModel": {"body": QUESTION}}) == (429, "ThrottlingException")


def test_amazons_own_client_reads_its_errors(running: "Running", amazons: Any) -> None:
    def error_of(ask: Callable[[], Any]) -> Mapping[str, str]:
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            ask()
        error: Mapping[str, str] = caught.value.response["Error"]
        return error

    running.api.behaviour = "error=429"
    error = error_of(lambda: amazons.invoke_model(modelId=AMAZONS, body=QUESTION))
    assert (error["Code"], error["Message"]) == ("ThrottlingException", "This request would exceed your rate limit.")
    running.api.behaviour = "abort=5, framing=chunked"
    stream = amazons.invoke_model_with_response_stream(modelId=AMAZONS, body=QUESTION)["body"]
    with closing(stream), pytest.raises(botocore.exceptions.EventStreamError, match="broke off"):
        list(stream)
    running.directory.keys.clear()
    error = error_of(lambda: amazons.invoke_model(modelId=AMAZONS, body=QUESTION))
    assert (error["Code"], "revoked" in error["Message"]) == ("UnrecognizedClientException", True)


@pytest.mark.parametrize(
    ("vendor", "model"), [("bedrock", AMAZONS), ("bedrock", PROFILE), ("vertex", GOOGLES), ("foundry", MODEL)]
)
def test_the_sdks_for_node_ask_and_stream(running: "Running", vendor: str, model: str) -> None:
    seen = peers.ask("sdks", base=running.base_url, key=running.key, vendor=vendor, model=model)
    rows = running.ledger.wait(2)
    for what, row in zip(("whole", "streamed"), rows, strict=True):
        usage = seen[what]["usage"]
        assert seen[what]["text"].startswith(NOTICE)
        assert (row.input_tokens, row.output_tokens) == (usage["input_tokens"], usage["output_tokens"])
        assert (row.model, row.streamed) == (MODEL, what == "streamed")
    assert seen["refused"].items() >= {"name": "AuthenticationError", "status": 401}.items()
    assert "not known here" in seen["refused"]["message"]
    assert (seen["counted"] > 0) is (vendor != "bedrock")
