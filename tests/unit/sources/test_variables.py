"""The two credential variables: where they go, who pays, what is wrong with them, who approved them."""

from pathlib import Path

import pytest

from keystead.credentials import BillingClass, Header, LoginKind
from keystead.errors import (
    ConfigurationError,
    MalformedSecret,
    NoCredential,
)
from keystead.resolver import Resolution
from keystead.secret import Secret
from keystead.sources.candidate import Approval, Candidate, CandidateState
from keystead.testing.machine import Machine
from keystead.testing.store_contract import sample_login
from keystead.wire import tokens

ANTHROPIC = "https://api.anthropic.com"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def row(resolution: Resolution, source: str) -> Candidate:
    return next(one for one in resolution.considered if one.source == source)


def test_a_key_goes_to_the_vendor_and_bills_per_token(machine: Machine) -> None:
    """Header, base, origin and payer of the plainest case."""
    winner = machine.resolve(ANTHROPIC_API_KEY="sk-key\n").require()

    assert (winner.header, winner.api_base, winner.billing) == (Header.X_API_KEY, ANTHROPIC, BillingClass.METERED)
    assert winner.allowed_origins == {ANTHROPIC}


def test_a_base_url_binds_key_and_token_to_its_origin_and_names_the_payer(machine: Machine) -> None:
    """A final slash is no difference."""
    winner = machine.resolve(ANTHROPIC_AUTH_TOKEN="t", ANTHROPIC_BASE_URL="https://keys.example.com/x/").require()

    assert winner.api_base == "https://keys.example.com/x"
    assert winner.allowed_origins == {"https://keys.example.com"}
    assert winner.billing is BillingClass.GATEWAY
    assert "https://keys.example.com" in winner.payer
    assert "ANTHROPIC_BASE_URL in the environment" in winner.payer


def test_a_v1_at_the_end_of_the_base_is_reported_and_taken_off(machine: Machine) -> None:
    """Real clients would ask for /v1/v1/messages."""
    resolution = machine.resolve(ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL="https://keys.example.com/v1/")

    assert resolution.require().api_base == "https://keys.example.com"
    assert any("/v1" in warning for warning in resolution.warnings)


def test_plain_http_to_another_machine_is_reported(machine: Machine) -> None:
    """On loopback it is fine."""
    far = machine.resolve(ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL="http://keys.example.com")
    near = machine.resolve(ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL="http://127.0.0.1:8420")

    assert any("unencrypted" in warning for warning in far.warnings)
    assert near.warnings == ()


@pytest.mark.parametrize(
    "url", ["keys.example.com", "https://u@keys.example.com", "https://a/?x", "https://a/#", "ftp://a"]
)
def test_a_base_that_is_no_base_stops(machine: Machine, url: str) -> None:
    """Rather than sending a key somewhere."""
    with pytest.raises(ConfigurationError, match="ANTHROPIC_BASE_URL is not a base URL"):
        machine.resolve(ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=url).require()


def test_empty_means_unset_and_blank_is_refused_by_name(machine: Machine) -> None:
    """`export ANTHROPIC_API_KEY=` is how people unset."""
    assert row(machine.resolve(ANTHROPIC_API_KEY=""), "api_key").state is CandidateState.ABSENT
    with pytest.raises(MalformedSecret, match="ANTHROPIC_API_KEY is set but blank"):
        machine.resolve(ANTHROPIC_API_KEY="  ").require()


def test_a_malformed_value_from_settings_names_its_line(machine: Machine) -> None:
    """The variable's name alone would send people to their shell."""
    machine.settings({"env": {"ANTHROPIC_API_KEY": "can\nary"}})

    with pytest.raises(MalformedSecret, match=r"ANTHROPIC_API_KEY \(~/.claude/settings.json:3\) has a line break"):
        machine.resolve(ANTHROPIC_API_KEY="of-the-shell").require()


def test_a_key_needs_approval_only_where_a_person_can_be_asked(machine: Machine) -> None:
    """Without a person it is always used (S-05)."""
    machine.store.save(sample_login(LoginKind.ACCOUNT))

    assert machine.resolve(ANTHROPIC_API_KEY="k").require().source == "api_key"
    asked = machine.resolve(interactive=True, ANTHROPIC_API_KEY="k")
    assert asked.require().source == "login"
    assert row(asked, "api_key").approval is Approval.PENDING
    assert "not yet approved" in row(asked, "api_key").reason


@pytest.mark.parametrize(
    ("accepted", "winner", "says"), [(True, "api_key", "approved on"), (False, "login", "declined on")]
)
def test_an_answer_is_remembered_and_shown(machine: Machine, accepted: bool, winner: str, says: str) -> None:
    """A declined key is shown as declined, never silently ignored."""
    machine.store.save(sample_login(LoginKind.ACCOUNT))
    machine.approvals.decide(Secret("k"), ANTHROPIC, accepted=accepted)

    resolution = machine.resolve(interactive=True, ANTHROPIC_API_KEY="k")

    assert resolution.require().source == winner
    assert f"{says} 2026-11-18" in row(resolution, "api_key").reason


def test_only_an_unapproved_key_says_what_to_do(machine: Machine) -> None:
    """Exit 4: a person must act."""
    with pytest.raises(NoCredential, match="not yet approved"):
        machine.resolve(interactive=True, ANTHROPIC_API_KEY="k").require()


def test_a_damaged_keystead_key_is_named_without_a_request(machine: Machine) -> None:
    """Its checksum tells (R-12)."""
    key = tokens.mint(tokens.TokenKind.API_KEY, bytes)
    base = "https://keys.example.com"

    assert machine.resolve(ANTHROPIC_API_KEY=key, ANTHROPIC_BASE_URL=base).require().source == "api_key"
    with pytest.raises(MalformedSecret, match="truncated at character 20"):
        machine.resolve(ANTHROPIC_API_KEY=key[:20], ANTHROPIC_BASE_URL=base).require()


def test_a_keystead_token_of_another_kind_is_named(machine: Machine) -> None:
    """A refresh token is for its server's token endpoint only."""
    token = tokens.mint(tokens.TokenKind.REFRESH_TOKEN, bytes)

    with pytest.raises(ConfigurationError, match="ANTHROPIC_AUTH_TOKEN holds a Keystead refresh token"):
        machine.resolve(ANTHROPIC_AUTH_TOKEN=token, ANTHROPIC_BASE_URL="https://keys.example.com").require()


def test_a_keystead_key_does_not_go_to_another_server(machine: Machine) -> None:
    """Without a base URL it would be sent to the vendor."""
    key = tokens.mint(tokens.TokenKind.API_KEY, bytes)

    with pytest.raises(ConfigurationError, match="which server") as caught:
        machine.resolve(ANTHROPIC_API_KEY=key).require()
    assert key not in caught.value.message
