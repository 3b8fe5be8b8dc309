"""The client registry's pages."""

import re
from html import unescape
from typing import Any

import pytest

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
FORM = {
    "name": "Portal",
    "auth_method": "client_secret_basic",
    "grant_types": ["authorization_code", "refresh_token"],
    "redirect_uris": "https://app.example.com/callback",
    "scope": ["openid", "profile"],
}


def text(response: Any) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", response.content.decode())))


def secret_in(response: Any) -> str:
    found = re.search(r"ksx_[0-9A-Za-z]{49}", response.content.decode())
    assert found
    return found[0]


def registered(browser: Any, **more: Any) -> tuple[Any, Any]:
    from keystead.server.authorization.models import Client

    response = browser.post("/clients/new", {**FORM, **more})
    return response, Client.objects.exclude(organization=None).first()


def test_a_secret_is_on_the_answer_and_on_no_other_page(browser: Any) -> None:
    response, client = registered(browser)
    secret = secret_in(response)
    page = browser.get(f"/clients/{client.client_id}")
    assert secret not in page.content.decode()
    assert "https://app.example.com/callback" in text(page)
    assert "Portal" in text(browser.get("/clients"))


def test_a_secret_is_changed_and_the_old_one_ended(browser: Any, program: Any) -> None:
    response, client = registered(browser, grant_types=[DEVICE], redirect_uris="")
    old, address = secret_in(response), f"/clients/{client.client_id}"
    changed = browser.post(address, {"action": "rotate"})
    new = secret_in(changed)
    assert "replaced, works until" in text(changed)

    def works(secret: str) -> bool:
        named = {"client_id": client.client_id, "client_secret": secret}
        return bool(program.post("/oauth/device_authorization", **named)[0] == 200)

    assert works(old)
    assert works(new)
    assert browser.post(address, {"action": "end_old"}).status_code == 302
    assert [works(one) for one in (old, new)] == [False, True]
    assert browser.post(address, {"action": "disable"}).status_code == 302
    assert not works(new)
    assert "disabled" in text(browser.get(address))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"redirect_uris": ""}, "needs a redirect address"),
        ({"redirect_uris": "http://localhost/x"}, "localhost is refused"),
        ({"scope": ["openid", "models:use"]}, "rule person-sign-in"),
        ({"auth_method": "private_key_jwt"}, "Paste its JWK set"),
        ({"auth_method": "private_key_jwt", "jwks": "x"}, "This is not JSON."),
        ({"grant_types": []}, "This field is required."),
        ({"may_act_for": ["keystead-cli"]}, "Let it use token exchange."),
        ({"backchannel_logout_uri": "http://app.example.com/x"}, "A logout address must be https"),
        ({"backchannel_logout_session_required": "on"}, "Enter its logout address."),
    ],
)
def test_what_will_not_do_is_explained(browser: Any, more: dict[str, Any], said: str) -> None:
    response, client = registered(browser, **more)
    assert response.status_code == 422
    assert client is None
    assert said in text(response)


def test_only_an_administrator_and_only_from_our_own_page(browser: Any, administrator: Any) -> None:
    from keystead.server.authorization.models import Client
    from keystead.server.organizations.models import Membership

    foreign = browser.post("/clients/new", FORM, headers={"origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert not Client.objects.exclude(organization=None).exists()
    _, client = registered(browser)
    Membership.objects.filter(pk=administrator.pk).update(role="developer")
    for address in ("/clients", "/clients/new"):
        assert browser.get(address).status_code == 403
    assert browser.post("/clients/new", FORM).status_code == 403
    assert browser.get(f"/clients/{client.client_id}").status_code == 404


def test_a_client_can_be_held_to_pushing_and_signing(browser: Any) -> None:
    assert "must be" not in text(registered(browser)[0])
    page = text(registered(browser, require_pushed_requests="on", dpop_bound="on")[0])
    assert "must be pushed" in page
    assert "must be bound to its key" in page
    assert b'name="dpop_bound"' in browser.get("/clients/new").content


def test_a_client_can_be_told_of_ended_sign_ins(browser: Any) -> None:
    assert "Logout address" not in text(registered(browser)[0])
    typed = {"backchannel_logout_uri": " https://app.example.com/logout ", "backchannel_logout_session_required": "on"}
    page = text(registered(browser, **typed)[0])
    assert "https://app.example.com/logout" in page
    assert "must be told which sign-in ended" in page
    assert b'name="backchannel_logout_uri"' in browser.get("/clients/new").content
