"""Single sign-on in a real browser: an administrator connects a provider, and people come in through it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from forged_openid import CLIENT_ID, CLIENT_SECRET, ForgedProvider, forged_provider, query
from forged_saml import ForgedIdp, key_pair
from local_server import Asked
from looking import LOOKS, follow, judge, sign_in

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from keystead.server.organizations.models import Membership


@pytest.fixture
def provider() -> Iterator[ForgedProvider]:
    """An identity provider with a page of its own, on which one clicks to come back."""
    with forged_provider() as forged:
        rows: Any = forged.server.answers

        def authorize(asked: Asked) -> tuple[int, str, str]:
            sent = query(asked.path)
            forged.nonce = sent["nonce"]
            back = urlencode({"code": "c", "state": sent["state"], "iss": forged.issuer})
            return 200, "text/html", f"<a href='{sent['redirect_uri']}?{back}'>Continue as Grace</a>"

        rows["GET /authorize"] = authorize
        yield forged


@pytest.fixture
def domain(administrator: "Membership") -> None:
    from keystead.server.sso import domains

    now = datetime.now(UTC)
    domains.claim(administrator, "example.net", now)
    domains.claim(administrator, "example.com", now)
    domains.attest("example.com", now)


def connect(page: "Page", provider: ForgedProvider) -> None:
    """From the list to a connection that is on, as the guide says."""
    page.get_by_text("Administration", exact=True).click()
    page.get_by_role("link", name="Sign-on").click()
    page.get_by_role("link", name="Connect OpenID Connect").click()
    page.get_by_label("Name").fill("Company")
    page.get_by_label("Issuer").fill(provider.issuer)
    follow(page.get_by_role("button", name="Continue"))
    page.get_by_label("Client id").fill(CLIENT_ID)
    page.get_by_label("Client secret").fill(CLIENT_SECRET)
    page.get_by_label("Roles by group").fill("engineers = developer")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="Test this connection").click()
    follow(page.get_by_role("link", name="Continue as Grace"))
    page.get_by_text("This person would come in").wait_for()
    page.get_by_role("link", name="Back to the connection").click()
    page.get_by_role("button", name="Switch on").click()
    page.get_by_role("button", name="Switch off").wait_for()


def test_somebody_comes_in_through_the_device_page_and_is_led_back_there(
    page: "Page", administrator: "Membership", domain: None, provider: ForgedProvider
) -> None:
    sign_in(page)
    connect(page, provider)
    follow(page.get_by_role("button", name="Sign out"))

    page.goto("/device?user_code=BCDF-GHJK")
    page.get_by_role("link", name="Sign in with your organization").click()
    page.get_by_label("Work e-mail").fill("grace@example.com")
    follow(page.get_by_role("button", name="Continue"))
    follow(page.get_by_role("link", name="Continue as Grace"))
    page.get_by_role("heading", name="Connect a device").wait_for()

    assert page.get_by_label("Code").input_value() == "BCDF-GHJK"
    assert page.get_by_text("grace@example.com").count() == 1


def test_a_person_finds_the_way_with_the_keyboard_alone(
    page: "Page", administrator: "Membership", domain: None, provider: ForgedProvider
) -> None:
    sign_in(page)
    connect(page, provider)
    page.context.clear_cookies()
    page.goto("/sso")
    for _ in range(6):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "email":
            break
    page.keyboard.type("grace@example.com")
    page.keyboard.press("Enter")
    follow(page.get_by_role("link", name="Continue as Grace"))
    page.get_by_role("button", name="Sign out").wait_for()

    assert page.get_by_text("grace@example.com").count() >= 1


def connection_to_saml(administrator: "Membership") -> str:
    from keystead.server.sso import connections, saml_settings
    from keystead.server.sso.models import Kind

    now = datetime.now(UTC)
    settings = saml_settings.from_metadata(ForgedIdp(*key_pair()).metadata().encode(), now)
    return connections.create(administrator, Kind.SAML, "Company SAML", settings.to_json(), now).wire_id


def unasked(connection: str) -> str:
    """The page that asks before somebody is signed in whom the identity provider sent."""
    from keystead.server.sso import attempts, connections
    from keystead.server.sso.asserted import Asserted

    found = connections.any_one(connection)
    assert found is not None
    said = Asserted("grace-1", "grace@example.com", True, "Grace", (), {})
    attempt = attempts.begin_elsewhere(found, said.to_json(), "/", datetime.now(UTC))
    return f"/saml/arrived/{bytes(attempt.digest).hex()}"


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_fits_its_window_and_passes_the_accessibility_rules(
    page: "Page", administrator: "Membership", domain: None, provider: ForgedProvider, look: str
) -> None:
    page.emulate_media(color_scheme=LOOKS[look]["color_scheme"])
    page.set_viewport_size(LOOKS[look]["viewport"])
    page.goto("/sso?required=yes")
    judge(page, f"{look}-sso")
    page.get_by_label("Work e-mail").fill("grace@elsewhere.example")
    follow(page.get_by_role("button", name="Continue"))
    judge(page, f"{look}-sso-unknown")
    sign_in(page)
    page.goto("/connections")
    judge(page, f"{look}-connections-none")
    connect(page, provider)
    connection = page.url
    judge(page, f"{look}-connection")
    page.get_by_text("What discovery says").click()
    judge(page, f"{look}-connection-open")
    saml = connection_to_saml(administrator)
    addresses = {
        "trial": f"{connection}/trial",
        "delete": f"{connection}/delete",
        "connections": "/connections",
        "provisioning": "/provisioning",
        "new-oidc": "/connections/new/oidc",
        "new-saml": "/connections/new/saml",
        "saml": f"/connections/{saml}",
        "unasked": unasked(saml),
    }
    for name, address in addresses.items():
        page.goto(address)
        judge(page, f"{look}-{name}")
    page.goto("/connections")
    follow(page.get_by_role("button", name="Remove example.com"))
    judge(page, f"{look}-domain-release")
    provider.said = {"email_verified": False}
    page.goto(f"{connection}/try")
    follow(page.get_by_role("link", name="Continue as Grace"))
    judge(page, f"{look}-trial-refused")
    page.goto(connection.replace("/connections/", "/sso/"))
    follow(page.get_by_role("link", name="Continue as Grace"))
    judge(page, f"{look}-fault")
