"""Signing in with a browser: authorization code with PKCE on a loopback redirect (RFC 6749, 7636, 8252, 9207)."""

from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.test import Client

from keystead.secret import Secret
from keystead.wire import pkce

CALLBACK = "http://127.0.0.1:53682/callback"
VERIFIER = "v" * 43
CHALLENGE = pkce.challenge(Secret(VERIFIER))
REQUEST = {
    "response_type": "code",
    "client_id": "keystead-cli",
    "redirect_uri": CALLBACK,
    "scope": "openid offline_access models:use",
    "state": "s t&=/ä",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


def address(**changes: str | None) -> str:
    return "/oauth/authorize?" + urlencode({k: v for k, v in {**REQUEST, **changes}.items() if v is not None})


def answered(response: Any) -> dict[str, str]:
    """Return what went back to the client in the redirect."""
    assert response.status_code == 303, response.content.decode()
    assert response["location"].startswith(CALLBACK + "?")
    return {name: values[0] for name, values in parse_qs(urlsplit(response["location"]).query).items()}


def approved(browser: Client, **changes: str | None) -> str:
    return answered(browser.post(address(**changes), {"decision": "approve"}))["code"]


def redeem(program: Any, issued: str, **changes: str) -> tuple[int, dict[str, Any]]:
    form = {"code": issued, "redirect_uri": CALLBACK, "client_id": "keystead-cli", "code_verifier": VERIFIER}
    answer: tuple[int, dict[str, Any]] = program.token(grant_type="authorization_code", **{**form, **changes})
    return answer


def error(answer: tuple[int, dict[str, Any]]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]


@pytest.mark.requirement("rfc9207 2")
def test_a_person_signs_in_with_the_browser(program: Any, browser: Client) -> None:
    page = browser.get(address())
    assert page.status_code == 200
    text = page.content.decode()
    assert "Keystead command line" in text
    assert "ada@example.com" in text
    assert "Example" in text
    assert "send requests to models" in text
    assert "form-action" not in page["content-security-policy"], "it would stop the redirect to the loopback address"

    back = answered(browser.post(address(), {"decision": "approve"}))
    assert back["state"] == "s t&=/ä"
    assert back["iss"] == "http://127.0.0.1:8420"
    status, tokens = redeem(program, back["code"])
    assert status == 200
    assert tokens["scope"] == "openid offline_access models:use"
    headers = {"authorization": f"Bearer {tokens['access_token']}"}
    assert program.web.get("/oauth/userinfo", headers=headers).json()["email"] == "ada@example.com"


@pytest.mark.requirement("rfc6749 4.1.2.1", "rfc9207 2")
def test_saying_no_goes_back_to_the_client_with_state_and_issuer(browser: Client) -> None:
    back = answered(browser.post(address(), {"decision": "deny"}))
    assert back["error"] == "access_denied"
    assert (back["state"], back["iss"]) == ("s t&=/ä", "http://127.0.0.1:8420")
    assert "code" not in back


def test_the_person_signs_in_first(program: Any) -> None:
    response = program.web.get(address())
    assert response.status_code == 302
    assert response["location"].startswith("/account/login/?next=/oauth/authorize")


@pytest.mark.requirement("rfc6749 4.1.2.1", "rfc7636 4.3", "rfc9207 2")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "="}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "admin root"}, "invalid_scope"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
    ],
)
def test_a_wrong_request_is_answered_to_the_client(
    browser: Client, changes: dict[str, str | None], expected: str
) -> None:
    back = answered(browser.get(address(**changes)))
    assert back["error"] == expected
    assert back["iss"] == "http://127.0.0.1:8420"


@pytest.mark.requirement("rfc6749 3.1.2.4", "rfc8252 8.3", "rfc9700 4.1.3")
@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://evil.example/callback",
        "http://127.0.0.1:1@evil.example/callback",
        "http://127.0.0.1.evil.example/callback",
        "http://localhost:53682/callback",
        "http://LOCALHOST/callback",
        "http://127.0.0.1:53682/callback/extra",
        "http://127.0.0.1:53682/callback/../callback",
        "http://127.0.0.1:53682/callback?x=1",
        "http://127.0.0.1:53682/callback#fragment",
        "http://127.0.0.1:99999/callback",
        "http://127.0.0.1:/callback",
        "http://user@127.0.0.1:53682/callback",
        "http://127.1:53682/callback",
        "http://[::ffff:127.0.0.1]:53682/callback",
        "https://127.0.0.1:53682/callback",
        "http://127.0.0.1:53682\\@evil.example/callback",
        "javascript:alert(1)",
        "//evil.example/callback",
        None,
    ],
)
def test_an_unregistered_address_gets_a_page_and_never_a_redirect(browser: Client, redirect_uri: str | None) -> None:
    for response in (
        browser.get(address(redirect_uri=redirect_uri)),
        browser.post(address(redirect_uri=redirect_uri), {"decision": "approve"}),
    ):
        assert response.status_code == 400
        assert "location" not in response.headers


@pytest.mark.parametrize("query", ["client_id=keystead-cli&client_id=other", "%ff", "client_id=%00", "x" * 40_000])
def test_an_unreadable_request_gets_a_page(browser: Client, query: str) -> None:
    assert browser.get("/oauth/authorize?" + query).status_code in {400, 413}


@pytest.mark.requirement("rfc8252 7.3")
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize("port", ["", ":1", ":65535"])
def test_a_loopback_address_may_use_any_port(browser: Client, host: str, port: str) -> None:
    uri = f"http://{host}{port}/callback"
    response = browser.post(address(redirect_uri=uri), {"decision": "approve"})
    assert response["location"].startswith(uri + "?")


def test_a_form_from_another_site_approves_nothing(browser: Client) -> None:
    response = browser.post(address(), {"decision": "approve"}, headers={"origin": "https://evil.example"})
    assert response.status_code == 403


@pytest.mark.requirement("rfc6749 4.1.3", "rfc7636 4.6")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"code_verifier": "w" * 43}, (400, "invalid_grant")),
        ({"code_verifier": "short"}, (400, "invalid_request")),
        ({"code_verifier": ""}, (400, "invalid_request")),
        ({"code_verifier": CHALLENGE}, (400, "invalid_grant")),
        ({"redirect_uri": "http://127.0.0.1:53683/callback"}, (400, "invalid_grant")),
        ({"redirect_uri": ""}, (400, "invalid_request")),
        ({"client_id": "gateway-agent"}, (400, "invalid_grant")),
        ({"client_id": "nobody"}, (400, "invalid_client")),
        ({"client_id": ""}, (400, "invalid_client")),
        ({"code": "ksc_nonsense"}, (400, "invalid_grant")),
    ],
)
def test_a_request_that_does_not_fit_its_code_neither_uses_nor_spoils_it(
    program: Any, browser: Client, changes: dict[str, str], expected: tuple[int, str]
) -> None:
    code = approved(browser)
    assert error(redeem(program, code, **changes)) == expected
    assert redeem(program, code)[0] == 200


@pytest.mark.requirement("rfc6749 4.1.2 single use")
def test_a_replayed_code_ends_the_sign_in_it_began(program: Any, browser: Client) -> None:
    code = approved(browser)
    tokens = redeem(program, code)[1]
    assert error(redeem(program, code)) == (400, "invalid_grant")
    refreshed = program.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert error(refreshed) == (401, "invalid_grant")


@pytest.mark.requirement("rfc6749 4.1.2 lifetime")
def test_a_code_lives_one_minute(program: Any, browser: Client, clock: Any) -> None:
    code = approved(browser)
    clock.sleep(60)
    assert error(redeem(program, code)) == (400, "invalid_grant")


def test_a_device_client_may_not_use_the_browser(browser: Client) -> None:
    from keystead.server.authorization.models import Client as Registered

    Registered.objects.filter(client_id="gateway-agent").update(redirect_uris=["http://127.0.0.1/callback"])
    assert answered(browser.get(address(client_id="gateway-agent")))["error"] == "unauthorized_client"


def test_a_role_without_models_gets_a_token_without_them(
    program: Any, browser: Client, administrator: Any, clock: Any
) -> None:
    from keystead.server.authorization import operations

    administrator.role = "billing"
    administrator.save()
    tokens = redeem(program, approved(browser))[1]
    assert tokens["scope"] == "openid offline_access"
    keys = operations.verification_keys(clock.now())
    assert operations.verify_access_token(tokens["access_token"], clock.now(), keys) is None


@pytest.mark.requirement("S-21 accepted")
def test_terms_that_wait_come_before_the_consent_and_nothing_is_silent(browser: Client, clock: Any) -> None:
    from keystead.server.authorization.surroundings import now
    from keystead.server.policy.terms import Kind
    from keystead.server.terms import operations as terms

    approved(browser)
    text = terms.publish(Kind.COMMERCIAL, "2026-11", "Be kind.", now(), now())
    assert answered(browser.get(address(prompt="none")))["error"] == "interaction_required"
    sent = browser.get(address())
    assert sent["location"].startswith("/terms?next=%2Foauth%2Fauthorize%3F")
    back = browser.post(sent["location"], {"terms": text.wire_id})
    assert back["location"] == address()
    assert browser.get(back["location"]).status_code in (200, 303)
