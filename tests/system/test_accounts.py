"""Several accounts on a real server: kept side by side, verified, and ended one by one."""

import json
from typing import TYPE_CHECKING, Any

import pytest
from running import Machine

if TYPE_CHECKING:
    from running import Installation


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, installation: "Installation") -> Machine:
    """A machine with two profiles, each with a sign-in of its own, the second for a named organization."""
    machine = Machine(tmp_path_factory.mktemp("accounts"))
    machine.sign_in(installation.base, installation.person, "--profile", "home")
    organization = whoami(machine, "--profile", "home")[1]["organization"]["name"]
    machine.sign_in(installation.base, installation.person, "--profile", "work", "--org", organization)
    return machine


def whoami(machine: Machine, *options: str) -> tuple[int, dict[str, Any]]:
    done = machine.keystead("whoami", "--json", *options)
    return done.returncode, json.loads(done.stdout)


@pytest.mark.requirement("R-06 verify")
def test_the_account_shown_is_the_one_the_server_names(machine: Machine) -> None:
    code, stored = whoami(machine, "--profile", "work")
    verified_code, verified = whoami(machine, "--profile", "work", "--verify")

    assert (code, verified_code, verified["verification"]["state"]) == (0, 0, "verified")
    assert verified["account"] == stored["account"]
    assert verified["organization"] == stored["organization"]
    assert stored["organization"]["id"].startswith("org_")
    assert verified["verification"]["warnings"] == []


@pytest.mark.requirement("R-15 organization")
def test_a_sign_in_to_another_organization_than_asked_for_is_not_kept(
    machine: Machine, installation: "Installation"
) -> None:
    with pytest.raises(AssertionError, match="not to Another"):
        machine.sign_in(installation.base, installation.person, "--profile", "third", "--org", "Another")

    listed = json.loads(machine.keystead("accounts", "list", "--json").stdout)
    assert [one["profile"] for one in listed["accounts"] if one["logins"]] == ["home", "work"]


@pytest.mark.requirement("R-04 switch", "R-06 verify")
def test_ending_one_sign_in_leaves_the_other_and_its_token_is_refused(
    machine: Machine, installation: "Installation"
) -> None:
    token = machine.keystead("token", "--profile", "work").stdout.strip()

    ended = json.loads(machine.keystead("logout", "--profile", "work", "--json").stdout)

    assert [(one["profile"], one["revocation"]) for one in ended["ended"]] == [("work", "revoked")]
    assert whoami(machine, "--profile", "home", "--verify")[1]["verification"]["state"] == "verified"
    assert machine.keystead("token", "--profile", "work").returncode == 4
    copied = {"ANTHROPIC_AUTH_TOKEN": token, "ANTHROPIC_BASE_URL": installation.base}
    code, verified = whoami(Machine(machine.home, copied), "--profile", "work", "--verify")
    assert (code, verified["verification"]["state"]) == (4, "rejected")
