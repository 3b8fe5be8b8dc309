"""API keys: shown once, kept as a hash, never more powerful than their owner, revoked once and at once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

import pytest

from keystead.errors import PolicyDenied, UsageError
from keystead.server.changes import CHANGES, Change
from keystead.server.organizations.roles import Permission, Role, allows
from keystead.wire import ids, tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from keystead.server.keys.models import ApiKey
    from keystead.server.organizations.models import Membership

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def member(administrator: "Membership") -> "Callable[[str], Membership]":
    """Return a function that adds a member of a role to the administrator's organization."""

    def add(role: str) -> "Membership":
        from keystead.server.identity.models import Person
        from keystead.server.organizations.models import Membership

        person = Person.objects.create_user(f"{role}@example.com", None, name=role, created_at=NOW)
        return Membership.objects.create(
            organization=administrator.organization, person=person, role=role, created_at=NOW
        )

    return add


@pytest.fixture
def published() -> "Iterator[list[Change]]":
    """Return what was published during the test."""
    heard: list[Change] = []
    stop = CHANGES.subscribe(heard.append)
    yield heard
    stop()


def issue(member: "Membership", **given: Any) -> "tuple[ApiKey, str]":
    from keystead.server.keys import operations

    key, secret = operations.issue(member, given.pop("name", "laptop"), now=NOW, random_bytes=token_bytes, **given)
    return key, secret.reveal()


def usable() -> dict[bytes, str]:
    from keystead.server.keys import operations

    return {digest: principal.id for digest, principal in operations.active_facts()}


def test_a_key_is_returned_once_and_stored_as_its_hash(
    administrator: "Membership", database: Path, published: list[Change]
) -> None:
    key, secret = issue(administrator)
    wire_id = ids.dump("api_key", key.id)
    assert tokens.parse(secret) is tokens.TokenKind.API_KEY
    assert usable() == {tokens.digest(secret): wire_id}
    assert published == [Change("api_key", wire_id)]
    assert key.hint == secret[:8]
    for file in database.parent.glob("keystead.sqlite3*"):
        assert secret.encode() not in file.read_bytes()


def test_the_facts_of_one_key_equal_those_of_all(administrator: "Membership") -> None:
    from keystead.server.keys import operations

    key, _ = issue(administrator, expires_at=NOW + timedelta(days=1))
    found = operations.facts(ids.dump("api_key", key.id))
    assert found == list(operations.active_facts())
    principal = found[0][1]
    assert principal.organization_id == ids.dump("organization", administrator.organization.id)
    assert principal.member_id == ids.dump("membership", administrator.id)
    assert principal.expires_at == (NOW + timedelta(days=1)).timestamp()


@pytest.mark.parametrize("wire_id", ["", "key_", "key_zz", "org_" + "0" * 32, "key_" + "0" * 32])
def test_an_unknown_identifier_has_no_facts(administrator: "Membership", wire_id: str) -> None:
    from keystead.server.keys import operations

    assert operations.facts(wire_id) == []
    assert operations.find(administrator, wire_id) is None


def test_a_revoked_key_is_unusable_and_the_gateway_is_told(
    administrator: "Membership", published: list[Change]
) -> None:
    from keystead.server.audit.models import AuditEvent
    from keystead.server.keys import operations

    key, _ = issue(administrator)
    assert operations.revoke(key, administrator, NOW)
    assert not operations.revoke(key, administrator, NOW)
    assert usable() == {}
    assert operations.facts(ids.dump("api_key", key.id)) == []
    assert len(published) == 2
    assert list(AuditEvent.objects.order_by("id").values_list("action", flat=True)) == [
        "api_key:create",
        "api_key:revoke",
    ]


def test_nothing_is_published_or_stored_when_the_transaction_fails(
    administrator: "Membership", published: list[Change], monkeypatch: pytest.MonkeyPatch
) -> None:
    from keystead.server.audit import operations as audit

    def broken(**_: Any) -> None:
        raise RuntimeError("no audit, no key")

    monkeypatch.setattr(audit, "record", broken)
    with pytest.raises(RuntimeError):
        issue(administrator)
    assert (usable(), published) == ({}, [])


@pytest.mark.parametrize("role", [*Role, "unheard_of"])
@pytest.mark.parametrize("purpose", ["agent", "any"])
def test_a_member_creates_the_keys_their_role_allows_and_no_others(
    member: "Callable[[str], Membership]", role: str, purpose: str
) -> None:
    from keystead.server.keys.models import Purpose

    needed = Permission.KEYS_CREATE_AGENT if purpose == "agent" else Permission.KEYS_CREATE_ANY
    if allows(role, needed):
        issue(member(role), purpose=Purpose(purpose))
    else:
        with pytest.raises(PolicyDenied, match=role):
            issue(member(role), purpose=Purpose(purpose))
        assert usable() == {}


def test_a_key_stops_working_with_its_owner(member: "Callable[[str], Membership]") -> None:
    owner = member("developer")
    issue(owner)
    owner.role = "billing"
    owner.save()
    assert usable() == {}
    owner.role = "developer"
    owner.save()
    assert len(usable()) == 1
    owner.person.is_active = False
    owner.person.save()
    assert usable() == {}


def test_members_see_and_revoke_their_own_keys_and_administrators_any(
    administrator: "Membership", member: "Callable[[str], Membership]"
) -> None:
    from keystead.server.keys import operations

    developer, agent = member("developer"), member("agent_user")
    theirs, _ = issue(developer)
    assert list(operations.list_for(developer)) == [theirs]
    assert list(operations.list_for(agent)) == []
    with pytest.raises(PolicyDenied, match="only your own"):
        operations.revoke(theirs, agent, NOW)
    assert operations.revoke(theirs, administrator, NOW)


def test_another_organization_sees_nothing(administrator: "Membership") -> None:
    from keystead.server.identity.models import Person
    from keystead.server.keys import operations
    from keystead.server.organizations import operations as organizations

    key, _ = issue(administrator)
    other = organizations.add_member(
        organizations.create_organization("Other", NOW),
        Person.objects.create_user("eve@example.com", None, created_at=NOW),
        Role.ADMIN,
        NOW,
    )
    assert operations.find(other, ids.dump("api_key", key.id)) is None
    with pytest.raises(PolicyDenied):
        operations.revoke(key, other, NOW)


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "two\nlines", "nul\x00"])
def test_a_name_that_cannot_be_shown_is_refused(administrator: "Membership", name: str) -> None:
    with pytest.raises(UsageError, match="name"):
        issue(administrator, name=name)


def test_an_expiry_in_the_past_is_refused(administrator: "Membership") -> None:
    with pytest.raises(UsageError, match="past"):
        issue(administrator, expires_at=NOW)
