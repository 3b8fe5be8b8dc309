"""The page of sign-ins and devices: what it lists, who may end what, and that ending is final."""

from typing import TYPE_CHECKING, Any

import pytest

from keystead.wire import ids

if TYPE_CHECKING:
    from django.test import Client

    from keystead.server.authorization.models import Grant
    from keystead.server.organizations.models import Membership

HOME = "/devices"


def begin(member: "Membership", label: str) -> "Grant":
    from keystead.server.authorization import clients, sign_ins
    from keystead.server.authorization.surroundings import now

    client = clients.find("keystead-cli")
    return sign_ins.begin(sign_ins.Approval(client, member, "openid models:use"), label, now()).grant


def live(grant: "Grant") -> bool:
    from keystead.server.authorization import operations

    return operations.grant_is_live(ids.dump("grant", grant.id))


def page_of(grant: "Grant") -> str:
    return f"{HOME}/{ids.dump('grant', grant.id)}/sign-out"


def test_each_sign_in_is_listed_until_it_ends(browser: "Client", administrator: "Membership", clock: Any) -> None:
    assert "No device is signed in as you" in browser.get(HOME).content.decode()
    begin(administrator, "<b>laptop</b>")

    page = browser.get(HOME).content.decode()
    assert "&lt;b&gt;laptop" in page
    assert "Sign out everywhere" not in page, "one is not everywhere"
    clock.sleep(31 * 86400)
    assert "laptop" not in browser.get(HOME).content.decode(), "not renewed for longer than a refresh token lives"


def test_ending_one_ends_that_one_and_is_written_down(browser: "Client", administrator: "Membership") -> None:
    from keystead.server.audit.models import AuditEvent

    laptop, desktop = begin(administrator, "laptop"), begin(administrator, "desktop")
    assert "laptop" in browser.get(page_of(laptop)).content.decode()
    assert browser.post(page_of(laptop)).headers["Location"] == HOME

    assert (live(laptop), live(desktop)) == (False, True)
    assert "laptop" not in browser.get(HOME).content.decode()
    event = AuditEvent.objects.get(action="grant:revoke")
    assert (event.target, event.details["reason"]) == (ids.dump("grant", laptop.id), "ended_in_console")
    assert browser.post(page_of(laptop)).status_code == 302, "ended already is no error"
    assert AuditEvent.objects.filter(action="grant:revoke").count() == 1


def test_everywhere_means_ones_own_only(browser: "Client", administrator: "Membership", colleague: Any) -> None:
    own = [begin(administrator, "laptop"), begin(administrator, "desktop")]
    other = begin(colleague, "theirs")
    assert "All 2 programs" in browser.get(f"{HOME}/sign-out").content.decode()
    browser.post(f"{HOME}/sign-out")
    assert [live(grant) for grant in (*own, other)] == [False, False, True]


def test_an_administrator_may_end_everyones_and_a_developer_only_their_own(
    browser: "Client", administrator: "Membership", colleague: Any
) -> None:
    from django.test import Client

    theirs, admins = begin(colleague, "theirs"), begin(administrator, "admins")
    developer = Client(SERVER_NAME="127.0.0.1", SERVER_PORT="8420", headers={"origin": "http://127.0.0.1:8420"})
    developer.force_login(colleague.person)
    assert "admins" not in developer.get(HOME).content.decode()
    assert developer.get(page_of(admins)).status_code == 404
    developer.post(page_of(admins))
    assert live(admins)

    assert "bo@example.com" in browser.get(HOME).content.decode()
    browser.post(page_of(theirs))
    assert not live(theirs)


@pytest.mark.parametrize("path", [HOME, f"{HOME}/sign-out", f"{HOME}/gra_x/sign-out"])
def test_strangers_are_sent_to_sign_in(web: "Client", administrator: "Membership", path: str) -> None:
    assert web.get(path).headers["Location"] == f"/account/login/?next={path}"


@pytest.mark.parametrize("name", ["gra_" + "0" * 32, "nonsense"])
def test_what_is_no_sign_in_has_no_page(browser: "Client", name: str) -> None:
    assert browser.get(f"{HOME}/{name}/sign-out").status_code == 404


def test_a_form_of_another_site_ends_nothing(browser: "Client", administrator: "Membership") -> None:
    grant = begin(administrator, "laptop")
    assert browser.post(page_of(grant), headers={"origin": "https://evil.example"}).status_code == 403
    assert live(grant)
