"""The library on a machine with a cloud switched on: the SDK's own client for it, on this machine's credential."""

import asyncio
import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import anthropic
import httpx2
import pytest
from clouds import AMAZON_STREAM, AWS_KEYS, CALLER, NOWHERE, STREAM, service_account, signed_by
from local_server import Answer, Asked, LocalServer, local_server

import keystead
from keystead.auth import KeysteadAuth
from keystead.testing.machine import Machine

QUESTION = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "Hello"}], "usage": {"input_tokens": 1, "output_tokens": 1},
}  # fmt: skip
TOKEN = {"access_token": "made-up-token", "expires_in": 3600, "token_type": "Bearer"}


def answer(asked: Asked) -> Answer:
    """Answer as any cloud does: tokens, STS, and messages, streamed or whole."""
    path = asked.path.partition("?")[0]
    if path == "/":
        return CALLER
    if path in {"/token", "/metadata/identity/oauth2/token"}:
        return 200, "application/json", TOKEN | {"expires_in": "3600", "resource": "r"} if "meta" in path else TOKEN
    if path.endswith("invoke-with-response-stream"):
        return AMAZON_STREAM
    return STREAM if json.loads(asked.body).get("stream") else (200, "application/json", MESSAGE)


CLOUDS: dict[str, dict[str, str]] = {
    "AnthropicBedrock": {"CLAUDE_CODE_USE_BEDROCK": "1", "ANTHROPIC_BEDROCK_BASE_URL": "URL"},
    "AnthropicBedrockMantle": {"CLAUDE_CODE_USE_MANTLE": "1", "ANTHROPIC_BEDROCK_MANTLE_BASE_URL": "URL/anthropic"},
    "AnthropicAWS": {
        "CLAUDE_CODE_USE_ANTHROPIC_AWS": "1", "ANTHROPIC_AWS_BASE_URL": "URL", "ANTHROPIC_AWS_WORKSPACE_ID": "w",
    },
    "AnthropicVertex": {
        "CLAUDE_CODE_USE_VERTEX": "1", "ANTHROPIC_VERTEX_BASE_URL": "URL/v1", "CLOUD_ML_REGION": "europe-west1",
    },
    "AnthropicFoundry": {
        "CLAUDE_CODE_USE_FOUNDRY": "1", "ANTHROPIC_FOUNDRY_BASE_URL": "URL/anthropic",
        "AZURE_POD_IDENTITY_AUTHORITY_HOST": "URL",
    },
}  # fmt: skip


def client(root: Path, name: str, server: LocalServer) -> keystead.Client:
    """Return the client of a machine on which one cloud, served by ``server``, is switched on."""
    variables = {key: value.replace("URL", server.url) for key, value in CLOUDS[name].items()}
    google = {"GOOGLE_APPLICATION_CREDENTIALS": service_account(root, f"{server.url}/token")}
    return Machine(root, NOWHERE | AWS_KEYS | {"AWS_ENDPOINT_URL_STS": server.url} | google | variables).client()


def credential(asked: Asked) -> object:
    """Return what a message was sent with: a signature that is right, or a token."""
    placeholders = [name for name, value in asked.headers.items() if "Keystead" in value]
    assert placeholders == []
    sent = asked.headers["authorization"]
    return signed_by(asked)[2] if sent.startswith("AWS4") else sent


SENT = {
    "AnthropicBedrock": "bedrock",
    "AnthropicBedrockMantle": "bedrock-mantle",
    "AnthropicAWS": "aws-external-anthropic",
    "AnthropicVertex": "Bearer made-up-token",
    "AnthropicFoundry": "Bearer made-up-token",
}


@pytest.mark.parametrize("name", CLOUDS)
def test_the_sdks_client_for_the_cloud_in_use(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks and streams, with nothing that the SDK would have found by itself."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "of-the-sdk")
    monkeypatch.setenv("ANTHROPIC_FOUNDRY_API_KEY", "of-the-sdk")
    with local_server({"*": answer}) as server:
        with keystead.anthropic_client(client(tmp_path, name, server), max_retries=0) as sdk:
            message = sdk.messages.create(**QUESTION)  # type: ignore[call-overload]
            with sdk.messages.stream(**QUESTION) as stream:  # type: ignore[arg-type]
                streamed = "".join(stream.text_stream)
        sent = [credential(one) for one in server.asked if "messages" in one.body and one.headers.get("authorization")]
    assert type(sdk).__name__ == name
    assert (message.content[0].text, streamed) == ("Hello", "Hello there.")
    assert sent == [SENT[name]] * 2


@pytest.mark.parametrize("name", ["AnthropicBedrock", "AnthropicVertex"])
def test_the_asynchronous_ones_too(name: str, tmp_path: Path) -> None:
    async def ask(server: LocalServer) -> tuple[str, str]:
        async with keystead.async_anthropic_client(client(tmp_path, name, server), max_retries=0) as sdk:
            message = await sdk.messages.create(**QUESTION)  # type: ignore[call-overload]
            return type(sdk).__name__, message.stop_reason

    with local_server({"*": answer}) as server:
        assert asyncio.run(ask(server)) == (f"Async{name}", "end_turn")
        assert credential(server.asked[-1]) == SENT[name]


def test_what_a_cloud_wants_to_know_cannot_be_given(tmp_path: Path) -> None:
    with local_server({"*": answer}) as server, pytest.raises(TypeError, match="aws_region: set by Keystead"):
        keystead.anthropic_client(client(tmp_path, "AnthropicBedrock", server), aws_region="x")


def test_a_region_that_is_missing_is_said_when_the_client_is_made(tmp_path: Path) -> None:
    with local_server({"*": answer}) as server:
        machine = Machine(tmp_path, NOWHERE | AWS_KEYS | {"AWS_REGION": "", "CLAUDE_CODE_USE_BEDROCK": "1"})
        with pytest.raises(keystead.CloudNotReady, match="no region is named"):
            keystead.anthropic_client(machine.client())
        assert server.asked == []


@pytest.mark.requirement("R-07 redirects")
def test_a_signature_is_for_the_clouds_own_address_and_no_other(tmp_path: Path) -> None:
    """By any HTTP client; what cannot be signed is said before it is sent."""

    def body() -> Iterator[bytes]:
        yield b"stream"

    cases: list[tuple[Callable[[LocalServer], object], type[keystead.KeysteadError]]] = [
        (lambda _: httpx2.Request("POST", "https://evil.example/", content=b"x"), keystead.PolicyDenied),
        (lambda s: httpx2.Request("POST", f"{s.url}/model/m/invoke", content=body()), keystead.UnsupportedCredential),
        (lambda s: urllib.request.Request(f"{s.url}/model/m/invoke", b"x"), keystead.UnsupportedCredential),
    ]
    with local_server({"*": answer}) as server:
        keeper = client(tmp_path, "AnthropicBedrock", server)
        for make, refusal in cases:
            with pytest.raises(refusal):
                keeper.authorize(make(server))
        with pytest.raises(keystead.UnsupportedCredential, match="each request is signed"):
            keeper.credential()
        with httpx2.Client(auth=KeysteadAuth(keeper), trust_env=False) as http:
            http.post(f"{server.url}/model/m/invoke", content="{}", headers={"x-api-key": "its own"})
        assert credential(server.asked[-1]) == "bedrock"
        assert "x-api-key" not in server.asked[-1].headers


def test_a_key_of_foundry_is_in_one_header(tmp_path: Path) -> None:
    with local_server({"*": answer}) as server:
        keeper = Machine(
            tmp_path,
            NOWHERE | {"CLAUDE_CODE_USE_FOUNDRY": "1", "ANTHROPIC_FOUNDRY_BASE_URL": server.url,
                       "ANTHROPIC_FOUNDRY_API_KEY": "made-up-key"},
        ).client()  # fmt: skip
        with keystead.anthropic_client(keeper, max_retries=0) as sdk:
            assert isinstance(sdk, anthropic.AnthropicFoundry)
            sdk.messages.create(**QUESTION)  # type: ignore[call-overload]
    headers = server.asked[-1].headers
    assert headers["x-api-key"] == "made-up-key"
    assert not {"api-key", "authorization"} & headers.keys()
