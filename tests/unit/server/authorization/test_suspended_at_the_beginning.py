"""A suspended client's sign-in is refused where it begins, with who, whose move it is and what to do (S-23)."""

from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.test import Client

from keystead.secret import Secret
from keystead.wire import pkce

CALLBACK = "http://127.0.0.1:53682/callback"
REQUEST = {
    "response_type": "code",
    "client_id": "keystead-cli",
    "redirect_uri": CALLBACK,
    "scope": "openid offline_access models:use",
    "state": "s",
    "code_challenge": pkce.challenge(Secret("v" * 43)),
    "code_challenge_method": "S256",
}
MOVE = "Nothing was signed in. Ask an administrator of Example to lift it, then start the sign-in again."

pytestmark = pytest.mark.requirement("S-23 tokens")


def address(**more: str) -> str:
    return f"/oauth/authorize?{urlencode(REQUEST | more)}"


def suspend(administrator: Any, subject: str) -> None:
    from keystead.server.authorization.surroundings import now
    from keystead.server.suspensions import operations

    assert operations.suspend(administrator, subject, "It was copied.", now())


def lift(administrator: Any, subject: str) -> None:
    from keystead.server.authorization.surroundings import now
    from keystead.server.suspensions import operations

    assert operations.lift(administrator, subject, now())


def told(response: Any) -> dict[str, str]:
    assert response.status_code == 303
    return {name: values[0] for name, values in parse_qs(urlsplit(response["location"]).query).items()}


def test_the_person_is_told_first_and_the_program_when_they_return(browser: Client, administrator: Any) -> None:
    suspend(administrator, "keystead-cli")
    page = browser.get(address())
    text = unescape(page.content.decode())
    assert page.status_code == 403
    assert "Keystead command line is suspended" in text
    assert f"It was copied. {MOVE}" in text
    assert "Approve" not in text
    for decision in ("deny", "approve"):
        back = told(browser.post(address(), {"decision": decision}))
        assert (back["error"], back["state"]) == ("access_denied", "s")
        assert back["error_description"].startswith("This client is suspended: It was copied.")
        assert "code" not in back
    assert told(browser.get(address(prompt="none")))["error"] == "access_denied"
    lift(administrator, "keystead-cli")
    assert browser.get(address()).status_code == 200
    assert "code" in told(browser.post(address(), {"decision": "approve"}))


def test_a_devices_code_leads_to_the_same_words_and_waits(program: Any, browser: Client, administrator: Any) -> None:
    started = program.post("/oauth/device_authorization")[1]
    suspend(administrator, "gateway-agent")
    typed = {"user_code": started["user_code"]}
    for form in (typed, typed | {"decision": "approve"}):
        page = browser.post("/device", form)
        assert page.status_code == 403
        assert f"It was copied. {MOVE}" in unescape(page.content.decode())
    lift(administrator, "gateway-agent")
    assert "eturn to your device" in browser.post("/device", typed | {"decision": "approve"}).content.decode()


def test_an_organizations_own_client_gets_no_code_for_a_device(program: Any, administrator: Any) -> None:
    from keystead.server.authorization.models import Client as Registered

    Registered.objects.filter(client_id="keystead-cli").update(organization=administrator.organization)
    suspend(administrator, "keystead-cli")
    status, answer = program.post("/oauth/device_authorization", client_id="keystead-cli")
    assert (status, answer["error"]) == (400, "unauthorized_client")
    assert "copied" not in answer["error_description"]
    assert answer["error_description"].endswith("Ask an administrator of its organization to lift it.")
    lift(administrator, "keystead-cli")
    assert program.post("/oauth/device_authorization", client_id="keystead-cli")[0] == 200


def test_another_organizations_suspension_is_its_own(program: Any, browser: Client, administrator: Any) -> None:
    from keystead.server.authorization.surroundings import now
    from keystead.server.organizations.models import Organization
    from keystead.server.suspensions.models import Suspension

    elsewhere = Organization.objects.create(name="Elsewhere", created_at=now())
    Suspension.objects.create(organization=elsewhere, subject="keystead-cli", reason="Not here", at=now())
    assert browser.get(address()).status_code == 200
    assert program.post("/oauth/device_authorization", client_id="keystead-cli")[0] == 200
