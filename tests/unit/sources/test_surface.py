"""On which surface which rows of the table count, and who may declare one (S-14)."""

from pathlib import Path

import httpx2
import pytest

from keystead.credentials import LoginKind
from keystead.errors import ConfigurationError, NoCredential
from keystead.resolver import Resolution
from keystead.sources import SOURCES
from keystead.sources.candidate import CandidateState
from keystead.sources.surface import Surface, declared
from keystead.testing.machine import Machine
from keystead.testing.store_contract import sample_login
from keystead.wire.surfaces import HEADER

KEYS = {
    "ANTHROPIC_API_KEY": "sk-ant-api-1",
    "ANTHROPIC_AUTH_TOKEN": "token-1",
    "CLAUDE_CODE_USE_BEDROCK": "1",
    "KEYSTEAD_API_KEY": "exec:touch ran",
}
REMOTE = [{"KEYSTEAD_SURFACE": "remote"}, {"KEYSTEAD_SURFACE": "Desktop"}, {"CLAUDE_CODE_REMOTE": "true"}]


def resolve(machine: Machine, **variables: str) -> Resolution:
    machine.variables.update(variables)
    return machine.resolve()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.requirement("S-14 remote")
@pytest.mark.parametrize("kind", LoginKind)
@pytest.mark.parametrize("declaration", REMOTE)
def test_on_a_remote_surface_the_stored_sign_in_wins_over_everything_in_the_environment(
    machine: Machine, kind: LoginKind, declaration: dict[str, str]
) -> None:
    machine.settings({"apiKeyHelper": "touch ran; echo sk-ant-api-2"})
    machine.store.save(sample_login(kind))
    resolution = resolve(machine, **KEYS, **declaration)

    assert resolution.require().credential == sample_login(kind).tokens
    ignored = {one.source for one in resolution.considered if one.state is CandidateState.IGNORED}
    assert ignored == {"auth_token", "api_key", "api_key_reference", "api_key_helper", "cloud:bedrock"}
    assert resolution.shadows == (), "what cannot be used passes nothing over"
    assert not list(machine.bare.home.rglob("ran"))


@pytest.mark.requirement("S-14 remote")
def test_without_a_sign_in_a_remote_surface_has_no_credential_and_says_why(machine: Machine) -> None:
    resolution = resolve(machine, **KEYS, CLAUDE_CODE_REMOTE="1")
    with pytest.raises(NoCredential, match=r"not used on the surface remote \(CLAUDE_CODE_REMOTE in the environment\)"):
        resolution.require()
    assert resolution.problem is not None
    assert "keystead login" in (resolution.problem.hint or "")


@pytest.mark.requirement("S-14 bare")
def test_bare_mode_takes_the_key_of_the_environment_and_nothing_kept(machine: Machine) -> None:
    machine.settings({"apiKeyHelper": "echo sk-ant-api-2"})
    machine.store.save(sample_login(LoginKind.GATEWAY))
    machine.store.save(sample_login(LoginKind.ACCOUNT))
    bare = {"KEYSTEAD_SURFACE": "bare"}
    assert resolve(machine, **bare, ANTHROPIC_API_KEY="sk-ant-api-1").require().source == "api_key"
    del machine.variables["ANTHROPIC_API_KEY"]
    assert resolve(machine, **bare, KEYSTEAD_API_KEY="env:HELD", HELD="k").require().source == "api_key_reference"
    del machine.variables["KEYSTEAD_API_KEY"]
    with pytest.raises(NoCredential, match="surface bare"):
        resolve(machine, **bare).require()
    with pytest.raises(NoCredential):
        resolve(machine, **bare, ANTHROPIC_AUTH_TOKEN="token-1").require()


@pytest.mark.requirement("S-14 repository")
@pytest.mark.parametrize("scope", ["project", "local", "user"])
def test_a_settings_file_declares_no_surface(machine: Machine, scope: str) -> None:
    machine.settings({"env": {"KEYSTEAD_SURFACE": "bare", "CLAUDE_CODE_REMOTE": "true"}}, scope=scope)
    machine.store.save(sample_login(LoginKind.GATEWAY))
    assert resolve(machine, ANTHROPIC_API_KEY="sk-ant-api-1").require().source == "gateway_session"


def test_an_unknown_surface_stops_every_decision_and_is_named(machine: Machine) -> None:
    machine.store.save(sample_login(LoginKind.GATEWAY))
    resolution = resolve(machine, KEYSTEAD_SURFACE="teletype")
    with pytest.raises(ConfigurationError, match="KEYSTEAD_SURFACE names no surface") as refused:
        resolution.require()
    assert "terminal, desktop, remote, bare" in (refused.value.hint or "")
    assert "teletype" not in refused.value.message


@pytest.mark.parametrize("value", ["", " ", "false", "0", "no"])
def test_what_is_not_on_is_a_terminal(machine: Machine, value: str) -> None:
    declaration = declared(machine.environment(CLAUDE_CODE_REMOTE=value, KEYSTEAD_SURFACE=value.strip() and "terminal"))
    assert declaration.surface is Surface.TERMINAL


def test_every_row_counts_on_a_terminal() -> None:
    assert all(Surface.TERMINAL in source.surfaces for source in SOURCES)


@pytest.mark.requirement("S-14 declared")
@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, None),
        ({"CLAUDE_CODE_REMOTE": "false"}, None),
        ({"KEYSTEAD_SURFACE": "terminal"}, "local"),
        ({"KEYSTEAD_SURFACE": "desktop"}, "local"),
        ({"KEYSTEAD_SURFACE": "remote"}, "remote"),
        ({"CLAUDE_CODE_REMOTE": "true"}, "remote"),
    ],
)
def test_a_gateway_is_told_the_declared_surface_and_nobody_else_is(
    machine: Machine, variables: dict[str, str], told: str | None
) -> None:
    machine.variables.update(variables)
    client = machine.client()
    machine.store.save(sample_login(LoginKind.ACCOUNT))
    login = client.credential()
    assert HEADER not in login.for_url(f"{login.api_base}/v1/messages")
    machine.store.save(sample_login(LoginKind.GATEWAY))
    session = client.credential()
    assert session.candidate.source == "gateway_session"
    shown = session.for_url(f"{session.api_base}/v1/messages").get(HEADER)
    assert (None if shown is None else shown.reveal()) == told
    by_itself = {HEADER: "local"}
    request = session.add_to(httpx2.Request("POST", f"{session.api_base}/v1/messages", headers=by_itself))
    assert request.headers[HEADER] == (told or "local"), "what a program says itself stays where nothing is declared"
