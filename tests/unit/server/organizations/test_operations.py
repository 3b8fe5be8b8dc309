"""Which membership a person acts in, and what they are told when it does not suffice."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from keystead.errors import PolicyDenied
from keystead.server.organizations.roles import Permission, Role

if TYPE_CHECKING:
    from keystead.server.organizations.models import Membership

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def test_a_person_acts_in_their_oldest_membership(administrator: "Membership") -> None:
    from keystead.server.organizations import operations

    later = operations.create_organization("Later", NOW + timedelta(days=1))
    operations.add_member(later, administrator.person, Role.BILLING, NOW + timedelta(days=1))
    assert operations.membership_of(administrator.person) == administrator


def test_an_inactive_person_acts_nowhere(administrator: "Membership") -> None:
    from keystead.server.organizations import operations

    administrator.person.is_active = False
    assert operations.membership_of(administrator.person) is None


def test_a_person_without_organization_acts_nowhere(database: Path) -> None:
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations

    assert operations.membership_of(Person.objects.create_user("a@example.com", None, created_at=NOW)) is None


def test_a_refusal_names_the_role_the_deed_and_the_fix(administrator: "Membership") -> None:
    from keystead.server.organizations import operations

    operations.require(administrator, Permission.KEYS_REVOKE_ANY, "revoke it")
    administrator.role = Role.BILLING.value
    with pytest.raises(PolicyDenied) as caught:
        operations.require(administrator, Permission.KEYS_REVOKE_ANY, "revoke it")
    assert caught.value.message == "Your role billing may not revoke it."
    assert "keys:revoke_any" in str(caught.value.hint)


def test_an_organization_has_one_default_workspace(administrator: "Membership") -> None:
    from django.db import IntegrityError

    from keystead.server.organizations.models import Workspace

    with pytest.raises(IntegrityError):
        Workspace.objects.create(
            organization=administrator.organization, name="Second", is_default=True, created_at=NOW
        )
