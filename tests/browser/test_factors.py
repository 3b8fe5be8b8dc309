"""Passkeys and authenticator apps in a real browser, with an authenticator of Chromium's own."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from looking import LOOKS, follow, judge

from keystead.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from keystead.server.organizations.models import Membership

PASSWORD = "correct horse battery"


@pytest.fixture
def address(console: str) -> Iterator[str]:
    """Return the same server at a name that browsers take passkeys for."""
    from django.conf import settings
    from django.test import override_settings

    named = console.replace("127.0.0.1", "localhost")
    with override_settings(KEYSTEAD=replace(settings.KEYSTEAD, public_url=named)):
        yield named


@pytest.fixture
def authenticator(page: "Page") -> tuple[Any, str]:
    """Plug an authenticator in that keeps passkeys and knows its owner's finger."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    return session, session.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]


def sign_in(page: "Page", address: str) -> None:
    page.goto(f"{address}/account/login/")
    page.get_by_label("Email").fill("ada@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(page: "Page") -> None:
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in with a passkey").wait_for()


def add_passkey(page: "Page") -> None:
    page.get_by_role("link", name="ada@example.com").click()
    page.get_by_role("link", name="Passkeys, authenticator app").click()
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Create the passkey").click()
    page.get_by_role("heading", name="Passkey added").wait_for()


def test_a_passkey_is_made_and_signs_in_without_a_password(
    page: "Page", address: str, administrator: "Membership", authenticator: tuple[Any, str]
) -> None:
    sign_in(page, address)
    add_passkey(page)
    assert page.locator("#codes").inner_text().strip().count("\n") == 9
    follow(page.get_by_role("link", name="Done"))
    assert page.get_by_role("row", name="laptop").count() == 1
    sign_out(page)

    page.get_by_role("button", name="Sign in with a passkey").press("Enter")

    page.get_by_role("button", name="Sign out").wait_for()
    session, identifier = authenticator
    kept = session.send("WebAuthn.getCredentials", {"authenticatorId": identifier})["credentials"]
    assert [(one["rpId"], one["isResidentCredential"]) for one in kept] == [("localhost", True)]


def test_somebody_else_than_its_owner_is_told_and_may_try_again(
    page: "Page", address: str, administrator: "Membership", authenticator: tuple[Any, str]
) -> None:
    session, identifier = authenticator
    sign_in(page, address)
    add_passkey(page)
    sign_out(page)
    session.send("WebAuthn.setUserVerified", {"authenticatorId": identifier, "isUserVerified": False})

    page.get_by_role("button", name="Sign in with a passkey").click()
    page.get_by_text("That did not work, or was cancelled.").wait_for()

    session.send("WebAuthn.setUserVerified", {"authenticatorId": identifier, "isUserVerified": True})
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.get_by_role("button", name="Sign out").wait_for()
    assert page.get_by_role("link", name="ada@example.com").is_visible()


def test_after_the_password_a_passkey_is_asked_for(
    page: "Page", address: str, administrator: "Membership", authenticator: tuple[Any, str]
) -> None:
    sign_in(page, address)
    add_passkey(page)
    sign_out(page)
    sign_in(page, address)

    page.get_by_role("button", name="Use a passkey").click()

    page.get_by_role("button", name="Sign out").wait_for()
    assert page.get_by_role("link", name="ada@example.com").is_visible()


def test_what_was_typed_is_kept_while_one_confirms(
    page: "Page", address: str, administrator: "Membership", authenticator: tuple[Any, str]
) -> None:
    sign_in(page, address)
    add_passkey(page)
    age(page, address)
    page.get_by_role("link", name="Keys", exact=True).click()
    page.get_by_label("Name").fill("build “server”, 1 < 2")
    page.get_by_role("button", name="Create key").click()

    page.get_by_role("button", name="Confirm with a passkey").click()

    page.get_by_role("heading", name="Key “build “server”, 1 < 2” created").wait_for()
    assert page.locator("#secret").inner_text().startswith("ksk_")


def age(page: "Page", address: str) -> None:
    """Have the person's session be an hour old."""
    from importlib import import_module

    from django.conf import settings

    store = import_module(settings.SESSION_ENGINE).SessionStore
    (cookie,) = [one for one in page.context.cookies(address) if one["name"] == settings.SESSION_COOKIE_NAME]
    session = store(session_key=cookie["value"])
    session["keystead_signed_in_at"] -= 3600
    session.save()


def test_an_app_is_added_with_the_keyboard_alone(page: "Page", address: str, administrator: "Membership") -> None:
    sign_in(page, address)
    page.get_by_role("button", name="Sign out").wait_for()
    page.goto(f"{address}/account/security")
    page.get_by_role("link", name="Add an authenticator app").press("Enter")
    page.get_by_text("No camera?").press("Enter")
    key = base64.b32decode(page.get_by_label("Key for the app").inner_text().replace(" ", ""))
    code = TOTP(key, 6, SHA1(), 30).generate(int(SYSTEM_CLOCK.now())).decode()
    page.get_by_label("Six-digit code").fill(code)
    page.keyboard.press("Enter")

    page.get_by_role("heading", name="Authenticator app added").wait_for()
    assert page.locator("#codes").inner_text().strip()


@pytest.mark.parametrize("look", LOOKS)
def test_the_pages_look_right(
    page: "Page", address: str, administrator: "Membership", authenticator: tuple[Any, str], look: str
) -> None:
    page.emulate_media(color_scheme=LOOKS[look]["color_scheme"])
    page.set_viewport_size(LOOKS[look]["viewport"])
    page.goto(f"{address}/account/login/")
    judge(page, f"sign-in-{look}")
    sign_in(page, address)
    page.get_by_role("button", name="Sign out").wait_for()
    for name in ("", "/app", "/passkeys/new"):
        page.goto(f"{address}/account/security{name}")
        judge(page, f"security{name.replace('/', '-')}-{look}")
    add_passkey(page)
    judge(page, f"security-added-{look}")
    for name in ("", "/codes"):
        page.goto(f"{address}/account/security{name}")
        judge(page, f"security-with{name.replace('/', '-')}-{look}")
    age(page, address)
    page.get_by_role("button", name="Make new codes").click()
    page.get_by_role("heading", name="Confirm that it is you").wait_for()
    judge(page, f"confirm-{look}")
    sign_out(page)
    sign_in(page, address)
    page.get_by_role("heading", name="Second step").wait_for()
    judge(page, f"second-step-{look}")
