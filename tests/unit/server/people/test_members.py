"""Members are found page by page at a fixed price, and changed by those whose role covers theirs."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

import pytest

from keystead.errors import PolicyDenied
from keystead.server.organizations import roles
from keystead.server.organizations.roles import Permission, Role
from keystead.wire import ids

if TYPE_CHECKING:
    from keystead.server.organizations.models import Membership

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


def names(by: "Membership", **asked: Any) -> list[str]:
    from keystead.server.people import members

    return [one.membership.person.name for one in members.page(by, **asked).members]


def provision(member: "Membership") -> None:
    """Have an identity provider take a member into its care."""
    from keystead.server.organizations.models import Membership
    from keystead.server.scim import tokens
    from keystead.server.scim.models import ScimUser

    organization = member.organization
    administrator = Membership.objects.filter(organization=organization, role="admin").earliest("created_at")
    tokens.make(administrator, NOW, token_bytes)
    ScimUser.objects.create(
        membership=member, organization=organization, user_name=member.person.email, managed=True, modified_at=NOW
    )


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", ["Ada", "Bo", "Cleo"]),
        ("b", ["Bo"]),
        ("BO@EXAMPLE", ["Bo"]),
        ("cleo", ["Cleo"]),
        ("  ada ", ["Ada"]),
        ("example.com", []),
        ("%", []),
        ("_o", []),
        ("\0b", ["Bo"]),
        ("Žofie", []),
    ],
)
def test_a_search_finds_the_beginnings_of_addresses_and_names(
    administrator: "Membership", add: Callable[..., Any], search: str, found: list[str]
) -> None:
    add("Bo")
    add("Cleo")
    assert names(administrator, search=search) == found


def test_another_organization_is_neither_listed_nor_found(administrator: "Membership", add: Callable[..., Any]) -> None:
    from keystead.server.organizations import operations
    from keystead.server.people import members

    theirs = add("Bo", "developer", operations.create_organization("Elsewhere", NOW))
    assert names(administrator) == ["Ada"]
    wire_id = ids.dump("membership", theirs.pk)
    assert members.find(administrator, wire_id) is None
    assert names(administrator, after=wire_id) == ["Ada"], "nor does it say where its address would stand"


@pytest.mark.parametrize("member_id", ["", "mem_", "mem_" + "0" * 32, "nonsense"])
def test_what_is_no_identifier_finds_nobody(administrator: "Membership", member_id: str) -> None:
    from keystead.server.people import members

    assert members.find(administrator, member_id) is None


def test_those_who_ended_are_a_list_of_their_own(administrator: "Membership", bo: "Membership") -> None:
    from keystead.server.people import members

    members.end(administrator, bo, LATER)
    assert (names(administrator), names(administrator, state="ended")) == (["Ada"], ["Bo"])


def test_the_pages_together_are_everybody_once(
    administrator: "Membership", add: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from keystead.server.people import members

    monkeypatch.setattr(members, "AT_ONCE", 2)
    for name in ("Bo", "Cleo", "Dan", "Eve"):
        add(name)
    seen, after = [], ""
    for _ in range(3):
        page = members.page(administrator, after=after)
        seen += [one.membership.person.name for one in page.members]
        after = page.following or ""
    assert seen == ["Ada", "Bo", "Cleo", "Dan", "Eve"]
    assert page.following is None


def test_a_page_costs_the_same_for_few_and_for_many(administrator: "Membership", add: Callable[..., Any]) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from keystead.server.organizations import groups
    from keystead.server.organizations.models import GroupSource
    from keystead.server.people import members

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            for one in members.page(administrator).members:
                assert (one.ways, one.groups, one.wire_id, str(one.membership.person)) is not None
        return len(queries)

    few = asked()
    group = groups.create(administrator.organization, "All", source=GroupSource.CONSOLE, actor="per_1", now=NOW)
    groups.set_members(group, [administrator, *(add(f"M{number}") for number in range(60))], "per_1", NOW)
    assert (few, asked()) == (5, 5), "who is on it, members, groups, identities, and whether SCIM is in use"


def test_it_is_said_how_somebody_signs_in(administrator: "Membership", bo: "Membership") -> None:
    from keystead.server.people import members
    from keystead.server.sso.models import Connection, Identity

    connection = Connection.objects.create(
        organization=bo.organization, kind="oidc", name="Company", created_at=NOW, enabled_at=NOW
    )
    Identity.objects.create(
        connection=connection, person=bo.person, subject="1", email=bo.person.email, created_at=NOW, confirmed_at=NOW
    )
    provision(bo)
    assert [one.ways for one in members.page(administrator).members] == [
        ("password",),
        ("single sign-on (Company)", "SCIM"),
    ]


def test_a_role_given_here_stays_when_single_sign_on_says_otherwise(
    administrator: "Membership", bo: "Membership"
) -> None:
    from keystead.server.people import members
    from keystead.server.sso.models import Connection, Identity

    connection = Connection.objects.create(organization=bo.organization, kind="oidc", name="C", created_at=NOW)
    identity = Identity.objects.create(
        connection=connection,
        person=bo.person,
        subject="1",
        email=bo.person.email,
        manages_role=True,
        created_at=NOW,
        confirmed_at=NOW,
    )
    members.change_role(administrator, bo, Role.DEVELOPER, LATER)
    identity.refresh_from_db()
    assert identity.manages_role, "the role was that one already"
    members.change_role(administrator, bo, Role.BILLING, LATER)
    identity.refresh_from_db()
    assert not identity.manages_role


def test_whom_scim_looks_after_is_ended_there_and_keeps_the_role_of_here(
    administrator: "Membership", bo: "Membership"
) -> None:
    from keystead.server.organizations import memberships
    from keystead.server.people import members
    from keystead.server.scim.models import ScimToken

    provision(bo)
    with pytest.raises(PolicyDenied, match=r"Bo is looked after by your identity provider \(SCIM\)") as refused:
        members.end(administrator, bo, LATER)
    assert "End or bring back the account there" in str(refused.value.hint)
    members.change_role(administrator, bo, Role.BILLING, LATER)
    memberships.deactivate(bo, "sct_1", "scim_inactive", LATER)
    with pytest.raises(PolicyDenied, match="looked after"):
        members.bring_back(administrator, bo, LATER)
    ScimToken.objects.update(ended_at=LATER)
    assert members.bring_back(administrator, bo, LATER), "with SCIM gone somebody must be able to"


def test_who_is_only_shown_to_scim_is_not_in_its_care(administrator: "Membership", bo: "Membership") -> None:
    from keystead.server.people import members
    from keystead.server.scim import tokens
    from keystead.server.scim.service import _models
    from keystead.server.scim.users import Users

    tokens.make(administrator, NOW, token_bytes)
    assert len(Users(bo.organization, _models()["User"], "sct_1", NOW).rows()) == 2
    assert members.end(administrator, bo, LATER)


@pytest.mark.parametrize("act", ["end", "demote"])
def test_the_last_administrator_can_neither_leave_nor_be_less(administrator: "Membership", act: str) -> None:
    from keystead.server.people import members

    change: Any = members.end if act == "end" else partial(members.change_role, role=Role.DEVELOPER)
    with pytest.raises(PolicyDenied, match="last administrator of Example"):
        change(administrator, administrator, now=LATER)
    assert names(administrator) == ["Ada"]


def test_with_a_second_administrator_one_may_leave_and_do_nothing_more(
    administrator: "Membership", add: Callable[..., Any]
) -> None:
    from keystead.server.audit.models import AuditEvent
    from keystead.server.people import members

    bo = add("Bo", "admin")
    assert members.end(administrator, administrator, LATER)
    assert AuditEvent.objects.get(action="membership:deactivate").details == {"reason": "left"}
    with pytest.raises(PolicyDenied, match="Your own membership has ended"):
        members.end(administrator, bo, LATER)


def test_what_an_actor_may_is_read_again_and_not_remembered(
    administrator: "Membership", add: Callable[..., Any], bo: "Membership"
) -> None:
    from keystead.server.people import members

    second = add("Cleo", "admin")
    members.change_role(administrator, second, Role.DEVELOPER, LATER)
    assert second.role == "admin", "as the page of the second administrator still has it"
    with pytest.raises(PolicyDenied, match="Your role developer may not manage members"):
        members.change_role(second, bo, Role.ADMIN, LATER)


def test_nobody_gives_or_takes_more_than_they_have(
    administrator: "Membership", add: Callable[..., Any], bo: "Membership", monkeypatch: pytest.MonkeyPatch
) -> None:
    from keystead.server.people import members

    cleo = add("Cleo", "agent_user")
    more = roles.PERMISSIONS[Role.DEVELOPER] | {Permission.MEMBERS_MANAGE}
    monkeypatch.setitem(roles.PERMISSIONS, Role.DEVELOPER, more)
    assert members.roles_given_by(bo) == [Role.DEVELOPER, Role.AGENT_USER]
    members.change_role(bo, cleo, Role.DEVELOPER, LATER)
    for subject, role in ((cleo, Role.ADMIN), (bo, Role.ADMIN), (cleo, Role.BILLING), (administrator, Role.DEVELOPER)):
        with pytest.raises(PolicyDenied, match="Your role developer may not"):
            members.change_role(bo, subject, role, LATER)
    with pytest.raises(PolicyDenied, match="may not change somebody who is admin"):
        members.end(bo, administrator, LATER)
    for one in (administrator, bo, cleo):
        one.refresh_from_db()
    assert (administrator.role, bo.role, cleo.role) == ("admin", "developer", "developer")
    assert administrator.deactivated_at is None


def test_an_administrator_signs_a_member_out_of_every_browser(administrator: "Membership", bo: "Membership") -> None:
    from django.test import Client

    mine, theirs = Client(SERVER_NAME="127.0.0.1"), Client(SERVER_NAME="127.0.0.1")
    mine.force_login(administrator.person)
    theirs.force_login(bo.person)
    address = f"/members/{ids.dump('membership', bo.pk)}"
    assert "Signed in with 1 browser." in mine.get(address).content.decode()
    assert theirs.post(f"{address}/end-sessions").status_code == 403
    assert theirs.get("/account").status_code == 200
    assert mine.post(f"{address}/end-sessions").status_code == 302
    assert theirs.get("/account").status_code == 302
    assert "every browser" not in mine.get(address).content.decode()


def test_who_is_ended_is_signed_out_of_every_browser(administrator: "Membership", bo: "Membership") -> None:
    from django.test import Client

    from keystead.server.people import members

    theirs = Client(SERVER_NAME="127.0.0.1")
    theirs.force_login(bo.person)
    members.end(administrator, bo, NOW)
    assert theirs.get("/account").status_code == 302


def test_each_change_is_written_down_once(administrator: "Membership", bo: "Membership") -> None:
    from keystead.server.audit.models import AuditEvent
    from keystead.server.people import members

    for _ in range(2):
        members.change_role(administrator, bo, Role.BILLING, LATER)
        members.end(administrator, bo, LATER)
    assert [members.bring_back(administrator, bo, LATER) for _ in range(2)] == [True, False]
    actor = ids.dump("person", administrator.person_id)
    events = AuditEvent.objects.filter(target=ids.dump("membership", bo.pk)).order_by("id")
    assert [(event.action, event.actor, event.details) for event in events] == [
        ("membership:change_role", actor, {"from": "developer", "to": "billing"}),
        ("membership:deactivate", actor, {"reason": "ended_in_console"}),
        ("membership:reactivate", actor, {}),
    ]
