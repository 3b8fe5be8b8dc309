"""The groups' pages: made, renamed, filled, emptied and removed here; what others keep is only shown."""

import html
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from keystead.server.organizations.roles import Role
from keystead.wire import ids

if TYPE_CHECKING:
    from django.test import Client

    from keystead.server.organizations.models import Group, Membership

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def signed_in(web: "Client", administrator: "Membership") -> "Client":
    web.force_login(administrator.person)
    return web


@pytest.fixture
def bo(administrator: "Membership") -> "Membership":
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations

    person = Person.objects.create_user("bo@example.com", None, name="Bo", created_at=NOW)
    return operations.add_member(administrator.organization, person, Role.DEVELOPER, NOW)


def make(by: "Membership", name: str = "Platform", source: str = "console") -> "Group":
    from keystead.server.organizations import groups
    from keystead.server.organizations.models import GroupSource

    return groups.create(by.organization, name, source=GroupSource(source), actor="per_1", now=NOW)


def shown(response: Any) -> str:
    return html.unescape(response.content.decode())


def in_it(group: "Group") -> list[str]:
    return list(group.members.order_by("person__email").values_list("person__email", flat=True))


def test_a_group_from_its_making_to_its_end(signed_in: "Client", bo: "Membership") -> None:
    from keystead.server.audit.models import AuditEvent
    from keystead.server.organizations.models import Group

    address = signed_in.post("/groups", {"name": " Platform "}).headers["Location"]
    group = Group.objects.get()
    member = ids.dump("membership", bo.pk)
    assert (address, group.name, group.source) == (f"/groups/{group.wire_id}", "Platform", "console")
    assert "Nobody is in it." in shown(signed_in.get(address))
    for _ in range(2):
        assert signed_in.post(f"{address}/members", {"email": " BO@example.com "}).status_code == 302
    assert in_it(group) == ["bo@example.com"]
    assert "Take out" in shown(signed_in.get(address))
    assert '<td class="number">1</td>' in shown(signed_in.get("/groups"))
    signed_in.post(address, {"name": "Base"})
    for _ in range(2):
        signed_in.post(f"{address}/members/{member}/remove")
    assert in_it(group) == []
    assert "Remove “Base”?" in shown(signed_in.get(f"{address}/remove"))
    assert Group.objects.count() == 1, "to ask is not to do"
    assert signed_in.post(f"{address}/remove").headers["Location"] == "/groups"
    assert not Group.objects.exists()
    events = AuditEvent.objects.filter(target=group.wire_id).order_by("id").values_list("action", "details")
    assert list(events) == [
        ("group:create", {"name": "Platform", "source": "console"}),
        ("group:add_member", {"member": member}),
        ("group:rename", {"from": "Platform", "to": "Base"}),
        ("group:remove_member", {"member": member}),
        ("group:remove", {"name": "Base"}),
    ]


@pytest.mark.parametrize(
    ("source", "said"), [("scim", "kept by your identity provider (SCIM)"), ("sso", "kept by single sign-on")]
)
def test_what_others_keep_is_read_only_and_says_why(
    signed_in: "Client", administrator: "Membership", bo: "Membership", source: str, said: str
) -> None:
    from keystead.server.organizations import groups

    group = make(administrator, "Theirs", source)
    groups.put_in(group, administrator, "sct_1", NOW)
    address = f"/groups/{group.wire_id}"
    page = shown(signed_in.get(address))
    assert (said in page, "Take out" in page, "Rename" in page, "Add a member" in page) == (True, False, False, False)
    assert said in shown(signed_in.get(f"{address}/remove"))
    answers = [
        signed_in.post(address, {"name": "Ours"}),
        signed_in.post(f"{address}/members", {"email": "bo@example.com"}),
        signed_in.post(f"{address}/members/{ids.dump('membership', administrator.pk)}/remove"),
        signed_in.post(f"{address}/remove"),
    ]
    assert [answer.status_code for answer in answers] == [403] * 4
    assert all(f"The group Theirs is {said}." in shown(answer) for answer in answers)
    group.refresh_from_db()
    assert (group.name, in_it(group)) == ("Theirs", ["ada@example.com"])


def test_a_group_that_a_policy_names_says_so_before_it_is_removed(
    signed_in: "Client", administrator: "Membership", bo: "Membership"
) -> None:
    from keystead.server.policies import operations

    group = make(administrator)
    operations.create(administrator, operations.Draft("Platform rules", '{"model": "p"}', (group,)), NOW)
    asked = shown(signed_in.get(f"/groups/{group.wire_id}/remove"))
    assert "1 policy names it:</strong> Platform rules" in asked
    assert "Platform rules" in shown(signed_in.get(f"/groups/{group.wire_id}"))
    signed_in.post(f"/groups/{group.wire_id}/remove")
    assert operations.delivery_to(bo) is None, "and then it is for nobody, not for everybody"


@pytest.mark.parametrize("name", ["", " ", "Platform", "x" * 201])
def test_a_name_that_will_not_do_is_marked(signed_in: "Client", administrator: "Membership", name: str) -> None:
    other = make(administrator, "Other")
    make(administrator)
    for path in ("/groups", f"/groups/{other.wire_id}"):
        assert signed_in.post(path, {"name": name}).status_code == 422
    other.refresh_from_db()
    assert other.name == "Other"


@pytest.mark.parametrize("email", ["x@example.com", "nonsense", "bo@example.com"])
def test_only_active_members_are_added(
    signed_in: "Client", administrator: "Membership", bo: "Membership", email: str
) -> None:
    from keystead.server.people import members

    members.end(administrator, bo, NOW)
    group = make(administrator)
    assert signed_in.post(f"/groups/{group.wire_id}/members", {"email": email}).status_code == 422
    assert in_it(group) == []


def test_readers_read_and_others_do_not(signed_in: "Client", administrator: "Membership") -> None:
    group = make(administrator)
    for role, status in (("billing", 200), ("developer", 403)):
        administrator.role = role
        administrator.save()
        pages = [signed_in.get("/groups"), signed_in.get(f"/groups/{group.wire_id}")]
        assert [page.status_code for page in pages] == [status] * 2
        assert not any("Make group" in shown(page) or "Rename" in shown(page) for page in pages)
        answers = [
            signed_in.post("/groups", {"name": "New"}),
            signed_in.post(f"/groups/{group.wire_id}", {"name": "New"}),
            signed_in.post(f"/groups/{group.wire_id}/members", {"email": "ada@example.com"}),
            signed_in.post(f"/groups/{group.wire_id}/remove"),
        ]
        assert [answer.status_code for answer in answers] == [403] * 4


def test_another_organizations_group_and_member_are_not_there(
    signed_in: "Client", administrator: "Membership", bo: "Membership"
) -> None:
    from keystead.server.identity.models import Person
    from keystead.server.organizations import groups, operations

    elsewhere = operations.create_organization("Elsewhere", NOW)
    stranger = Person.objects.create_user("eve@example.com", None, created_at=NOW)
    theirs = operations.add_member(elsewhere, stranger, Role.ADMIN, NOW)
    group, own = make(theirs, "Theirs"), make(administrator)
    groups.put_in(group, theirs, "per_1", NOW)
    assert "Theirs" not in shown(signed_in.get("/groups"))
    for path in ("", "/remove"):
        assert signed_in.get(f"/groups/{group.wire_id}{path}").status_code == 404
        assert signed_in.post(f"/groups/{group.wire_id}{path}", {"name": "x"}).status_code == 404
    assert signed_in.post(f"/groups/{own.wire_id}/members", {"email": "eve@example.com"}).status_code == 422
    taken = signed_in.post(f"/groups/{own.wire_id}/members/{ids.dump('membership', theirs.pk)}/remove")
    assert taken.status_code == 404
    with pytest.raises(ValueError, match="own organization"):
        groups.put_in(own, theirs, "per_1", NOW)


def test_lists_cost_the_same_for_few_and_for_many(signed_in: "Client", administrator: "Membership") -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from keystead.server.identity.models import Person
    from keystead.server.organizations import groups
    from keystead.server.organizations.models import Membership

    group = make(administrator)
    groups.put_in(group, administrator, "per_1", NOW)

    def asked(path: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert signed_in.get(path).status_code == 200
        return len(queries)

    paths = ("/groups", f"/groups/{group.wire_id}")
    few = [asked(path) for path in paths]
    people = Person.objects.bulk_create(
        Person(email=f"p{number}@example.com", password="!", created_at=NOW) for number in range(60)
    )
    added = Membership.objects.bulk_create(
        Membership(organization=administrator.organization, person=one, role="developer", created_at=NOW)
        for one in people
    )
    groups.set_members(group, [administrator, *added], "per_1", NOW)
    for number in range(20):
        make(administrator, f"G{number}")
    assert [asked(path) for path in paths] == few
    assert 'rel="next"' in shown(signed_in.get(paths[1]))
