"""The functions of the package itself, and the official SDK on this machine's credential."""

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import anthropic
import httpx2
import pytest
from clouds import NOWHERE
from local_server import Answer, Asked, LocalServer, local_server

import keystead
from keystead.credentials import OAuthTokens
from keystead.drivers.transport import HttpTransport
from keystead.secret import Secret
from keystead.stores.file import FileStore
from keystead.testing.clock import FakeClock
from keystead.testing.environment import bare_environment
from keystead.testing.machine import Machine
from keystead.testing.messages_api import MessagesApi
from keystead.testing.store_contract import sample_login

LIFETIME = 20 * 60
"""Seconds; renewed four minutes before its end, so three times in an hour."""
QUESTION: Any = {"model": "keystead-test-1", "max_tokens": 10, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, {"PATH": os.defpath})


@pytest.fixture
def api() -> Iterator[MessagesApi]:
    with MessagesApi() as running:
        yield running


def credentials(api: MessagesApi) -> list[dict[str, str]]:
    names = ("authorization", "x-api-key")
    return [{name: one.headers[name] for name in names if name in one.headers} for one in api.requests]


def test_requests_of_every_library_are_authorized(machine: Machine) -> None:
    """The one header is added in place of any other credential, and the request comes back."""
    client = machine.client(ANTHROPIC_API_KEY="k")
    url = "https://api.anthropic.com/v1/models"
    other = {"Authorization": "Bearer other", "X-API-Key": "other"}
    modern, plain = httpx2.Request("GET", url, headers=other), urllib.request.Request(url, headers=other)

    assert client.authorize(modern) is modern
    assert client.authorize(plain) is plain

    assert (modern.headers.get("authorization"), modern.headers["x-api-key"]) == (None, "k")
    assert {name.lower(): value for name, value in plain.header_items()} == {"x-api-key": "k"}
    assert plain.headers == {}  # those would be taken along on a redirect


def test_a_request_to_another_origin_stays_as_it_was(machine: Machine) -> None:
    request = httpx2.Request("GET", "https://evil.example/", headers={"x-api-key": "its own"})

    with pytest.raises(keystead.PolicyDenied):
        machine.client(ANTHROPIC_API_KEY="canary").authorize(request)

    assert request.headers["x-api-key"] == "its own"
    assert "canary" not in str(request.headers.multi_items())


def test_the_asynchronous_client_says_the_same(machine: Machine) -> None:
    """Every method is the other's, in a thread."""
    client = machine.client(ANTHROPIC_API_KEY="k")

    async def everything() -> None:
        other = keystead.AsyncClient(client)
        request = await other.authorize(httpx2.Request("GET", "https://api.anthropic.com/"))
        assert request.headers["x-api-key"] == "k"
        assert await other.resolve() == client.resolve()
        assert await other.credential() == client.credential()
        assert await other.cloud() is None
        with pytest.raises(keystead.CredentialRejected):
            await other.again(client.credential())

    asyncio.run(everything())


def test_the_sdk_sends_ours_and_nothing_else(
    machine: Machine, api: MessagesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the SDK would have found by itself; its own options stay the caller's."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "of-the-sdk")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "x-api-key: of-the-variable")
    client = machine.client(ANTHROPIC_AUTH_TOKEN="t", ANTHROPIC_BASE_URL=api.base_url)

    with keystead.anthropic_client(client, default_headers={"x-mine": "1"}, max_retries=0) as sdk:
        message = sdk.with_options(timeout=5).messages.create(**QUESTION)
        with sdk.messages.stream(**QUESTION) as stream:
            streamed = stream.get_final_message()

    assert type(sdk) is anthropic.Anthropic
    assert message.usage == streamed.usage
    assert credentials(api) == [{"authorization": "Bearer t"}] * 2
    assert api.requests[0].headers["x-mine"] == "1"


def test_the_asynchronous_sdk_too(machine: Machine, api: MessagesApi) -> None:
    client = machine.client(ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=api.base_url)

    async def ask() -> anthropic.types.Message:
        async with keystead.async_anthropic_client(client, max_retries=0) as sdk:
            assert type(sdk) is anthropic.AsyncAnthropic
            message: anthropic.types.Message = await sdk.messages.create(**QUESTION)
            return message

    assert asyncio.run(ask()).usage.output_tokens > 0
    assert credentials(api) == [{"x-api-key": "k"}]


def test_an_error_of_ours_reaches_the_caller_at_once(machine: Machine, api: MessagesApi) -> None:
    """The SDK would call it a broken connection and try twice more."""
    machine.settings({"apiKeyHelper": "echo run >> runs; exit 3"})
    client = machine.client(ANTHROPIC_BASE_URL=api.base_url)

    async def ask() -> None:
        async with keystead.async_anthropic_client(client) as sdk:
            await sdk.messages.create(**QUESTION)

    with keystead.anthropic_client(client) as sdk, pytest.raises(keystead.HelperFailed, match="exit code 3"):
        sdk.messages.create(**QUESTION)
    with pytest.raises(keystead.HelperFailed, match="exit code 3"):
        asyncio.run(ask())

    assert (machine.bare.cwd / "runs").read_text() == "run\n" * 2
    assert api.requests == []


def test_errors_of_the_sdk_stay_its_own(machine: Machine, api: MessagesApi) -> None:
    """A refusal and a broken connection look as they always do."""
    client = machine.client(ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=api.base_url)
    nobody = machine.client(ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL="http://127.0.0.1:9")

    with keystead.anthropic_client(client, max_retries=0) as sdk, pytest.raises(anthropic.AuthenticationError):
        sdk.messages.create(**QUESTION, extra_headers={"x-keystead-fake": "error=401"})
    with keystead.anthropic_client(nobody, max_retries=0) as sdk, pytest.raises(anthropic.APIConnectionError):
        sdk.messages.create(**QUESTION)


def test_what_keystead_sets_cannot_be_given(machine: Machine) -> None:
    with pytest.raises(TypeError, match="api_key, base_url: set by Keystead"):
        keystead.anthropic_client(machine.client(ANTHROPIC_API_KEY="k"), api_key="x", base_url="https://x.example")


def test_no_client_without_a_credential(machine: Machine, tmp_path: Path) -> None:
    """Said when it is made, not at the first question."""
    with pytest.raises(keystead.NoCredential):
        keystead.anthropic_client(machine.client())
    with pytest.raises(keystead.CloudNotReady):
        keystead.anthropic_client(Machine(tmp_path / "cloud", NOWHERE | {"CLAUDE_CODE_USE_VERTEX": "1"}).client())


def test_a_missing_sdk_is_said_with_its_fix(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anthropic", None)

    with pytest.raises(keystead.ConfigurationError, match="anthropic package") as caught:
        keystead.anthropic_client(machine.client(ANTHROPIC_API_KEY="k"))

    assert "pip install" in (caught.value.hint or "")


@dataclass
class Issuer:
    """Rotates: each refresh token is good once, each access token for its lifetime by ``clock``."""

    clock: FakeClock
    ends: dict[str, float] = field(default_factory=dict)
    renewals: int = 0

    def renew(self, asked: Asked) -> Answer:
        if parse_qs(asked.body)["refresh_token"] != [f"refresh-{self.renewals}"]:
            return 400, "application/json", {"error": "invalid_grant"}
        self.renewals += 1
        name = str(self.renewals)
        self.ends[f"Bearer access-{name}"] = self.clock.now() + LIFETIME
        tokens = {"access_token": f"access-{name}", "refresh_token": f"refresh-{name}", "token_type": "Bearer"}
        return 200, "application/json", {**tokens, "expires_in": LIFETIME}


class Gateway(MessagesApi):
    """Takes what the issuer gave out, as long as it lives."""

    issuer: Issuer

    def accepts(self, headers: dict[str, str]) -> bool:
        return self.issuer.ends.get(headers.get("authorization", ""), 0) > self.issuer.clock.now()


CHILD = """
import json, sys, urllib.request
from pathlib import Path
from keystead.client import Client
from keystead.drivers.transport import HttpTransport
from keystead.stores.file import FileStore
from keystead.testing.clock import FakeClock
from keystead.testing.environment import bare_environment
root, now, url, question = sys.argv[1:]
environment, clock = bare_environment(Path(root)), FakeClock(float(now))
client = Client(environment, FileStore(environment.state_dir, clock), HttpTransport, clock)
request = urllib.request.Request(url, question.encode(), {"content-type": "application/json"})
print(urllib.request.urlopen(client.authorize(request)).status)
"""


@contextmanager
def signed_in(root: Path, clock: FakeClock) -> Iterator[tuple[keystead.Client, Gateway, Issuer, LocalServer]]:
    """Give a client that is signed in to a gateway of its own."""
    issuer, environment = Issuer(clock), bare_environment(root)
    with Gateway() as gateway, local_server({"POST /oauth/token": issuer.renew}) as server:
        gateway.issuer = issuer
        issuer.ends["Bearer access-0"] = clock.now() + LIFETIME
        tokens = OAuthTokens(Secret("access-0"), Secret("refresh-0"), clock.now(), LIFETIME)
        login = replace(
            sample_login(),
            issuer=server.url,
            token_endpoint=f"{server.url}/oauth/token",
            api_base=gateway.base_url,
            allowed_origins=frozenset({gateway.base_url}),
            tokens=tokens,
        )
        store = FileStore(environment.state_dir, clock)
        store.save(login)
        yield keystead.Client(environment, store, HttpTransport, clock), gateway, issuer, server


@pytest.mark.requirement("R-10 long session")
def test_a_session_of_an_hour_outlives_three_renewals(tmp_path: Path) -> None:
    """One SDK client, an asynchronous one and child processes: no call fails, whoever renews first."""
    clock = FakeClock()
    with (
        signed_in(tmp_path, clock) as (client, gateway, issuer, server),
        keystead.anthropic_client(client, max_retries=0) as sdk,
    ):
        for minute in range(60):
            if minute % 32 == 0:  # a child is the first to notice at 32, as others are at 16 and 48
                _ask_in_a_child(tmp_path, clock, gateway)
            if minute % 16 == 0:
                asyncio.run(_ask_together(client))
            sdk.messages.create(**QUESTION)
            clock.advance(60)

    assert issuer.renewals == len(server.asked) == 3
    assert len({one["authorization"] for one in credentials(gateway)}) == 4
    assert all(one.finished for one in gateway.requests)


async def _ask_together(client: keystead.Client) -> None:
    async with keystead.async_anthropic_client(client, max_retries=0) as sdk:
        await asyncio.gather(*(sdk.messages.create(**QUESTION) for _ in range(5)))


def _ask_in_a_child(root: Path, clock: FakeClock, gateway: Gateway) -> None:
    url = f"{gateway.base_url}/v1/messages"
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(root), str(clock.now()), url, json.dumps(QUESTION)],
        env={"HOME": str(root / "home"), "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "200\n", done.stderr


@pytest.mark.requirement("R-10 revoked early")
def test_a_token_that_ended_early_costs_one_more_call(tmp_path: Path) -> None:
    """The 401 is seen, the sign-in renewed, the question asked again; the SDK notices nothing."""
    clock = FakeClock()
    with signed_in(tmp_path, clock) as (client, gateway, issuer, _):
        issuer.ends.clear()
        with keystead.anthropic_client(client, max_retries=0) as sdk:
            sdk.messages.create(**QUESTION)

    assert [one["authorization"] for one in credentials(gateway)] == ["Bearer access-0", "Bearer access-1"]
    assert issuer.renewals == 1
