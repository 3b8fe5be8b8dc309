"""Ending a membership ends all that was begun under it, everywhere at once; a return revives nothing."""

from datetime import UTC, datetime, timedelta
from secrets import token_bytes
from typing import TYPE_CHECKING

import pytest

from keystead.errors import PolicyDenied
from keystead.server.changes import CHANGES, Change
from keystead.server.organizations.roles import Role
from keystead.wire import ids

if TYPE_CHECKING:
    from keystead.server.authorization.models import Grant
    from keystead.server.organizations.models import Membership

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def developer(administrator: "Membership") -> "Membership":
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations

    person = Person.objects.create_user("bo@example.com", None, created_at=NOW)
    return operations.add_member(administrator.organization, person, Role.DEVELOPER, NOW)


def sign_in(member: "Membership", now: datetime) -> "Grant":
    from keystead.server.authorization import clients, sign_ins

    approval = sign_ins.Approval(clients.find("keystead-cli"), member, "openid models:use")
    return sign_ins.begin(approval, "laptop", now).grant


def lives(grant: "Grant") -> bool:
    from keystead.server.authorization import operations

    return operations.grant_is_live(ids.dump("grant", grant.id))


def usable_keys(member: "Membership") -> int:
    from keystead.server.keys import operations

    return len(operations.facts_of(ids.dump("membership", member.id)))


def test_the_end_of_a_membership_ends_sign_ins_and_keys_and_a_return_revives_none(developer: "Membership") -> None:
    from keystead.server.authorization import operations as authorization
    from keystead.server.keys import operations as keys
    from keystead.server.organizations import memberships, operations

    before = sign_in(developer, NOW)
    keys.issue(developer, "laptop", now=NOW, random_bytes=token_bytes)
    assert (lives(before), usable_keys(developer)) == (True, 1)

    assert memberships.deactivate(developer, "per_1", "left", LATER)
    assert (lives(before), usable_keys(developer)) == (False, 0)
    assert operations.membership_of(developer.person) is None
    assert ids.dump("grant", before.id) in authorization.revoked_grants(LATER.timestamp())
    assert not memberships.deactivate(developer, "per_1", "left", LATER), "once"

    assert memberships.reactivate(developer, "per_1", LATER + timedelta(hours=1))
    assert (lives(before), usable_keys(developer)) == (False, 0)
    after = sign_in(developer, LATER + timedelta(hours=2))
    keys.issue(developer, "new", now=LATER + timedelta(hours=2), random_bytes=token_bytes)
    assert (lives(after), usable_keys(developer)) == (True, 1)
    assert operations.membership_of(developer.person) == developer


def test_others_are_left_alone(administrator: "Membership", developer: "Membership") -> None:
    from keystead.server.organizations import memberships

    grant = sign_in(administrator, NOW)
    memberships.deactivate(developer, "per_1", "left", LATER)
    assert lives(grant)


def test_the_last_administrator_stays_one(administrator: "Membership", developer: "Membership") -> None:
    from keystead.server.organizations import memberships

    with pytest.raises(PolicyDenied, match="last administrator of Example"):
        memberships.deactivate(administrator, "per_1", "left", LATER)
    with pytest.raises(PolicyDenied, match="last administrator"):
        memberships.change_role(administrator, Role.DEVELOPER, "per_1", LATER)
    memberships.change_role(developer, Role.ADMIN, "per_1", LATER)
    assert memberships.deactivate(administrator, "per_1", "left", LATER)


def test_each_step_is_written_down_and_announced(developer: "Membership") -> None:
    from keystead.server.audit.models import AuditEvent
    from keystead.server.organizations import memberships

    heard: list[Change] = []
    unsubscribe = CHANGES.subscribe(heard.append)
    try:
        memberships.change_role(developer, Role.BILLING, "per_1", NOW)
        memberships.deactivate(developer, "system", "scim", LATER)
        memberships.reactivate(developer, "per_1", LATER)
    finally:
        unsubscribe()
    wire_id = ids.dump("membership", developer.id)
    assert heard == [Change("member", wire_id)] * 3
    events = AuditEvent.objects.filter(target=wire_id).order_by("id")
    assert [(event.action, event.details) for event in events] == [
        ("membership:change_role", {"from": "developer", "to": "billing"}),
        ("membership:deactivate", {"reason": "scim"}),
        ("membership:reactivate", {}),
    ]


def test_the_console_says_which_keys_ended_with_their_owner(
    administrator: "Membership", developer: "Membership"
) -> None:
    from django.test import Client

    from keystead.server.keys import operations as keys
    from keystead.server.organizations import memberships

    keys.issue(developer, "laptop", now=NOW, random_bytes=token_bytes)
    memberships.deactivate(developer, "per_1", "left", LATER)
    web = Client(SERVER_NAME="127.0.0.1")
    web.force_login(administrator.person)
    assert "ended with its owner" in web.get("/keys").content.decode()
