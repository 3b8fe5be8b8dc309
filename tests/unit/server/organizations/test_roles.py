"""The table of roles is complete, and both ways of asking it agree."""

import pytest

from keystead.server.organizations.roles import PERMISSIONS, Permission, Role, allows, granting


def test_every_role_has_a_row() -> None:
    assert set(PERMISSIONS) == set(Role)


@pytest.mark.parametrize("permission", Permission)
def test_an_unknown_role_grants_nothing(permission: Permission) -> None:
    assert not allows("owner", permission)
    assert not allows("", permission)


@pytest.mark.parametrize("permission", Permission)
def test_asking_for_the_roles_agrees_with_asking_each_role(permission: Permission) -> None:
    assert set(granting(permission)) == {role for role in Role if allows(role, permission)}
