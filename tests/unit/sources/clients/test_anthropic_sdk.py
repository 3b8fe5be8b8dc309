"""The SDKs' rules against what the SDKs were seen to send.

``sdk_observations.json`` was recorded on 2026-11-21: each release, unmodified, made one request to a server on
loopback with these variables and made-up keys; ``sent`` has the sources of its two headers.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from keystead.sources.clients import CLIENTS, choose
from keystead.sources.clients.sight import Sight
from keystead.sources.clients.wire import Wire
from keystead.sources.configuration import Configuration
from keystead.testing.machine import Machine

OBSERVATIONS = json.loads(Path(__file__).with_name("sdk_observations.json").read_text(encoding="utf-8"))
SDKS = [f"{client.name}@{client.version}" for client in CLIENTS if not client.agent]


def seen_by(client: str, machine: Machine, **variables: str) -> Wire:
    return choose(client).rules(Sight(Configuration.read(machine.environment(**variables))))


@pytest.mark.requirement("R-34 clients")
@pytest.mark.parametrize("client", SDKS)
def test_every_observation_is_foretold(tmp_path: Path, client: str) -> None:
    """Both headers, in every recorded combination of variables."""
    machine = Machine(tmp_path)
    wrong: list[Any] = []
    for observation in OBSERVATIONS:
        wire = seen_by(client, machine, **observation["set"])
        if [wire.authorization, wire.x_api_key] != observation["sent"][client]:
            wrong.append((observation, wire))
    assert not wrong


@pytest.mark.parametrize("client", SDKS)
def test_nothing_is_sent_for_a_reason(tmp_path: Path, client: str) -> None:
    """No header without a source, no silence without a reason."""
    machine = Machine(tmp_path)
    for observation in OBSERVATIONS:
        wire = seen_by(client, machine, **observation["set"])
        assert (wire.reason is None) == bool(wire.authorization or wire.x_api_key)
        assert set(wire.places) >= {source for source in (wire.authorization, wire.x_api_key) if source}


@pytest.mark.parametrize("client", SDKS)
def test_settings_files_and_switches_are_not_theirs(tmp_path: Path, client: str) -> None:
    """An SDK reads the process's variables; the agent's settings and switches are nothing to it."""
    machine = Machine(tmp_path)
    machine.settings({"env": {"ANTHROPIC_AUTH_TOKEN": "t"}, "apiKeyHelper": "echo k"})
    machine.vendor_login()

    assert seen_by(client, machine, CLAUDE_CODE_USE_BEDROCK="1", CLAUDE_CODE_OAUTH_TOKEN="t").reason is not None


@pytest.mark.parametrize("client", SDKS)
def test_a_profile_is_noticed_and_not_opened(tmp_path: Path, client: str) -> None:
    """Its presence is enough to say that it would be used, and not enough to be certain."""
    machine = Machine(tmp_path)
    profile = machine.bare.home / ".config/anthropic/configs/default.json"
    profile.parent.mkdir(parents=True)
    profile.write_text("not even JSON")

    wire = seen_by(client, machine)
    shadowed = seen_by(client, machine, ANTHROPIC_API_KEY="k")

    assert (wire.authorization, wire.certain) == ("profile", False)
    assert "api_key" in (shadowed.authorization, shadowed.x_api_key)
    assert "profile" not in (shadowed.authorization, shadowed.x_api_key)


@pytest.mark.parametrize("client", SDKS)
def test_a_profile_that_is_not_there_is_an_error(tmp_path: Path, client: str) -> None:
    """Workload identity does not step in for a profile that was asked for by name."""
    federation = {
        "ANTHROPIC_FEDERATION_RULE_ID": "rule",
        "ANTHROPIC_ORGANIZATION_ID": "organization",
        "ANTHROPIC_IDENTITY_TOKEN_FILE": "token",
    }
    machine = Machine(tmp_path)

    assert seen_by(client, machine, **federation).authorization == "workload_identity"
    assert "no file name" in (seen_by(client, machine, ANTHROPIC_PROFILE="../elsewhere").reason or "")
    assert "nowhere" in (seen_by(client, machine, **federation, ANTHROPIC_PROFILE="nowhere").reason or "")


def test_values_are_never_shown(tmp_path: Path) -> None:
    """What is known about the wire names sources and places only."""
    machine = Machine(tmp_path)
    for client in SDKS:
        for observation in OBSERVATIONS:
            assert "made-up" not in repr(seen_by(client, machine, **observation["set"]))
