"""A member looks at what is left and what was used in a real browser, with the keyboard; and how the page looks."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from looking import LOOKS, judge, sign_in
from uuid_utils.compat import uuid7

from keystead.wire import ids

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from keystead.server.organizations.models import Membership

SESSIONS = ("6f0c2f5e-2f6b-4f2c-9b1f-1f2f3a4b5c6d", "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d")


def use(member: "Membership", at: datetime, number: int) -> None:
    from keystead.server.organizations import operations
    from keystead.server.usage.ledger import store
    from keystead.server.usage.record import UsageRecord

    workspace = operations.default_workspace(member.organization)
    values: list[Any] = [uuid7().hex, "req_1", ids.dump("organization", member.organization_id)]
    values += [ids.dump("workspace", workspace.id), ids.dump("membership", member.id), "session", "gra_1", "sdk"]
    values += [SESSIONS[number % 2], "anthropic", ("claude-opus-4-5", "claude-sonnet-4-5")[number % 2], 200]
    values += [at.timestamp(), 5, 40_000 * (number % 5 + 1), 3_000, 0, 0, True, False, False]
    store([UsageRecord(*values)._replace(covered_micro=150_000 if number % 3 else None)])


@pytest.fixture
def busy(administrator: "Membership") -> "Membership":
    """A member with limits, who has used something on every day for a week."""
    from keystead.server.identity.models import Person
    from keystead.server.limits import operations
    from keystead.server.limits.operations import Draft
    from keystead.server.organizations import operations as operations_of_people
    from keystead.server.organizations.roles import Role
    from keystead.server.policy.limits import Beyond, Measure, Period, Scope

    now = datetime.now(UTC)
    colleague = Person.objects.create_user("dev@example.com", None, created_at=now)
    operations_of_people.add_member(administrator.organization, colleague, Role.DEVELOPER, now)
    for number in range(40):
        use(administrator, now - timedelta(hours=number * 5), number)
    for draft in (
        Draft(Scope.ORGANIZATION, "", Measure.ALLOWANCE, Period.FIVE_HOURS, 5_000_000, beyond=Beyond.METERED),
        Draft(Scope.ORGANIZATION, "", Measure.SPEND, Period.MONTHLY, 250_000_000),
        Draft(Scope.ORGANIZATION, "", Measure.SPEND, Period.MONTHLY, 21_000_000, shared=True),
        Draft(Scope.ORGANIZATION, "", Measure.REQUESTS, Period.MINUTE, 60),
    ):
        operations.put(administrator, draft, now)
    return administrator


@pytest.mark.parametrize("look", LOOKS)
def test_the_page_is_in_order(page: "Page", busy: "Membership", look: str) -> None:
    page.emulate_media(color_scheme=LOOKS[look]["color_scheme"])
    page.set_viewport_size(LOOKS[look]["viewport"])
    sign_in(page)
    page.goto("/usage?period=month")
    assert page.get_by_role("region", name="What you have left").get_by_text("nearest").count() == 1
    judge(page, f"usage-left-{look}")


def test_everything_can_be_reached_with_the_keyboard(page: "Page", busy: "Membership") -> None:
    sign_in(page)
    page.goto("/usage?period=month")
    page.get_by_label("Whose").select_option("dev@example.com")
    page.get_by_role("button", name="Show").press("Enter")
    page.get_by_text("No request has reached the gateway this month.").wait_for()
    page.get_by_label("Whose").select_option("ada@example.com")
    page.get_by_role("button", name="Show").press("Enter")
    page.get_by_role("region", name="What ada@example.com has left").focus()
    wanted = ["Today", "This week", "This month", "The same as a table", "Download as CSV", "Sessions as CSV"]
    seen = []
    for _ in wanted:
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.innerText"))
    assert seen == wanted
    page.get_by_text("The same as a table").focus()
    page.keyboard.press("Enter")
    page.get_by_role("region", name="By time").wait_for()
    with page.expect_download() as started:
        page.get_by_role("link", name="Sessions as CSV").press("Enter")
    assert started.value.suggested_filename.startswith("sessions-month-")
