"""An administrator sets, changes and removes limits in a real browser; and how the page looks."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from looking import LOOKS, judge, sign_in

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from keystead.server.organizations.models import Membership


def put(page: "Page", whom: str, amount: str, what: str) -> None:
    page.get_by_label("For", exact=True).select_option(label=whom)
    page.get_by_label("At most", exact=True).fill(amount)
    page.get_by_label("Of", exact=True).select_option(label=what)
    page.get_by_role("button", name="Set limit").click()


def test_a_limit_is_set_changed_and_removed(page: "Page", administrator: "Membership") -> None:
    sign_in(page)
    page.get_by_text("Administration", exact=True).click()
    page.get_by_role("link", name="Limits").click()
    put(page, "Everybody, each", "nothing", "USD a month")
    page.get_by_text("The amount is not one.").wait_for()
    page.get_by_label("Beyond it", exact=True).select_option(label="requests are billed")
    put(page, "Everybody, each", "5", "USD of a flat rate in 5 hours")
    page.get_by_role("region", name="Limits", exact=True).get_by_text("then metered").first.wait_for()
    put(page, "Everybody, each", "250", "USD a month")
    page.get_by_role("region", name="Limits", exact=True).get_by_text("$250.00").wait_for()
    put(page, "Everybody, each", "300", "USD a month")
    page.get_by_role("region", name="Limits", exact=True).get_by_text("$300.00").wait_for()
    page.get_by_role("link", name="Remove… Everybody, each, USD a month").click()
    page.get_by_role("button", name="Remove limit").click()
    page.wait_for_url("**/limits")
    assert page.get_by_text("$5.00").first.is_visible()
    assert page.get_by_text("$300.00").count() == 0


@pytest.mark.parametrize("look", LOOKS)
def test_the_page_is_in_order(page: "Page", administrator: "Membership", look: str) -> None:
    from keystead.server.limits import operations
    from keystead.server.limits.operations import Draft
    from keystead.server.policy.limits import Beyond, Measure, Period, Scope

    now, money = datetime.now(UTC), 250_000_000
    for draft in (
        Draft(Scope.ORGANIZATION, "", Measure.SPEND, Period.MONTHLY, money),
        Draft(Scope.ORGANIZATION, "", Measure.SPEND, Period.MONTHLY, 20 * money, shared=True),
        Draft(Scope.ORGANIZATION, "", Measure.REQUESTS, Period.MINUTE, 60),
        Draft(Scope.ORGANIZATION, "", Measure.ALLOWANCE, Period.FIVE_HOURS, 5_000_000, beyond=Beyond.METERED),
    ):
        operations.put(administrator, draft, now)
    page.emulate_media(color_scheme=LOOKS[look]["color_scheme"])
    page.set_viewport_size(LOOKS[look]["viewport"])
    sign_in(page)
    page.goto("/limits")
    judge(page, f"limits-{look}")
    page.get_by_role("link", name="Remove… Everybody, each, USD a month").click()
    page.get_by_role("button", name="Remove limit").wait_for()
    judge(page, f"limit-remove-{look}")


@pytest.mark.parametrize("look", LOOKS)
def test_the_pages_of_a_large_organization_are_in_order(
    page: "Page", administrator: "Membership", monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    from keystead.server.console import limits, usage
    from keystead.server.identity.models import Person
    from keystead.server.limits import operations
    from keystead.server.limits.operations import Draft
    from keystead.server.organizations import operations as organizations
    from keystead.server.organizations.roles import Role
    from keystead.server.policy.limits import Measure, Period, Scope

    for module, name in ((limits, "MOST_NAMED"), (limits, "MOST_SEATS"), (usage, "MOST_PEOPLE")):
        monkeypatch.setattr(module, name, 1)
    now = datetime.now(UTC)
    for number in range(3):
        person = Person.objects.create_user(f"person-{number}@example.com", None, created_at=now)
        organizations.add_member(administrator.organization, person, Role.DEVELOPER, now)
    operations.put(administrator, Draft(Scope.ORGANIZATION, "", Measure.SPEND, Period.MONTHLY, 250_000_000), now)
    page.emulate_media(color_scheme=LOOKS[look]["color_scheme"])
    page.set_viewport_size(LOOKS[look]["viewport"])
    sign_in(page)
    page.goto("/limits?from=2")
    page.get_by_text("2 to 2 of 4").wait_for()
    judge(page, f"limits-large-{look}")
    page.get_by_role("link", name="Those after").click()
    page.get_by_text("3 to 3 of 4").wait_for()
    page.goto("/usage")
    page.get_by_label("Whose, by address").fill("person-1@example.com")
    page.get_by_role("button", name="Show").click()
    page.get_by_text("requests of person-1@example.com").wait_for()
    judge(page, f"usage-large-{look}")
