"""One e-mail address in several organizations: the one asked for or none, and side by side."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from keystead.cli import organizations
from keystead.credentials import Login, LoginKind
from keystead.testing.transport import json_response

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine

BASE = "https://keys.example.com"


def signs_in_to(machine: "Machine", organization: Mapping[str, str] | None) -> None:
    """Let the server's page end in this organization."""
    document = {"sub": "per_0", "email": "old@example.com", "organization": organization}
    machine.issuer.answer("GET /oauth/userinfo", json_response(200, {k: v for k, v in document.items() if v}))


@pytest.mark.requirement("R-15 organization")
@pytest.mark.parametrize("wanted", ["org_1", "Example Ltd", "example ltd"])
def test_the_organization_asked_for_is_kept(machine: "Machine", wanted: str) -> None:
    outcome = machine.run("login", "--server", BASE, "--org", wanted)

    assert outcome.code == 0, outcome.err
    kept = machine.surroundings.store.load(LoginKind.GATEWAY)
    assert kept is not None
    assert kept.account.organization_id == "org_1"


@pytest.mark.requirement("R-15 organization")
@pytest.mark.parametrize("answer", [{"id": "org_2", "name": "Other Ltd"}, {"id": "ORG_1", "name": "Example"}, None])
def test_another_organization_is_given_back_and_the_old_sign_in_stays(
    machine: "Machine", login: Login, answer: Mapping[str, str] | None
) -> None:
    old = machine.surroundings.store.save(login)
    signs_in_to(machine, answer)

    outcome = machine.run("login", "--server", BASE, "--org", "org_1")

    assert outcome.code == 78
    assert "org_1" in outcome.err
    assert machine.surroundings.store.load(LoginKind.GATEWAY) == old
    assert machine.surroundings.store.profiles() == ("default",)
    assert machine.issuer.revoked == ["canary-new-refresh", "canary-new-access"]


@pytest.mark.requirement("R-15 organization")
def test_two_organizations_of_one_address_live_side_by_side(machine: "Machine", login: Login) -> None:
    old = machine.surroundings.store.save(login)

    first = machine.run("login", "--server", BASE, "--org", "org_1")
    again = machine.run("login", "--server", BASE, "--org", "org_1")

    assert (first.code, again.code) == (0, 0)
    assert "accounts use example-ltd" in " ".join(first.err.split())
    assert machine.surroundings.store.profiles() == ("default", "example-ltd")
    assert machine.surroundings.store.load(LoginKind.GATEWAY) == old
    assert machine.run("token").out == "canary-old-access\n"
    assert machine.run("token", "--profile", "example-ltd").out == "canary-new-access\n"
    assert machine.issuer.revoked == ["canary-new-refresh", "canary-new-access"]  # of the first one, when replaced


def test_a_named_profile_is_where_it_is_kept(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)

    assert machine.run("login", "--server", BASE, "--org", "org_1", "--profile", "default").code == 0

    assert machine.surroundings.store.profiles() == ("default",)
    assert machine.run("token").out == "canary-new-access\n"


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("Müller & Söhne GmbH", "muller-sohne-gmbh"),
        ("社", "organization"),
        ("  ", "organization"),
        ("Old Ltd", "old-ltd-2"),
    ],
)
def test_any_organization_gives_a_name_that_is_one(machine: "Machine", login: Login, name: str, profile: str) -> None:
    machine.surroundings.store.save(login)
    machine.surroundings.store.at("old-ltd").save(login)
    account = replace(login.account, organization_id="org_new", organization_name=name)

    assert organizations.home(machine.surroundings, replace(login, account=account)).profile == profile


@pytest.mark.requirement("R-15 organization")
def test_taking_another_organizations_place_is_said_and_repeating_a_sign_in_is_not(
    machine: "Machine", login: Login
) -> None:
    machine.surroundings.store.save(login)

    first, again = machine.run("login", "--server", BASE), machine.run("login", "--server", BASE)

    assert "took the place of the sign-in as old@example.com to Old Ltd" in " ".join(first.err.split())
    assert "--profile NAME" in first.err
    assert "took the place" not in " ".join(again.err.split())
