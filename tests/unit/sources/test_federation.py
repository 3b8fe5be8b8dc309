"""A profile of the vendor's SDKs and workload identity federation: what is used, refused, broken or passed over."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from keystead.credentials import BillingClass, Header
from keystead.errors import ConfigurationError, KeysteadError, PolicyDenied, UnreadableFile, UnsupportedCredential
from keystead.resolver import Resolution
from keystead.sources.candidate import Candidate, CandidateState
from keystead.sources.federation import is_there
from keystead.testing.machine import Machine

CANARY = "canary-of-the-identity-token"
VARIABLES = {
    "ANTHROPIC_FEDERATION_RULE_ID": "fdrl_1",
    "ANTHROPIC_ORGANIZATION_ID": "org-1",
    "ANTHROPIC_IDENTITY_TOKEN": CANARY,
}
RULE = {"type": "oidc_federation", "federation_rule_id": "fdrl_7"}
FEDERATION = {
    "organization_id": "org-7",
    "authentication": RULE | {"identity_token": {"source": "file", "path": "/var/run/identity"}},
}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def profile(machine: Machine, document: Any, name: str = "default") -> Path:
    """Write a profile's configuration; a string is written as it is."""
    path = machine.bare.home / f".config/anthropic/configs/{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document, indent=1))
    path.chmod(0o644)
    return path


def decide(machine: Machine, **variables: str) -> Resolution:
    """Decide as a process with these variables and no others would."""
    machine.variables = variables
    return machine.resolve()


def row(machine: Machine, source: str, **variables: str) -> Candidate:
    return next(one for one in decide(machine, **variables).considered if one.source == source)


def test_the_variables_make_a_metered_credential_of_the_rules_organization(machine: Machine) -> None:
    """The payer is the organization; the token may go to the vendor only."""
    winner = decide(machine, **VARIABLES, ANTHROPIC_SERVICE_ACCOUNT_ID="svac_1").require()

    assert (winner.source, winner.billing, winner.header) == (
        "workload_identity",
        BillingClass.METERED,
        Header.AUTHORIZATION,
    )
    assert winner.payer == "organization org-1, per token"
    assert winner.account is not None
    assert (winner.account.id, winner.account.organization_id) == ("svac_1", "org-1")
    assert winner.allowed_origins == {"https://api.anthropic.com"}
    assert str(winner.provenance) == "ANTHROPIC_FEDERATION_RULE_ID in the environment"
    assert CANARY not in f"{winner!r}"


@pytest.mark.parametrize("missing", ["ANTHROPIC_FEDERATION_RULE_ID", "ANTHROPIC_ORGANIZATION_ID"])
def test_a_missing_variable_is_named(machine: Machine, missing: str) -> None:
    """Exit 78 with the fix; the next row would be another payer."""
    variables = {name: value for name, value in VARIABLES.items() if name != missing}

    with pytest.raises(ConfigurationError, match=f"{missing} is not set") as caught:
        decide(machine, **variables).require()

    assert caught.value.exit_code == 78
    assert missing in (caught.value.hint or "")


def test_an_identity_token_is_needed(machine: Machine) -> None:
    """Its file is what is recommended."""
    with pytest.raises(ConfigurationError, match="ANTHROPIC_IDENTITY_TOKEN_FILE is not set"):
        decide(machine, ANTHROPIC_FEDERATION_RULE_ID="r", ANTHROPIC_ORGANIZATION_ID="o").require()


def test_an_organization_alone_means_nothing(machine: Machine) -> None:
    """It is set for other purposes too."""
    assert row(machine, "workload_identity", ANTHROPIC_ORGANIZATION_ID="o").state is CandidateState.ABSENT


def test_half_of_the_variables_may_complete_a_profile(machine: Machine) -> None:
    """As the SDKs fill what a profile leaves open."""
    profile(machine, {"authentication": RULE})
    given = {"ANTHROPIC_IDENTITY_TOKEN_FILE": "/run/token", "ANTHROPIC_ORGANIZATION_ID": "org-9"}

    winner = decide(machine, **given).require()

    assert (winner.source, winner.payer) == ("active_profile", "organization org-9, per token")
    assert getattr(winner.credential, "identity_file", None) == "/run/token"


def test_a_profile_is_told_with_file_and_line(machine: Machine) -> None:
    """And its own organization counts before the variable's."""
    profile(machine, FEDERATION)

    winner = decide(machine, ANTHROPIC_ORGANIZATION_ID="another").require()

    assert str(winner.provenance) == "~/.config/anthropic/configs/default.json:3"
    assert winner.payer == "organization org-7, per token"


def test_the_named_profile_comes_before_the_variables_and_the_active_one_after(machine: Machine) -> None:
    """The order of the SDKs."""
    profile(machine, FEDERATION)
    profile(machine, FEDERATION, "work")

    assert decide(machine, ANTHROPIC_PROFILE="work", **VARIABLES).require().source == "profile"
    assert decide(machine, **VARIABLES).require().source == "workload_identity"
    assert decide(machine).require().source == "active_profile"


def test_the_active_profile_is_the_one_that_is_pointed_at(machine: Machine) -> None:
    """One that is not there is an error, as it is for the SDKs."""
    path = profile(machine, FEDERATION, "work")
    pointer = path.parents[1] / "active_config"
    pointer.write_text("work\n")
    assert str(decide(machine).require().provenance).endswith("/work.json:3")

    pointer.write_text("gone\n")
    with pytest.raises(UnreadableFile, match=r"active_config selects a profile, and there is no .*gone.json"):
        decide(machine).require()


def test_a_persons_login_is_refused_and_its_tokens_are_not_opened(machine: Machine) -> None:
    """The legal wall, with its rule; the file of the tokens could not even be read."""
    path = profile(machine, {"authentication": {"type": "user_oauth", "client_id": "c"}})
    tokens = path.parents[1] / "credentials/default.json"
    tokens.parent.mkdir()
    os.mkfifo(tokens)  # opening it would wait for ever

    found = row(machine, "active_profile")

    assert (found.state, found.header) == (CandidateState.REFUSED, None)
    assert isinstance(found.error, PolicyDenied)
    assert "vendor-subscription-token" in found.reason


@pytest.mark.parametrize(
    ("document", "error", "words"),
    [
        ("{", UnreadableFile, "default.json:1 cannot be read"),
        ({}, ConfigurationError, "has no authentication object"),
        ({"authentication": {"type": "api_key"}}, UnsupportedCredential, "is not one that this version knows"),
        (
            {
                "authentication": {
                    "type": "oidc_federation",
                    "federation_rule_id": "r",
                    "identity_token": {"source": "u"},
                }
            },
            UnsupportedCredential,
            "identity_token is not a file",
        ),
        (
            {
                "authentication": {"type": "oidc_federation", "identity_token": {"source": "file"}},
                "organization_id": "o",
            },
            ConfigurationError,
            "identity_token has no path",
        ),
        ({**FEDERATION, "organization_id": 7}, ConfigurationError, "organization_id is not a line of text"),
        ({**FEDERATION, "organization_id": ""}, ConfigurationError, "no organization_id or ANTHROPIC_ORGANIZATION_ID"),
        ({**FEDERATION, "base_url": "http://keys.example.com"}, ConfigurationError, "which is not https"),
        ({**FEDERATION, "base_url": "keys.example.com"}, ConfigurationError, "is not a base URL"),
    ],
)
def test_a_profile_that_cannot_be_used_is_broken(
    machine: Machine, document: Any, error: type[KeysteadError], words: str
) -> None:
    """Exit 78; nothing below it is used instead, for that would change who pays."""
    profile(machine, document)

    with pytest.raises(error, match=words) as caught:
        decide(machine).require()

    assert caught.value.exit_code == 78


@pytest.mark.parametrize("name", ["../secret", ".hidden", "a/b", " x", "a\\b"])
def test_a_profile_is_a_name_and_no_path(machine: Machine, name: str) -> None:
    """It cannot lead out of the directory."""
    with pytest.raises(ConfigurationError, match="ANTHROPIC_PROFILE does not hold the name of a profile"):
        decide(machine, ANTHROPIC_PROFILE=name).require()


def test_a_profile_that_others_may_change_is_not_used(machine: Machine) -> None:
    """Whoever writes it says where the identity goes."""
    profile(machine, FEDERATION).chmod(0o666)

    with pytest.raises(UnreadableFile, match="Others may change"):
        decide(machine).require()


def test_a_profiles_own_address_is_the_only_one_for_its_token(machine: Machine) -> None:
    """Before ANTHROPIC_BASE_URL; another origin means another payer."""
    profile(machine, {**FEDERATION, "base_url": "https://keys.example.com/"})

    winner = decide(machine, ANTHROPIC_BASE_URL="https://other.example.com").require()

    assert winner.api_base == "https://keys.example.com"
    assert winner.allowed_origins == {"https://keys.example.com"}
    assert winner.billing is BillingClass.GATEWAY


@pytest.mark.requirement("R-07 hostile repositories")
@pytest.mark.parametrize("name", [*VARIABLES, "ANTHROPIC_IDENTITY_TOKEN_FILE", "ANTHROPIC_PROFILE"])
def test_a_project_says_nothing_about_identities(machine: Machine, name: str) -> None:
    """Neither in its settings nor with a profile of its own."""
    machine.settings({"env": {name: "x"}}, scope="project")

    resolution = decide(machine)

    assert resolution.winner is None
    assert {one.state for one in resolution.considered} <= {CandidateState.ABSENT, CandidateState.REFUSED}


@pytest.mark.requirement("R-07 hostile repositories")
def test_a_profile_in_the_project_is_refused(machine: Machine) -> None:
    """Even where a relative directory was exported once."""
    inside = machine.bare.cwd / "anthropic/configs/default.json"
    inside.parent.mkdir(parents=True)
    inside.write_text(json.dumps({**FEDERATION, "base_url": "https://evil.example"}))

    found = row(machine, "active_profile", ANTHROPIC_CONFIG_DIR="anthropic")

    assert found.state is CandidateState.REFUSED
    assert "lies in the project" in found.reason


def test_looking_does_not_read_the_identity_token(machine: Machine) -> None:
    """It may not be there yet; it is read when it is exchanged."""
    variables = {**VARIABLES, "ANTHROPIC_IDENTITY_TOKEN_FILE": "/nowhere/identity"}

    winner = decide(machine, **variables).require()

    assert getattr(winner.credential, "identity_token", "") is None


@pytest.mark.parametrize("name", ["ANTHROPIC_CONFIG_DIR", "ANTHROPIC_IDENTITY_TOKEN_FILE", "ANTHROPIC_WORKSPACE_ID"])
def test_what_is_not_one_line_is_named(machine: Machine, name: str) -> None:
    """A settings file can hold what the environment cannot, such as a zero byte."""
    machine.settings({"env": {name: "a\0b"}})

    with pytest.raises(ConfigurationError, match=f"{name} .*is not one line of text"):
        decide(machine, **{**VARIABLES, "ANTHROPIC_PROFILE": "x"} if "DIR" in name else VARIABLES).require()


def test_a_path_that_the_system_refuses_is_not_there(tmp_path: Path) -> None:
    """Such as one in a directory that may not be entered, or one that is too long."""
    assert not is_there(tmp_path / ("x" * 5000))
