"""OpenID Connect: who has signed in, how and when, as the client is told it; and how it may want the person asked."""

import base64
import hashlib
import json
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.test import Client
from joserfc import jwt
from joserfc.jwk import KeySet

from keystead.secret import Secret
from keystead.wire import pkce

ORIGIN = "http://127.0.0.1:8420"
CALLBACK = "https://app.example.com/callback"
VERIFIER = "v" * 43
REQUEST = {
    "response_type": "code",
    "client_id": "web-app",
    "redirect_uri": CALLBACK,
    "scope": "openid profile",
    "state": "s",
    "nonce": "n-1",
    "code_challenge": pkce.challenge(Secret(VERIFIER)),
    "code_challenge_method": "S256",
}


@pytest.fixture(autouse=True)
def web_app(administrator: Any) -> Any:
    """A public client with a place of its own on the web."""
    from keystead.server.authorization.models import Client as Registered

    return Registered.objects.create(
        client_id="web-app",
        name="Web app",
        organization=administrator.organization,
        redirect_uris=[CALLBACK],
        grant_types=["authorization_code", "refresh_token"],
        scope="openid profile email offline_access",
        created_at=administrator.created_at,
    )


def address(**changes: str | None) -> str:
    return "/oauth/authorize?" + urlencode({k: v for k, v in {**REQUEST, **changes}.items() if v is not None})


def answered(response: Any) -> dict[str, str]:
    assert response.status_code == 303, response.content.decode()
    assert response["location"].startswith(CALLBACK + "?")
    return {name: values[0] for name, values in parse_qs(urlsplit(response["location"]).query).items()}


def approve(browser: Client, **changes: str | None) -> dict[str, str]:
    return answered(browser.post(address(**changes), {"decision": "approve"}))


def redeem(program: Any, code: str) -> dict[str, Any]:
    form = {"code": code, "redirect_uri": CALLBACK, "client_id": "web-app", "code_verifier": VERIFIER}
    status, answer = program.token(grant_type="authorization_code", **form)
    assert status == 200, answer
    return dict(answer)


def read(program: Any, id_token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    keys = KeySet.import_key_set(program.web.get("/oauth/jwks").json())
    decoded = jwt.decode(id_token, keys, ["ES256"])
    return decoded.header, decoded.claims


@pytest.mark.requirement("openid-discovery 4", "rfc8414 2")
def test_both_discovery_documents_are_the_same(program: Any) -> None:
    openid = program.web.get("/.well-known/openid-configuration").json()
    assert openid == program.web.get("/.well-known/oauth-authorization-server").json()
    needed = {"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "response_types_supported"}
    assert needed | {"subject_types_supported", "id_token_signing_alg_values_supported"} <= openid.keys()


@pytest.mark.requirement("openid-discovery 3")
def test_the_document_passes_another_library_s_validation(program: Any) -> None:
    from authlib.oidc.discovery import OpenIDProviderMetadata

    document = dict(program.web.get("/.well-known/openid-configuration").json(), issuer="https://keys.example.com")
    checked: Any = OpenIDProviderMetadata(document)
    for name in ("subject_types_supported", "acr_values_supported", "claims_supported", "claim_types_supported"):
        getattr(checked, f"validate_{name}")()
    assert checked.id_token_signing_alg_values_supported == ["ES256"]


@pytest.mark.requirement("openid-core 2", "openid-core 3.1.3.3")
def test_an_id_token_says_who_signed_in_when_and_how(program: Any, browser: Client, clock: Any) -> None:
    signed_in_at = clock.now()
    clock.sleep(30)
    tokens = redeem(program, approve(browser)["code"])
    header, claims = read(program, tokens["id_token"])
    assert (header["alg"], header["typ"]) == ("ES256", "JWT")
    half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    assert claims == {
        "iss": ORIGIN,
        "sub": claims["sub"],
        "aud": "web-app",
        "iat": int(clock.now()),
        "exp": int(clock.now()) + 3600,
        "auth_time": int(signed_in_at),
        "nonce": "n-1",
        "acr": "aal1",
        "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
        "sid": claims["sid"],
    }
    assert claims["sub"].startswith("per_")
    assert claims["sid"].startswith("gra_")


@pytest.mark.requirement("rfc8176 2")
def test_the_methods_of_the_sign_in_are_named(program: Any, administrator: Any, clock: Any) -> None:
    browser = Client(SERVER_NAME="127.0.0.1", SERVER_PORT="8420", headers={"origin": ORIGIN})
    sign_in = {"login": "ada@example.com", "password": "correct horse battery"}
    assert browser.post("/account/login/", sign_in).status_code == 302
    _, claims = read(program, redeem(program, approve(browser)["code"])["id_token"])
    assert (claims["amr"], claims["acr"]) == (["pwd"], "aal1")
    session = browser.session
    session["account_authentication_methods"] += [{"method": "mfa", "type": "totp", "at": 0}]
    session.save()
    _, claims = read(program, redeem(program, approve(browser)["code"])["id_token"])
    assert (claims["amr"], claims["acr"]) == (["pwd", "otp", "mfa"], "aal2")


@pytest.mark.requirement("openid-core 3.1.2.1 scope")
def test_without_the_scope_there_is_no_id_token(program: Any, browser: Client) -> None:
    assert "id_token" not in redeem(program, approve(browser, scope="profile")["code"])


@pytest.mark.requirement("openid-core 12.2")
def test_a_refresh_gives_no_new_id_token(program: Any, browser: Client) -> None:
    tokens = redeem(program, approve(browser)["code"])
    form = {"refresh_token": tokens["refresh_token"], "client_id": "web-app"}
    assert "id_token" not in program.token(grant_type="refresh_token", **form)[1]


@pytest.mark.requirement("openid-core 5.4")
@pytest.mark.parametrize(
    ("scope", "shown"),
    [
        ("openid", {"sub"}),
        ("openid profile", {"sub", "name"}),
        ("openid email", {"sub", "email"}),
        ("openid profile email", {"sub", "name", "email"}),
    ],
)
def test_userinfo_tells_what_the_scope_lets_it(program: Any, browser: Client, scope: str, shown: set[str]) -> None:
    tokens = redeem(program, approve(browser, scope=scope)["code"])
    header = {"authorization": f"Bearer {tokens['access_token']}"}
    answer = program.web.get("/oauth/userinfo", headers=header).json()
    assert answer.keys() == shown
    assert answer["sub"] == read(program, tokens["id_token"])[1]["sub"]


@pytest.mark.requirement("openid-core 3.1.2.6")
def test_a_silent_request_is_answered_without_a_page(program: Any, browser: Client, database: object) -> None:
    stranger = Client(SERVER_NAME="127.0.0.1", SERVER_PORT="8420")
    assert answered(stranger.get(address(prompt="none")))["error"] == "login_required"
    assert answered(browser.get(address(prompt="none")))["error"] == "consent_required"
    approve(browser)
    silent = answered(browser.get(address(prompt="none")))
    assert (silent["state"], silent["iss"]) == ("s", ORIGIN)
    assert redeem(program, silent["code"])["id_token"]


def test_consent_is_remembered_for_what_was_agreed_to_and_half_a_year(browser: Client, clock: Any) -> None:
    assert "You will not be asked again for half a year." in browser.get(address()).content.decode()
    approve(browser)
    assert "code" in answered(browser.get(address()))
    assert "code" in answered(browser.get(address(scope="openid")))
    assert browser.get(address(scope="openid email")).status_code == 200, "more than was agreed to"
    for prompt in ("consent", "select_account", "consent select_account"):
        assert browser.get(address(prompt=prompt)).status_code == 200
    clock.sleep(181 * 86_400)
    assert browser.get(address()).status_code != 303


@pytest.mark.requirement("rfc8252 8.6")
def test_a_program_on_loopback_is_asked_about_each_time(browser: Client) -> None:
    loopback = {"client_id": "keystead-cli", "redirect_uri": "http://127.0.0.1:1/callback", "scope": "openid"}
    assert browser.post(address(**loopback), {"decision": "approve"}).status_code == 303
    page = browser.get(address(**loopback))
    assert page.status_code == 200
    assert "half a year" not in page.content.decode()
    refused = browser.get(address(**loopback, prompt="none"))
    assert "error=consent_required" in refused["location"]


def test_ending_a_sign_in_in_the_console_asks_again(browser: Client, program: Any, administrator: Any) -> None:
    from keystead.server.authorization import sign_ins
    from keystead.server.authorization.surroundings import now

    redeem(program, approve(browser)["code"])
    for grant in sign_ins.living(administrator, now()):
        sign_ins.end(grant, "per_x", "ended_in_console", now())
    assert browser.get(address()).status_code == 200


@pytest.mark.requirement("openid-core 3.1.2.1 prompt")
@pytest.mark.parametrize("wish", [{"prompt": "login"}, {"max_age": "0"}, {"max_age": "60"}])
def test_a_client_may_want_a_new_sign_in(program: Any, browser: Client, clock: Any, wish: dict[str, str]) -> None:
    approve(browser)
    clock.sleep(61)
    page = browser.get(address(**wish))
    assert "wants to be sure that it is still you" in page.content.decode()
    assert "wants to be sure" in browser.post(address(**wish), {"decision": "approve"}).content.decode()
    if "max_age" in wish:
        assert answered(browser.get(address(**wish, prompt="none")))["error"] == "login_required"
    there = browser.post(address(**wish), {"decision": "sign_in_again"})
    asked = {name: values[0] for name, values in parse_qs(urlsplit(there["location"]).query).items()}
    assert asked["login_hint"] == "ada@example.com"
    assert browser.get(asked["next"]).status_code == 302, "signed out"
    assert 'value="ada@example.com"' in browser.get(there["location"]).content.decode()
    clock.sleep(5)
    sign_in = {"login": "ada@example.com", "password": "correct horse battery", "next": asked["next"]}
    back = browser.post("/account/login/", sign_in)
    assert back["location"] == asked["next"]
    clock.sleep(5)
    page = browser.get(asked["next"])
    assert page.status_code in {200, 303}, "it is not asked for a third time"
    code = answered(browser.post(asked["next"], {"decision": "approve"}))["code"]
    assert read(program, redeem(program, code)["id_token"])[1]["auth_time"] == int(clock.now()) - 5


def test_the_page_says_how_long_a_sign_in_lasts(browser: Client) -> None:
    page = browser.get(address()).content.decode()
    assert (
        "<dt>Lasts</dt><dd>until you end it under Devices; 30 days when it is not used, 180 days at most</dd>" in page
    )


def test_the_mark_of_a_new_sign_in_cannot_be_made_up(browser: Client, clock: Any) -> None:
    clock.sleep(10)
    for forged in ("0", "1", "MTc5:1x:y"):
        page = browser.get(address(prompt="login", keystead_after=forged))
        assert "wants to be sure" in page.content.decode()


@pytest.mark.requirement("openid-core 3.1.2.1 login_hint")
def test_the_expected_account_is_filled_in_or_named(browser: Client, database: object) -> None:
    stranger = Client(SERVER_NAME="127.0.0.1", SERVER_PORT="8420")
    there = stranger.get(address(login_hint="Bob@example.com"))["location"]
    assert 'value="Bob@example.com"' in stranger.get(there).content.decode()
    approve(browser)
    assert "code" in answered(browser.get(address(login_hint="ADA@example.com")))
    page = browser.get(address(login_hint="bob@example.com")).content.decode()
    assert "expects bob@example.com, and you are signed in as ada@example.com" in page
    switched = browser.post(address(login_hint="bob@example.com"), {"decision": "switch"})
    assert "login_hint=bob%40example.com" in switched["location"]
    assert browser.get("/devices").status_code == 302, "signed out"


def test_another_organization_s_client_is_refused(browser: Client, web_app: Any, administrator: Any) -> None:
    from keystead.server.organizations import operations as organizations

    web_app.organization = organizations.create_organization("Other", administrator.created_at)
    web_app.save()
    assert answered(browser.get(address()))["error"] == "access_denied"
    assert answered(browser.post(address(), {"decision": "approve"}))["error"] == "access_denied"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "create"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"max_age": "9" * 12}, "invalid_request"),
        ({"nonce": "n" * 501}, "invalid_request"),
        ({"dpop_jkt": "short"}, "invalid_request"),
        ({"resource": "https://elsewhere.example"}, "invalid_target"),
        ({"request": "a.b.c"}, "request_not_supported"),
        ({"request_uri": "https://app.example.com/r"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
    ],
)
@pytest.mark.requirement("openid-core 3.1.2.2", "rfc8707 2")
def test_odd_wishes_are_refused_to_the_client(browser: Client, changes: dict[str, str], error: str) -> None:
    assert answered(browser.get(address(**changes)))["error"] == error


@pytest.mark.requirement("rfc8707 2")
def test_our_own_origin_may_be_named_as_the_resource(program: Any, browser: Client) -> None:
    code = approve(browser, resource=ORIGIN)["code"]
    form = {"code": code, "redirect_uri": CALLBACK, "client_id": "web-app", "code_verifier": VERIFIER}
    refused = program.token(grant_type="authorization_code", **form, resource="https://elsewhere.example")
    assert (refused[0], refused[1]["error"]) == (400, "invalid_target")
    status, answer = program.token(grant_type="authorization_code", **form, resource=f"{ORIGIN}/")
    assert status == 200
    assert json.loads(base64.urlsafe_b64decode(answer["access_token"].split(".")[1] + "=="))["aud"] == ORIGIN


@pytest.mark.requirement("rfc9728 2")
def test_the_gateway_says_which_server_issues_its_tokens(program: Any) -> None:
    said = program.web.get("/.well-known/oauth-protected-resource").json()
    assert (said["resource"], said["authorization_servers"]) == (ORIGIN, [ORIGIN])
    assert said["scopes_supported"] == ["models:use"]
