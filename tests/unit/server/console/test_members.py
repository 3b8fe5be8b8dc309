"""The members' pages: who sees them, what they say, and what they refuse with which words."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from keystead.server.organizations.roles import Role
from keystead.wire import ids

if TYPE_CHECKING:
    from django.http import HttpResponse
    from django.test import Client

    from keystead.server.organizations.models import Membership

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def bo(administrator: "Membership") -> "Membership":
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations

    person = Person.objects.create_user("bo@example.com", None, name="Bo <b>", created_at=NOW)
    return operations.add_member(administrator.organization, person, Role.DEVELOPER, NOW)


@pytest.fixture
def as_role(web: "Client", administrator: "Membership", bo: "Membership") -> Callable[[str], "Client"]:
    """Sign Ada in, after giving her a role."""

    def signed_in(role: str) -> "Client":
        administrator.role = role
        administrator.save()
        web.force_login(administrator.person)
        return web

    return signed_in


def address(member: "Membership", more: str = "") -> str:
    return f"/members/{ids.dump('membership', member.pk)}{more}"


ADMINISTRATORS_PAGES = {
    "/connections": "set up single sign-on",
    "/provisioning": "set provisioning up",
    "/policies": "manage policies",
    "/workloads": "let workloads in",
    "/members": "see the members",
    "/groups": "see the members",
}


@pytest.mark.parametrize("path", ADMINISTRATORS_PAGES)
def test_pages_of_administration_say_what_a_role_lacks(as_role: Callable[[str], "Client"], path: str) -> None:
    response = as_role("developer").get(path)
    content = response.content.decode()
    assert response.status_code == 403
    assert f"Your role developer may not {ADMINISTRATORS_PAGES[path]}." in content
    assert "Ask an administrator of Example" in content
    assert "Administration" not in content, "nor is it offered"


@pytest.mark.parametrize("path", ADMINISTRATORS_PAGES)
def test_the_header_leads_an_administrator_there(as_role: Callable[[str], "Client"], path: str) -> None:
    content = as_role("admin").get(path).content.decode()
    assert 'class="here">Administration' in content
    assert f'href="{path}" aria-current="page"' in content


def test_who_may_only_read_is_offered_nothing_to_change(as_role: Callable[[str], "Client"], bo: "Membership") -> None:
    web = as_role("billing")
    assert "bo@example.com" in web.get("/members").content.decode()
    shown = web.get(address(bo)).content.decode()
    assert ("bo@example.com" in shown, "Change role" in shown, "End membership" in shown) == (True, False, False)
    answers = [
        web.post(address(bo), {"role": "billing"}),
        web.post(address(bo, "/end")),
        web.post(address(bo, "/bring-back")),
    ]
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert "Your role billing may not manage members." in answers[0].content.decode()
    bo.refresh_from_db()
    assert (bo.role, bo.deactivated_at) == ("developer", None)


def test_the_list_shows_each_member_and_escapes_names(as_role: Callable[[str], "Client"]) -> None:
    content = as_role("admin").get("/members").content.decode()
    assert "Bo &lt;b&gt;" in content
    assert "Ada</a> (you)" in content
    assert "<td>password</td>" in content
    assert "nothing yet" in content


def test_a_search_without_result_says_so(as_role: Callable[[str], "Client"]) -> None:
    content = as_role("admin").get("/members?q=zoe").content.decode()
    assert "address or name begins like that." in content
    assert 'value="zoe"' in content


def test_long_lists_go_on_and_keep_the_search(
    as_role: Callable[[str], "Client"], monkeypatch: pytest.MonkeyPatch
) -> None:
    from keystead.server.people import members

    monkeypatch.setattr(members, "AT_ONCE", 1)
    web = as_role("admin")
    first = web.get("/members?q=").content.decode()
    following = first.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    second = web.get("/members" + following).content.decode()
    assert ("ada@example.com</td>" in first, "bo@example.com</td>" in first) == (True, False)
    assert ("ada@example.com</td>" in second, "bo@example.com</td>" in second) == (False, True)
    assert "To the beginning" in second
    assert 'rel="next"' not in second


def test_a_role_is_changed_and_a_wrong_one_is_marked(as_role: Callable[[str], "Client"], bo: "Membership") -> None:
    web = as_role("admin")
    wrong = web.post(address(bo), {"role": "owner"})
    assert (wrong.status_code, 'id="id_role_error"' in wrong.content.decode()) == (422, True)
    assert web.post(address(bo), {"role": "billing"}).headers["Location"] == address(bo)
    bo.refresh_from_db()
    assert bo.role == "billing"


def test_the_last_administrator_is_told_why_not(
    as_role: Callable[[str], "Client"], administrator: "Membership"
) -> None:
    web = as_role("admin")
    lowered = web.post(address(administrator), {"role": "developer"})
    left = web.post(address(administrator, "/end"))
    assert (lowered.status_code, left.status_code) == (422, 403)
    for answer in (lowered, left):
        assert "Ada is the last administrator of Example." in answer.content.decode()
        assert "Make somebody else an administrator first." in answer.content.decode()


def test_a_membership_ends_after_a_question_and_can_come_back(
    as_role: Callable[[str], "Client"], bo: "Membership"
) -> None:
    web = as_role("admin")
    assert "End the membership of Bo" in web.get(address(bo, "/end")).content.decode()
    bo.refresh_from_db()
    assert bo.deactivated_at is None, "to ask is not to do"
    assert web.post(address(bo, "/end")).headers["Location"] == "/members"
    assert "bo@example.com" in web.get("/members?state=ended").content.decode()
    assert "Bring back" in web.get(address(bo)).content.decode()
    assert web.get(address(bo, "/bring-back")).status_code == 405
    web.post(address(bo, "/bring-back"))
    bo.refresh_from_db()
    assert bo.deactivated_at is None


def test_who_leaves_sees_the_organization_no_more(as_role: Callable[[str], "Client"], bo: "Membership") -> None:
    from keystead.server.organizations.models import Membership

    web = as_role("admin")
    bo.role = "admin"
    bo.save()
    ada = Membership.objects.get(person__email="ada@example.com")
    assert "Leave Example?" in web.get(address(ada, "/end")).content.decode()
    assert web.post(address(ada, "/end"), follow=True).status_code == 403
    assert web.get("/members").status_code == 403


@pytest.mark.parametrize("more", ["", "/end", "/bring-back"])
def test_an_unknown_member_is_not_there(as_role: Callable[[str], "Client"], more: str) -> None:
    assert as_role("admin").post(f"/members/mem_{'0' * 32}{more}").status_code == 404


def with_app(member: "Membership") -> None:
    from keystead.server.factors.models import AuthenticatorApp

    AuthenticatorApp.objects.create(person=member.person, sealed="sealed", last_step=1, created_at=NOW)


def test_lost_second_factors_are_removed_written_down_and_told(
    as_role: Callable[[str], "Client"], bo: "Membership"
) -> None:
    from keystead.server.audit.models import AuditEvent
    from keystead.server.factors import operations as factors

    with_app(bo)
    admin, address = as_role("admin"), f"/members/{ids.dump('membership', bo.pk)}"
    assert "Remove second factors" in admin.get(address).content.decode()
    assert "by voice or in person" in admin.get(f"{address}/forget-factors").content.decode()

    assert posted(admin, f"{address}/forget-factors").status_code == 302

    assert not factors.has_any(bo.person)
    (event,) = AuditEvent.objects.filter(action="person:factors_forget")
    assert (event.actor, event.target) == (ids.dump("person", admin_of(bo).person_id), ids.dump("person", bo.person_id))
    assert "Remove second factors" not in admin.get(address).content.decode()


def test_another_organization_s_second_factor_is_not_removed(
    as_role: Callable[[str], "Client"], bo: "Membership"
) -> None:
    from keystead.server.factors import operations as factors
    from keystead.server.organizations import operations

    with_app(bo)
    operations.add_member(operations.create_organization("Other", NOW), bo.person, Role.DEVELOPER, NOW)

    refused = posted(as_role("admin"), f"/members/{ids.dump('membership', bo.pk)}/forget-factors")

    assert refused.status_code == 403
    assert "keystead server forget-factors EMAIL" in refused.content.decode()
    assert factors.has_any(bo.person)


@pytest.mark.parametrize("role", ["developer", "billing"])
def test_who_may_not_manage_members_removes_nothing(
    as_role: Callable[[str], "Client"], bo: "Membership", role: str
) -> None:
    from keystead.server.factors import operations as factors

    with_app(bo)

    assert posted(as_role(role), f"/members/{ids.dump('membership', bo.pk)}/forget-factors").status_code == 403
    assert factors.has_any(bo.person)


def admin_of(member: "Membership") -> "Membership":
    from keystead.server.organizations.models import Membership

    return Membership.objects.get(organization=member.organization, person__email="ada@example.com")


def posted(web: "Client", path: str) -> "HttpResponse":
    return web.post(path)  # type: ignore[return-value]  # Django's test client adds to it
