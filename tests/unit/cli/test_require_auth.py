"""A step for a job: it fails without a credential, or with another one than required; it asks nobody (R-12)."""

import json
from typing import TYPE_CHECKING

import pytest

from keystead.credentials import Login

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine

KEY = "sk-ant-api-canary-of-require-auth"


@pytest.fixture
def silent(machine: "Machine") -> "Machine":
    """A machine on which nothing may be sent."""
    machine.change(network=lambda: pytest.fail("a request was about to be sent"))
    return machine


@pytest.mark.requirement("R-12 required")
def test_without_a_credential_the_step_fails_with_4(silent: "Machine") -> None:
    told = silent.run("require-auth")
    assert (told.code, told.out) == (4, "")
    assert "No credential was found" in told.err


@pytest.mark.requirement("R-12 required")
def test_with_one_it_says_which_and_who_pays_on_one_line(silent: "Machine") -> None:
    silent.set(ANTHROPIC_API_KEY=KEY)
    told = silent.run("require-auth")
    assert told.code == 0
    assert told.out.count("\n") == 1
    assert "API key (ANTHROPIC_API_KEY in the environment) is used" in told.out
    assert KEY not in told.out + told.err


@pytest.mark.requirement("R-12 required")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("billing=gateway",), "its billing is metered; this job requires billing=gateway"),
        (
            ("billing=metered", "organization=acme"),
            "its organization is not known; this job requires organization=acme",
        ),
        (("--source", "workload_identity"), "its source is api_key; this job requires source=workload_identity"),
    ],
)
def test_another_credential_than_required_fails_with_78(
    silent: "Machine", arguments: tuple[str, ...], said: str
) -> None:
    silent.set(ANTHROPIC_API_KEY=KEY)
    told = silent.run("require-auth", *arguments)
    assert told.code == 78
    assert said in " ".join(told.err.split())
    assert KEY not in told.out + told.err


@pytest.mark.requirement("R-12 required")
def test_workload_identity_counts_before_anything_was_exchanged(silent: "Machine") -> None:
    silent.set(
        ANTHROPIC_FEDERATION_RULE_ID="fdrl_1", ANTHROPIC_ORGANIZATION_ID="org-1", ANTHROPIC_IDENTITY_TOKEN="identity"
    )
    told = silent.run("require-auth", "--source", "workload_identity", "--json")
    assert told.code == 0
    document = json.loads(told.out)
    assert (document["schema"], document["source"]) == ("keystead.require-auth/1", "workload_identity")


def test_a_sign_in_of_the_required_account_passes(silent: "Machine", login: Login) -> None:
    silent.surroundings.store.save(login)
    assert silent.run("require-auth", f"account={login.account.email}", "billing=gateway").code == 0
    assert silent.run("require-auth", "account=somebody@example.com").code == 78


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("purse=mine",), "is no expectation"),
        (("billing=free",), "is no billing class"),
        (("--source", "pocket"), "is no source"),
    ],
)
def test_a_demand_that_could_never_hold_is_named(silent: "Machine", arguments: tuple[str, ...], said: str) -> None:
    told = silent.run("require-auth", *arguments)
    assert told.code == 2
    assert said in told.err
