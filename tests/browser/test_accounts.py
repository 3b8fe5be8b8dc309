"""A person who forgot the password comes back in, and looks after the account, in a real browser."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from arrivals import Mailbox, kept
from doors import OTHER
from looking import LOOKS, judge, sign_in

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from keystead.server.organizations.models import Membership


@pytest.fixture
def mail(console: str, tmp_path: Path) -> Iterator[Mailbox]:
    with kept(tmp_path / "mail") as box:
        yield box


def program(member: "Membership") -> None:
    from keystead.server.authorization import clients, sign_ins
    from keystead.server.authorization.surroundings import now

    sign_ins.begin(sign_ins.Approval(clients.find("keystead-cli"), member, "openid models:use"), "laptop", now())


@pytest.mark.usefixtures("administrator")
def test_a_forgotten_password_and_the_code_is_in_no_request_and_no_referer(page: "Page", mail: Mailbox) -> None:
    sent: list[str] = []
    page.on("request", lambda one: sent.append(f"{one.url} {one.headers.get('referer', '')}"))
    page.goto("/account/login/")
    page.get_by_role("link", name="Forgot your password?").click()
    page.get_by_label("Email").fill("ada@example.com")
    page.get_by_role("button", name="Mail me a link").click()
    page.get_by_role("heading", name="Look into your mail").wait_for()
    page.goto(mail.only().link)
    page.get_by_role("heading", name="Choose a new password").wait_for()
    page.get_by_label("New password").fill("short")
    page.get_by_role("button", name="Change password").click()
    assert "12 characters" in page.get_by_role("alert").inner_text()
    page.get_by_label("New password").fill(OTHER)
    page.get_by_role("button", name="Change password").click()
    page.get_by_role("heading", name="Your password is changed").wait_for()
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("Email").fill("ada@example.com")
    page.get_by_label("Password").fill(OTHER)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()
    assert not any(mail.all()[0].code in one for one in sent if "#" not in one)


@pytest.mark.usefixtures("administrator")
def test_another_address_and_another_browser(page: "Page", mail: Mailbox) -> None:
    import doors

    assert doors.sign_in(HTTP_USER_AGENT="Mozilla/5.0 (Windows NT 10.0) Gecko/20100101 Firefox/128.0") is not None
    sign_in(page)
    page.get_by_role("link", name="ada@example.com").click()
    page.get_by_role("link", name="Change email").click()
    page.get_by_label("New email").fill("ada@elsewhere.example")
    page.get_by_label("Current password").fill(doors.PASSWORD)
    page.get_by_role("button", name="Mail a link there").click()
    page.get_by_role("heading", name="Look into your mail").wait_for()
    page.goto(mail.only().link)
    page.get_by_role("button", name="Yes, it is mine").click()
    page.get_by_role("link", name="Browsers").click()
    page.get_by_role("row", name=re.compile("Firefox on Windows")).get_by_role("button").click()
    page.get_by_role("row", name=re.compile("Firefox")).wait_for(state="detached")
    assert "ada@elsewhere.example" in page.locator("header").inner_text()


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_can_be_read_by_everybody(
    page: "Page", administrator: "Membership", mail: Mailbox, look: str
) -> None:
    import doors

    viewport = LOOKS[look]["viewport"]
    page.set_viewport_size(viewport)
    page.emulate_media(color_scheme=LOOKS[look]["color_scheme"])
    program(administrator)
    type(administrator.person).objects.update(email_verified_at=None)
    page.goto("/account/forgotten")
    judge(page, f"forgotten-{look}")
    page.get_by_label("Email").fill("ada@example.com")
    page.get_by_role("button", name="Mail me a link").click()
    page.get_by_role("heading", name="Look into your mail").wait_for()
    judge(page, f"forgotten-sent-{look}")
    page.goto("/account/link")
    judge(page, f"link-{look}")
    page.goto(mail.only().link)
    page.get_by_role("heading", name="Choose a new password").wait_for()
    judge(page, f"reset-{look}")
    doors.sign_in(HTTP_USER_AGENT="Mozilla/5.0 (Windows NT 10.0) Gecko/20100101 Firefox/128.0")
    page.goto("/")
    sign_in(page)
    for path in ("account", "account/password", "account/address", "account/sessions", "account/address/confirm"):
        page.goto(f"/{path}")
        judge(page, f"{path.replace('/', '-')}-{look}")
