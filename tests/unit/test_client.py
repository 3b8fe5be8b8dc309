"""The public library: headers, origins, second tries."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import keystead
from keystead.client import Client
from keystead.credentials import LoginKind
from keystead.errors import (
    ConfigurationError,
    CredentialRejected,
    HelperFailed,
    NoCredential,
    PolicyDenied,
    UnsupportedCredential,
)
from keystead.testing.machine import Machine
from keystead.testing.store_contract import sample_login
from keystead.wire.surfaces import Surface

BASE = "https://keys.example.com"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, {"PATH": os.defpath})


def shown(client: Client, url: str) -> dict[str, str]:
    return {name: value.reveal() for name, value in client.credential().for_url(url).items()}


def test_each_credential_goes_into_its_one_header(machine: Machine) -> None:
    """A key as it is, a token as a bearer; never two."""
    vendor = "https://api.anthropic.com/v1/messages"

    assert shown(machine.client(ANTHROPIC_API_KEY="k"), vendor) == {"x-api-key": "k"}
    assert shown(machine.client(ANTHROPIC_AUTH_TOKEN="t", ANTHROPIC_API_KEY="k"), vendor) == {
        "authorization": "Bearer t"
    }
    machine.store.save(sample_login(access_token="session"))
    assert shown(machine.client(ANTHROPIC_API_KEY="k"), f"{BASE}/v1/messages") == {"authorization": "Bearer session"}


def test_a_helpers_key_goes_where_its_origin_looks(machine: Machine) -> None:
    """The vendor takes a key, a gateway a bearer."""
    machine.settings({"apiKeyHelper": "echo from-helper"})
    vendor, gateway = machine.client(), machine.client(ANTHROPIC_BASE_URL=BASE)

    assert shown(vendor, "https://api.anthropic.com/v1/messages") == {"x-api-key": "from-helper"}
    assert shown(gateway, BASE) == {"authorization": "Bearer from-helper"}


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/v1/messages",
        "http://keys.example.com/v1/messages",
        "https://keys.example.com:8443/",
        "https://keys.example.com.evil.example/",
        "https://keys.example.com@evil.example/",
        "https://evil.example\\@keys.example.com/",
        "//keys.example.com/",
        "",
    ],
)
def test_a_credential_does_not_go_to_another_origin(machine: Machine, url: str) -> None:
    """Scheme, host and port must be the ones it belongs to (R-07)."""
    machine.store.save(sample_login(access_token="canary"))
    authorized = machine.client().credential()

    with pytest.raises(PolicyDenied) as caught:
        authorized.for_url(url)

    assert caught.value.exit_code == 77
    assert "canary" not in f"{caught.value.message} {caught.value.hint} {authorized!r} {authorized}"


def test_an_outranked_helper_does_not_run(machine: Machine) -> None:
    """Unlike the real client's race."""
    machine.settings({"apiKeyHelper": "touch ran; echo x"})
    machine.client(ANTHROPIC_AUTH_TOKEN="t").credential()

    assert list(machine.bare.cwd.iterdir()) == []


def test_a_failing_helper_stops_before_any_request(machine: Machine) -> None:
    """No empty credential is sent."""
    machine.settings({"apiKeyHelper": "exit 1"})

    with pytest.raises(HelperFailed, match=r"apiKeyHelper \(~/.claude/settings.json:2\) failed with exit code 1"):
        machine.client().credential()


def test_a_helper_sees_variables_from_trusted_settings(machine: Machine) -> None:
    """As the agent would run it, in the project."""
    machine.settings({"apiKeyHelper": 'echo "$VAULT"', "env": {"VAULT": "from-settings"}})

    assert machine.client().credential().secret.reveal() == "from-settings"


def test_a_second_try_runs_the_helper_once_more(machine: Machine) -> None:
    """And only once for everybody who was refused with the same key (R-09)."""
    machine.settings({"apiKeyHelper": "echo run >> runs; wc -l < runs"})
    client = machine.client()
    first = client.credential()

    assert client.credential().secret == first.secret
    assert client.again(first).secret != first.secret
    assert client.again(first).secret == client.credential().secret
    assert (machine.bare.cwd / "runs").read_text() == "run\nrun\n"


def test_a_refused_key_has_no_second_try(machine: Machine) -> None:
    """Nothing could make it another one; the place to correct is named."""
    client = machine.client(ANTHROPIC_API_KEY="k")

    with pytest.raises(CredentialRejected, match="ANTHROPIC_API_KEY in the environment"):
        client.again(client.credential())


def test_where_each_request_is_signed_there_is_no_credential_to_hand_out(machine: Machine) -> None:
    """Exit 78 with the way out, and nothing is asked or run for it."""
    with pytest.raises(UnsupportedCredential, match="Amazon Bedrock takes no token") as caught:
        machine.client(CLAUDE_CODE_USE_BEDROCK="1").credential()

    assert caught.value.exit_code == 78
    assert "keystead run" in (caught.value.hint or "")


def test_a_fresh_login_needs_no_network(machine: Machine) -> None:
    """The factory is not even asked for a transport."""
    saved = machine.store.save(sample_login(LoginKind.ACCOUNT))
    authorized = machine.client().credential()

    assert (authorized.api_base, authorized.generation) == (BASE, saved.generation)


def test_a_person_is_asked_once(machine: Machine) -> None:
    """The pending key is handed out for the question, and the answer counts from then on (S-05)."""
    client = machine.client(interactive=True, ANTHROPIC_API_KEY="k")
    pending = client.pending()
    assert pending is not None
    with pytest.raises(NoCredential):
        client.credential()

    client.decide(pending, accepted=True)

    assert client.pending() is None
    assert client.credential().secret.reveal() == "k"


def test_only_a_key_is_asked_about(machine: Machine) -> None:
    """A token or a session is not offered."""
    candidate = machine.client(ANTHROPIC_AUTH_TOKEN="t").resolve().require()

    with pytest.raises(ConfigurationError):
        machine.client().decide(candidate, accepted=True)


def test_the_public_names_are_there() -> None:
    """Each of them can be imported from the package."""
    assert all(hasattr(keystead, name) for name in keystead.__all__)


def test_resolving_loads_nothing_heavy(tmp_path: Path) -> None:
    """A shell prompt can afford it."""
    script = (
        "import sys; from keystead import Client; Client.local().credential();"
        "print(*sorted({'asyncio', 'httpx2', 'subprocess', 'email', 'logging', 'uuid', 'ssl', 'hashlib', 'datetime',"
        " 'json', 'tempfile', 'threading', 'click'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"HOME": str(tmp_path), "ANTHROPIC_API_KEY": "k"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.requirement("S-14 declared")
def test_a_renewed_credential_tells_the_same_surface(machine: Machine) -> None:
    machine.settings({"apiKeyHelper": "echo run >> runs; echo key-$(wc -l < runs)"})
    client = machine.client(KEYSTEAD_SURFACE="terminal")
    refused = client.credential()
    renewed = client.again(refused)
    assert renewed.secret != refused.secret
    assert (refused.surface, renewed.surface) == (Surface.LOCAL, Surface.LOCAL)
