"""An organization with more than one person in it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from keystead.server.organizations.roles import Role

if TYPE_CHECKING:
    from keystead.server.organizations.models import Membership

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
Add = Callable[..., "Membership"]


@pytest.fixture
def add(administrator: "Membership") -> Add:
    """Return what adds somebody: by name, with a role, into an organization other than Example if one is given."""
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations

    def added(name: str, role: str = "developer", organization: object = None) -> "Membership":
        email = f"{name.lower()}@example.com"
        person = Person.objects.create_user(email, None, name=name, created_at=NOW)
        return operations.add_member(organization or administrator.organization, person, Role(role), NOW)  # type: ignore[arg-type]

    return added


@pytest.fixture
def bo(add: Add) -> "Membership":
    return add("Bo")
