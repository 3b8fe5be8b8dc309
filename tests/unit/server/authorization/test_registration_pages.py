"""Tokens with which programs register themselves: made in the console and by command, and what people see of it."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner

CALLBACK = "https://app.example.com/callback"
PAGE = "/clients/registration"
FORM = {
    "name": "Editors",
    "grant_types": ["authorization_code"],
    "scope": ["openid", "profile"],
    "max_uses": "1",
    "lifetime": "7",
}


@pytest.fixture(autouse=True)
def switched_on(migrated: object) -> Iterator[None]:
    from django.conf import settings
    from django.test import override_settings

    with override_settings(KEYSTEAD=replace(settings.KEYSTEAD, dynamic_registration=True)):
        yield


def text(response: Any) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", response.content.decode())))


def token_in(response: Any) -> str:
    found = re.search(r"ksi_[0-9A-Za-z]{49}", response.content.decode())
    assert found
    return found[0]


def register(web: Any, token: str) -> Any:
    body = json.dumps({"client_name": "Quill", "redirect_uris": [CALLBACK]})
    head = {"authorization": f"Bearer {token}"}
    return web.post("/oauth/register", body, content_type="application/json", headers=head)


def test_a_token_is_shown_once_and_what_it_registered_is_told_of(browser: Any, program: Any) -> None:
    assert "There is no token yet" in text(browser.get(PAGE))
    token = token_in(browser.post(PAGE, FORM))
    page = browser.get(PAGE)
    assert token not in page.content.decode()
    assert "0 of 1" in text(page)
    client_id = register(program.web, token).json()["client_id"]
    assert "used up" in text(browser.get(PAGE))
    assert "registered dynamically with “Editors”" in text(browser.get("/clients"))
    detail = text(browser.get(f"/clients/{client_id}"))
    assert "Registered dynamically" in detail
    assert "on 2026-11-21 12:00 UTC with the token “Editors” (ksi_" in detail


def test_a_person_is_told_that_nobody_checked_the_program_s_name(browser: Any, program: Any) -> None:
    client_id = register(program.web, token_in(browser.post(PAGE, FORM))).json()["client_id"]
    asked = {"response_type": "code", "client_id": client_id, "redirect_uri": CALLBACK, "scope": "openid"}
    challenge = {"code_challenge": "A" * 43, "code_challenge_method": "S256"}
    page = browser.get("/oauth/authorize?" + urlencode(asked | challenge))
    assert "It registered itself at Example, where nobody checked its name." in text(page)


def test_a_token_is_revoked_after_a_question(browser: Any, program: Any) -> None:
    token = token_in(browser.post(PAGE, FORM))
    link = re.search(rf'href="({PAGE}/rgt_[0-9a-f]+/revoke)"', browser.get(PAGE).content.decode())
    assert link
    assert "Revoke the token “Editors”?" in text(browser.get(link[1]))
    foreign = browser.post(link[1], headers={"origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert browser.post(link[1])["location"] == PAGE
    assert "It was revoked on" in text(browser.get(link[1]))
    assert register(program.web, token).status_code == 401
    assert "revoked" in text(browser.get(PAGE))
    assert browser.get(f"{PAGE}/rgt_x/revoke").status_code == 404


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"scope": ["openid", "models:use"]}, "rule person-sign-in"),
        ({"grant_types": ["client_credentials"]}, "stands for a service account"),
        ({"grant_types": []}, "This field is required."),
        ({"max_uses": "0"}, "greater than or equal to 1"),
        ({"lifetime": "9999"}, "not one of the available choices"),
        ({"name": ""}, "This field is required."),
    ],
)
def test_what_will_not_do_is_explained(browser: Any, more: dict[str, Any], said: str) -> None:
    from keystead.server.authorization.models import RegistrationToken

    response = browser.post(PAGE, {**FORM, **more})
    assert response.status_code == 422
    assert said in text(response)
    assert not RegistrationToken.objects.exists()


def test_only_an_administrator_and_only_from_our_own_page(browser: Any, administrator: Any) -> None:
    from keystead.server.authorization.models import RegistrationToken
    from keystead.server.organizations.models import Membership

    assert browser.post(PAGE, FORM, headers={"origin": "https://evil.example"}).status_code == 403
    Membership.objects.filter(pk=administrator.pk).update(role="developer")
    assert browser.get(PAGE).status_code == 403
    assert browser.post(PAGE, FORM).status_code == 403
    assert not RegistrationToken.objects.exists()


def test_while_it_is_off_the_pages_say_so(browser: Any) -> None:
    from django.conf import settings
    from django.test import override_settings

    assert PAGE in browser.get("/clients").content.decode()
    with override_settings(KEYSTEAD=replace(settings.KEYSTEAD, dynamic_registration=False)):
        assert PAGE not in browser.get("/clients").content.decode()
        page = browser.get(PAGE)
        assert "Registration is off" in text(page)
        assert '<form method="post">' not in page.content.decode()
        refused = browser.post(PAGE, FORM)
        assert refused.status_code == 422
        assert "ksi_" not in refused.content.decode()


def command(directory: Path, *arguments: str) -> Any:
    from keystead.server.command import server

    place = ["--data-dir", str(directory / "data")]
    return CliRunner().invoke(server, ["registration-token", *arguments, *place])


def test_the_operator_makes_a_token_by_command(program: Any, administrator: Any, tmp_path: Path) -> None:
    from keystead.server.audit.models import AuditEvent
    from keystead.server.authorization.models import RegistrationToken

    done = command(tmp_path, "Editors", "--uses", "2")
    assert done.exit_code == 0, done.exception
    assert done.stdout.startswith("ksi_")
    assert "up to 2 clients of Example" in done.stderr
    answer = register(program.web, done.stdout.strip()).json()
    assert (answer["scope"], answer["grant_types"]) == ("openid profile email offline_access", ["authorization_code"])
    token = RegistrationToken.objects.get()
    assert (token.name, token.uses, token.max_uses, token.created_by) == ("Editors", 1, 2, None)
    event = AuditEvent.objects.get(action="registration_token:create")
    assert (event.actor, event.target) == ("system", token.wire_id)


def test_the_command_has_json_and_makes_tokens_for_service_accounts(administrator: Any, tmp_path: Path) -> None:
    from keystead.server.keys import service_accounts

    service_accounts.create(administrator, "deploy", now=administrator.created_at)
    done = command(tmp_path, "CI", "--service-account", "deploy", "--days", "1", "--json")
    assert done.exit_code == 0, done.exception
    facts = json.loads(done.stdout)
    assert (facts["schema"], facts["token"][:4]) == ("keystead.registration-token/1", "ksi_")
    assert (facts["grant_types"], facts["scope"]) == (["client_credentials"], "models:use")
    assert (facts["service_account"], facts["organization"], facts["max_uses"]) == ("deploy", "Example", 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--organization", "Nobody"], "no organization of that name"),
        (["--service-account", "nobody"], "no service account of that name"),
        (["--scope", "everything"], "scope is not known"),
        (["--scope", "models:use"], "person-sign-in"),
        (["--grant", "password"], "No program may register itself for that"),
        (["--days", "91"], "90 days at most"),
    ],
)
def test_what_the_command_cannot_do_is_explained(
    administrator: Any, tmp_path: Path, arguments: list[str], said: str
) -> None:
    assert said in str(command(tmp_path, "Editors", *arguments).exception)


def test_the_command_needs_an_organization(database: object, tmp_path: Path) -> None:
    assert "There is no organization yet" in str(command(tmp_path, "Editors").exception)


def test_the_command_does_not_guess_among_organizations(administrator: Any, tmp_path: Path) -> None:
    from keystead.server.authorization.models import RegistrationToken
    from keystead.server.organizations import operations as organizations

    other = organizations.create_organization("Other", administrator.created_at)
    assert "several organizations" in str(command(tmp_path, "Editors").exception)
    assert command(tmp_path, "Editors", "--organization", "Other").exit_code == 0
    assert RegistrationToken.objects.get().organization == other
