"""What the resolution says about hard cases."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keystead.credentials import BillingClass, LoginKind
from keystead.errors import (
    CredentialExpired,
    CredentialRejected,
    MalformedSecret,
    NoCredential,
    PolicyDenied,
    UnreadableFile,
)
from keystead.resolver import Resolution, Resolver
from keystead.sources.candidate import Candidate, CandidateState
from keystead.stores.file import FileStore
from keystead.testing.machine import Machine
from keystead.testing.store_contract import sample_login

ANTHROPIC = "https://api.anthropic.com"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def row(resolution: Resolution, source: str) -> Candidate:
    return next(one for one in resolution.considered if one.source == source)


def test_on_a_bare_machine_signing_in_is_the_fix(machine: Machine) -> None:
    """Exit 4, and the fix names the command."""
    resolution = machine.resolve()

    with pytest.raises(NoCredential) as caught:
        resolution.require()
    assert caught.value.exit_code == 4
    assert "keystead login" in (caught.value.hint or "")


def test_a_broken_source_stops_what_ranks_below_it_and_nothing_above(machine: Machine) -> None:
    """It might have won: failing closed beats guessing."""
    broken = machine.resolve(ANTHROPIC_AUTH_TOKEN="a b", ANTHROPIC_API_KEY="k")
    assert broken.winner is None
    assert isinstance(broken.problem, MalformedSecret)
    assert row(broken, "api_key").state is CandidateState.OUTRANKED

    above = machine.resolve(ANTHROPIC_AUTH_TOKEN="t", ANTHROPIC_API_KEY="a b")
    assert above.require().source == "auth_token"
    assert row(above, "api_key").state is CandidateState.BROKEN


def test_a_malformed_settings_file_stops_all_but_the_gateway_session(machine: Machine) -> None:
    """What it would have said is unknown; the session outranks it whatever it says."""
    machine.settings("{")

    with pytest.raises(UnreadableFile, match=r"settings.json:1"):
        machine.resolve(ANTHROPIC_API_KEY="k").require()

    machine.store.save(sample_login())
    resolution = machine.resolve(ANTHROPIC_API_KEY="k")
    assert resolution.require().source == "gateway_session"
    assert row(resolution, "api_key").reason == "not known while ~/.claude/settings.json:1 cannot be read"
    assert resolution.warnings == ()


def test_an_unreadable_store_stops_even_with_a_key_in_the_environment(machine: Machine, tmp_path: Path) -> None:
    """A gateway session may be in it."""
    store = FileStore(tmp_path / "state", machine.clock)
    store.save(sample_login())
    (tmp_path / "state/credentials.json").chmod(0o644)
    environment = replace(machine.bare, variables={"ANTHROPIC_API_KEY": "k"})

    with pytest.raises(UnreadableFile, match="open to other users"):
        Resolver(environment, store, machine.clock, interactive=False).resolve().require()


def test_the_store_says_when_it_fell_back(machine: Machine, tmp_path: Path) -> None:
    """The person learns that a file was damaged."""
    store = FileStore(tmp_path / "state", machine.clock)
    store.save(sample_login())
    store.save(sample_login())
    path = tmp_path / "state/credentials.json"
    path.write_bytes(b"x")

    resolution = Resolver(machine.bare, store, machine.clock, interactive=False).resolve()

    assert resolution.require().source == "gateway_session"
    assert "damaged" in resolution.warnings[0]


def test_a_stored_login_brings_everything_the_server_said(machine: Machine) -> None:
    """Account, organization, payer, upstream, expiry, origins."""
    login = machine.store.save(sample_login())
    winner = machine.resolve().require()

    assert winner.account == login.account
    assert winner.expires_at == login.tokens.expires_at
    assert (winner.upstream, winner.allowed_origins) == ("test", login.allowed_origins)
    assert "ada@example.com" in winner.reason
    assert "Example" in winner.payer


def test_an_ended_session_is_an_error_and_not_a_change_of_payer(machine: Machine) -> None:
    """A key in the environment does not quietly take over (R-03)."""
    login = machine.store.save(sample_login())
    machine.store.save(replace(login, retired_at=machine.clock.now()))
    with pytest.raises(CredentialRejected) as caught:
        machine.resolve(ANTHROPIC_API_KEY="k").require()
    assert "keystead logout" in (caught.value.hint or "")

    machine.store.save(replace(login, tokens=replace(login.tokens, refresh_token=None)))
    machine.clock.advance(4000)
    with pytest.raises(CredentialExpired):
        machine.resolve(ANTHROPIC_API_KEY="k").require()


def test_an_expired_login_that_can_be_renewed_still_wins(machine: Machine) -> None:
    """Resolving does not renew; using does."""
    machine.store.save(sample_login())
    machine.clock.advance(10_000)

    winner = machine.resolve().require()

    assert winner.freshness == "expired"


def test_a_metered_key_that_shadows_another_purse_is_announced(machine: Machine) -> None:
    """The surprise bill of R-03, with both places."""
    machine.store.save(replace(sample_login(LoginKind.ACCOUNT), billing=BillingClass.SUBSCRIPTION))
    resolution = machine.resolve(ANTHROPIC_API_KEY="k")

    assert any(
        "metered" in warning and "subscription" in warning and "ANTHROPIC_API_KEY in the environment" in warning
        for warning in resolution.warnings
    )
    assert machine.resolve().warnings == ()


def test_a_vendors_own_login_beside_a_key_is_announced_and_not_opened(machine: Machine) -> None:
    """Its presence is enough to know; a file that may not be read proves that it was not opened."""
    machine.vendor_login("canary").chmod(0)

    resolution = machine.resolve(ANTHROPIC_API_KEY="k")

    assert row(resolution, "vendor_login").state is CandidateState.REFUSED
    assert "not opened" in row(resolution, "vendor_login").reason
    assert any("subscription" in warning for warning in resolution.warnings)


def test_each_purse_that_is_passed_over_is_announced_once(machine: Machine) -> None:
    """A vendor token and a vendor login are the same purse; a cloud is none here."""
    machine.vendor_login()

    resolution = machine.resolve(ANTHROPIC_API_KEY="k", CLAUDE_CODE_OAUTH_TOKEN="t")

    assert len([warning for warning in resolution.warnings if "would bill" in warning]) == 1


def test_only_a_vendors_login_means_signing_in(machine: Machine) -> None:
    """Nothing forbidden was asked for: exit 4."""
    machine.vendor_login()

    with pytest.raises(NoCredential):
        machine.resolve().require()


def test_a_vendor_subscription_token_is_refused_with_rule_and_alternative(machine: Machine) -> None:
    """Exit 77; with another credential it is only shown."""
    with pytest.raises(PolicyDenied, match="vendor-subscription-token") as caught:
        machine.resolve(CLAUDE_CODE_OAUTH_TOKEN="canary").require()
    assert "canary" not in caught.value.message
    assert "API key" in (caught.value.hint or "")

    assert machine.resolve(CLAUDE_CODE_OAUTH_TOKEN="x", ANTHROPIC_API_KEY="k").require().source == "api_key"


@pytest.mark.parametrize(
    ("document", "name"),
    [
        ({"apiKeyHelper": "evil"}, "apiKeyHelper"),
        ({"env": {"ANTHROPIC_API_KEY": "theirs"}}, "ANTHROPIC_API_KEY"),
        ({"env": {"ANTHROPIC_AUTH_TOKEN": "theirs"}}, "ANTHROPIC_AUTH_TOKEN"),
    ],
)
def test_what_a_project_may_not_set_is_refused_with_place_and_fix(machine: Machine, document: Any, name: str) -> None:
    """A clone brings no credential and no command (R-07)."""
    machine.settings(document, scope="project")

    with pytest.raises(PolicyDenied, match=rf"\./\.claude/settings\.json:\d sets {name}") as caught:
        machine.resolve().require()
    assert name in (caught.value.hint or "")


def test_a_project_cannot_redirect_a_key(machine: Machine) -> None:
    """The key keeps going where its owner sends it, and the attempt is reported."""
    machine.settings({"env": {"ANTHROPIC_BASE_URL": "https://evil.example"}}, scope="project")

    resolution = machine.resolve(ANTHROPIC_API_KEY="k")

    assert resolution.require().allowed_origins == {ANTHROPIC}
    assert any("settings.json:3 sets ANTHROPIC_BASE_URL" in warning for warning in resolution.warnings)


def test_a_projects_helper_does_not_displace_the_persons_own(machine: Machine) -> None:
    """The own one runs, the other is reported."""
    machine.settings({"apiKeyHelper": "mine"})
    machine.settings({"apiKeyHelper": "evil"}, scope="project")

    resolution = machine.resolve()

    assert str(resolution.require().provenance) == "~/.claude/settings.json:2"
    assert any("ignored" in warning for warning in resolution.warnings)


def test_custom_headers_are_named_and_not_shown(machine: Machine) -> None:
    """Other clients may send a credential in them."""
    resolution = machine.resolve(ANTHROPIC_API_KEY="k", ANTHROPIC_CUSTOM_HEADERS="x-api-key: canary")

    assert len(resolution.warnings) == 1
    assert "ANTHROPIC_CUSTOM_HEADERS" in resolution.warnings[0]
    assert "canary" not in resolution.warnings[0]
