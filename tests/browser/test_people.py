"""Administrators look after people in a real browser: with the mouse, with the keyboard alone, and on a phone."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from looking import LOOKS, follow, judge, sign_in

from keystead.server.organizations.roles import Role
from keystead.wire import ids

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from keystead.server.organizations.models import Membership


def somebody(by: "Membership", name: str, email: str, role: Role = Role.DEVELOPER) -> "Membership":
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations

    now = datetime.now(UTC)
    return operations.add_member(
        by.organization, Person.objects.create_user(email, None, name=name, created_at=now), role, now
    )


def crowd(by: "Membership", count: int) -> None:
    """Add many at once."""
    from keystead.server.identity.models import Person
    from keystead.server.organizations.models import Membership

    now = datetime.now(UTC)
    people = Person.objects.bulk_create(
        Person(email=f"person{number:04}@example.com", name=f"Person {number}", password="!", created_at=now)
        for number in range(count)
    )
    Membership.objects.bulk_create(
        Membership(organization=by.organization, person=one, role="agent_user", created_at=now) for one in people
    )


def as_it_looks(page: "Page", look: str) -> None:
    page.emulate_media(color_scheme=LOOKS[look]["color_scheme"])
    page.set_viewport_size(LOOKS[look]["viewport"])


def test_a_member_is_found_given_another_role_ended_and_brought_back(page: "Page", administrator: "Membership") -> None:
    crowd(administrator, 60)
    sign_in(page)
    page.get_by_text("Administration", exact=True).click()
    page.get_by_role("link", name="Members").click()
    page.get_by_role("link", name="Next page").click()
    page.get_by_role("link", name="Person 59").wait_for()
    page.get_by_label("E-mail address or name").fill("person 42")
    follow(page.get_by_role("button", name="Search"))
    page.get_by_role("link", name="Person 42").click()
    page.get_by_label("Role").select_option("developer")
    follow(page.get_by_role("button", name="Change role"))
    page.get_by_role("link", name="End membership").click()
    follow(page.get_by_role("button", name="End membership"))
    page.get_by_label("Show").select_option("Ended")
    follow(page.get_by_role("button", name="Search"))
    assert page.get_by_role("row", name="Person 42").get_by_role("cell").nth(1).inner_text() == "developer"
    page.get_by_role("link", name="Person 42").click()
    page.get_by_role("button", name="Bring back").click()
    page.get_by_role("heading", name="Person 42 active").wait_for()


def test_the_menu_is_opened_used_and_closed_with_the_keyboard(page: "Page", administrator: "Membership") -> None:
    def focused() -> str:
        return str(page.evaluate("document.activeElement.textContent")).strip()

    sign_in(page)
    menu = page.locator("details.menu")
    page.get_by_role("link", name="Usage").focus()
    page.keyboard.press("Tab")
    assert focused() == "Administration"
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Members").wait_for()
    page.keyboard.press("Tab")
    assert focused() == "Members"
    page.keyboard.press("Escape")
    assert (focused(), menu.get_attribute("open")) == ("Administration", None)
    page.keyboard.press("Enter")
    page.mouse.click(600, 800)
    assert menu.get_attribute("open") is None
    page.get_by_role("link", name="Usage").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    assert menu.get_attribute("open") is None, "it does not stay in the way of what one turned to"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Members").wait_for()


def test_the_header_takes_one_line_on_a_desk(page: "Page", administrator: "Membership") -> None:
    page.set_viewport_size({"width": 1200, "height": 850})
    sign_in(page)
    tops = page.evaluate("[...document.querySelectorAll('nav > *')].map(one => one.getBoundingClientRect().top)")
    assert len(tops) == 5
    assert max(tops) - min(tops) < 8


@pytest.mark.parametrize("look", LOOKS)
def test_the_pages_fit_their_window_and_pass_the_accessibility_rules(
    page: "Page", administrator: "Membership", look: str
) -> None:
    from keystead.server.organizations import groups
    from keystead.server.organizations.models import GroupSource

    now = datetime.now(UTC)
    long = somebody(administrator, "Wolfeschlegelsteinhausenbergerdorff the Second", f"{'w' * 60}@example.com")
    gone = somebody(administrator, "Cleo", "cleo@example.com")
    group = groups.create(administrator.organization, "Platform", source=GroupSource.CONSOLE, actor="per_1", now=now)
    groups.set_members(group, [administrator, long], "per_1", now)
    crowd(administrator, 55)
    as_it_looks(page, look)
    sign_in(page)
    page.get_by_text("Administration", exact=True).click()
    judge(page, f"{look}-menu")
    member = f"/members/{ids.dump('membership', long.pk)}"
    addresses = {
        "members": "/members",
        "members-none": "/members?q=zoe",
        "member": member,
        "member-end": f"{member}/end",
        "compliance": "/compliance",
        "suspend": f"/suspensions/{ids.dump('membership', long.pk)}",
        "member-leave": f"/members/{ids.dump('membership', administrator.pk)}/end",
    }
    for name, address in addresses.items():
        page.goto(address)
        judge(page, f"{look}-{name}")
    page.goto(f"/members/{ids.dump('membership', gone.pk)}/end")
    follow(page.get_by_role("button", name="End membership"))
    page.goto(f"/members/{ids.dump('membership', gone.pk)}")
    judge(page, f"{look}-member-ended")
    page.goto(f"/members/{ids.dump('membership', administrator.pk)}/end")
    follow(page.get_by_role("button", name="Leave"))
    judge(page, f"{look}-member-last")


def link(by: "Membership", email: str) -> str:
    """Return the end of the address of a new invitation."""
    from secrets import token_bytes

    from keystead.server.people import invitations

    maker = invitations.Maker(by.organization, by, by_mail=False, random_bytes=token_bytes)
    made = invitations.invite(maker, email, Role.DEVELOPER, [], datetime.now(UTC))
    return f"/invitation#code={made.code.reveal()}"


def test_somebody_is_invited_and_comes_in_by_the_link(page: "Page", administrator: "Membership") -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    sign_in(page)
    page.goto("/members")
    page.get_by_role("link", name="Invite somebody").click()
    page.get_by_label("E-mail address").fill("grace@example.com")
    page.get_by_label("Role", exact=True).select_option("billing")
    page.get_by_role("button", name="Make invitation").click()
    address = page.get_by_label("Invitation link").inner_text()
    follow(page.get_by_role("button", name="Sign out"))
    page.goto(address[address.index("/invitation") :])
    page.get_by_role("heading", name="Join Example").wait_for()
    assert "#" not in page.url
    page.get_by_label("Your name").fill("Grace")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Join").click()
    page.get_by_role("heading", name="Example", level=1).wait_for()
    assert page.get_by_text("grace@example.com").count() == 1
    code = address.partition("#code=")[2]
    assert all(code not in url for url in sent)
    follow(page.get_by_role("button", name="Sign out"))
    page.goto(address[address.index("/invitation") :])
    page.get_by_role("heading", name="This invitation has been used.").wait_for()


@pytest.mark.parametrize("look", LOOKS)
def test_the_pages_of_invitations_fit_too(page: "Page", administrator: "Membership", look: str) -> None:
    from keystead.server.organizations import groups
    from keystead.server.organizations.models import GroupSource

    now = datetime.now(UTC)
    for name in ("Platform", "People who look after the continuous integration of everybody else"):
        groups.create(administrator.organization, name, source=GroupSource.CONSOLE, actor="per_1", now=now)
    somebody(administrator, "Cleo", "cleo@example.com")
    new, other = link(administrator, "grace@example.com"), link(administrator, f"{'w' * 60}@example.com")
    as_it_looks(page, look)
    page.goto("/invitation")
    judge(page, f"{look}-invitation")
    page.goto("/invitation#code=nonsense")
    page.get_by_role("heading", name="not an invitation").wait_for()
    judge(page, f"{look}-invitation-wrong")
    page.goto(new)
    page.get_by_role("heading", name="Join Example").wait_for()
    judge(page, f"{look}-invitation-new")
    sign_in(page)
    page.goto(other)
    page.get_by_role("heading", name="for somebody else").wait_for()
    judge(page, f"{look}-invitation-other")
    page.goto("/members/invitations")
    judge(page, f"{look}-invitations")
    page.get_by_role("button", name="New link for grace@example.com").click()
    page.get_by_role("heading", name="Invitation for").wait_for()
    judge(page, f"{look}-invitation-made")


def test_a_group_is_made_filled_and_removed(page: "Page", administrator: "Membership") -> None:
    somebody(administrator, "Bo", "bo@example.com")
    sign_in(page)
    page.get_by_text("Administration", exact=True).click()
    page.get_by_role("link", name="Groups").click()
    page.get_by_label("Name").fill("Platform")
    page.get_by_role("button", name="Make group").click()
    page.get_by_label("E-mail address").fill("bo@example.com")
    page.get_by_role("button", name="Add").click()
    row = page.get_by_role("row", name="Bo").get_by_role("cell")
    assert row.all_inner_texts()[:2] == ["bo@example.com", "developer"]
    page.get_by_role("button", name="Take out Bo").click()
    page.get_by_text("Nobody is in it.").wait_for()
    page.get_by_role("link", name="Remove").click()
    page.get_by_role("button", name="Remove group").click()
    page.get_by_text("There is no group yet.").wait_for()


@pytest.mark.parametrize("look", LOOKS)
def test_the_pages_of_groups_fit_too(page: "Page", administrator: "Membership", look: str) -> None:
    from keystead.server.organizations import groups
    from keystead.server.organizations.models import GroupSource
    from keystead.server.policies import operations

    now = datetime.now(UTC)
    long = somebody(administrator, "Wolfeschlegelsteinhausenbergerdorff the Second", f"{'w' * 60}@example.com")
    own, theirs = [
        groups.create(administrator.organization, name, source=source, actor="per_1", now=now)
        for name, source in (("Platform", GroupSource.CONSOLE), ("P" * 200, GroupSource.SCIM))
    ]
    for group in (own, theirs):
        groups.set_members(group, [administrator, long], "per_1", now)
    operations.create(administrator, operations.Draft("Those who build", "{}", (own,)), now)
    as_it_looks(page, look)
    sign_in(page)
    addresses = {
        "groups": "/groups",
        "group": f"/groups/{own.wire_id}",
        "group-remove": f"/groups/{own.wire_id}/remove",
        "group-theirs": f"/groups/{theirs.wire_id}",
    }
    for name, address in addresses.items():
        page.goto(address)
        judge(page, f"{look}-{name}")
    page.goto(f"/groups/{own.wire_id}")
    page.get_by_label("E-mail address").fill("nobody@example.com")
    page.get_by_role("button", name="Add").click()
    page.get_by_role("alert").wait_for()
    judge(page, f"{look}-group-wrong")
