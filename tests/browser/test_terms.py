"""Terms are read and accepted in a real browser: by an administrator, and on the way of signing an agent in."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from looking import LOOKS, follow, judge, sign_in

from keystead.server.organizations.roles import Role
from keystead.server.policy.terms import Kind

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from keystead.server.organizations.models import Membership

TEXT = "\n\n".join(
    f"{number}. You keep your credentials to yourself, and so do we. {'word ' * 60}" for number in range(9)
)


def publish(version: str, kind: Kind = Kind.COMMERCIAL, days: int = 0) -> None:
    from keystead.server.terms import operations as terms

    now = datetime.now(UTC)
    terms.publish(kind, version, f"{TEXT}\n{'https://example.com/' + 'x' * 90}", now + timedelta(days=days), now)


def as_it_looks(page: "Page", look: str) -> None:
    page.emulate_media(color_scheme=LOOKS[look]["color_scheme"])
    page.set_viewport_size(LOOKS[look]["viewport"])


def test_an_administrator_is_asked_puts_it_off_and_accepts(page: "Page", administrator: "Membership") -> None:
    publish("2026-11", days=9)
    sign_in(page)
    page.goto("/keys")
    follow(page.get_by_role("button", name="Not now"))
    page.get_by_role("heading", name="API keys").wait_for()
    page.get_by_role("link", name="read and accept them").click()
    page.get_by_role("button", name="Accept for Example").click()
    page.get_by_text("You have accepted them.").wait_for()
    assert page.get_by_text("wait for you").count() == 0


@pytest.mark.parametrize("look", LOOKS)
def test_the_pages_fit_their_window_and_pass_the_accessibility_rules(
    page: "Page", administrator: "Membership", look: str
) -> None:
    as_it_looks(page, look)
    sign_in(page)
    page.goto("/terms")
    judge(page, f"{look}-terms-none")
    publish("2026-11")
    page.goto("/device?user_code=BCDF-GHJK")
    judge(page, f"{look}-terms-in-force")
    page.get_by_role("button", name="Accept for Example").click()
    page.get_by_role("heading", name="Connect a device").wait_for()
    publish("2027-01-with-a-name-that-is-forty-long-1", days=30)
    page.goto("/keys")
    judge(page, f"{look}-terms-coming")
    follow(page.get_by_role("button", name="Not now"))
    judge(page, f"{look}-terms-reminder")
    administrator.role = Role.DEVELOPER
    administrator.save()
    page.goto("/terms")
    judge(page, f"{look}-terms-member")
    follow(page.get_by_role("link", name="2026-11", exact=True))
    judge(page, f"{look}-terms-old")
