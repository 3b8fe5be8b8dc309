"""What each role may do: one table."""

from enum import StrEnum
from typing import Final

from keystead.errors import UsageError


class Role(StrEnum):
    """A member's role in an organization."""

    ADMIN = "admin"
    DEVELOPER = "developer"
    AGENT_USER = "agent_user"
    BILLING = "billing"


class Permission(StrEnum):
    """``resource:action``, alphabetical."""

    CLIENTS_MANAGE = "clients:manage"
    COMPLIANCE_MANAGE = "compliance:manage"
    FEDERATION_MANAGE = "federation:manage"
    KEYS_CREATE_AGENT = "keys:create_agent"
    KEYS_CREATE_ANY = "keys:create_any"
    KEYS_REVOKE_ANY = "keys:revoke_any"
    LIMITS_MANAGE = "limits:manage"
    MEMBERS_MANAGE = "members:manage"
    MEMBERS_READ = "members:read"
    MODELS_USE = "models:use"
    POLICIES_MANAGE = "policies:manage"
    SCIM_MANAGE = "scim:manage"
    SIGN_INS_REVOKE_ANY = "sign_ins:revoke_any"
    SERVICE_ACCOUNTS_MANAGE = "service_accounts:manage"
    SSO_MANAGE = "sso:manage"
    TERMS_ACCEPT = "terms:accept"
    UPSTREAMS_MANAGE = "upstreams:manage"
    USAGE_READ_ALL = "usage:read_all"


PERMISSIONS: Final[dict[Role, frozenset[Permission]]] = {
    Role.ADMIN: frozenset(Permission),
    Role.DEVELOPER: frozenset({Permission.KEYS_CREATE_AGENT, Permission.KEYS_CREATE_ANY, Permission.MODELS_USE}),
    Role.AGENT_USER: frozenset({Permission.KEYS_CREATE_AGENT, Permission.MODELS_USE}),
    Role.BILLING: frozenset({Permission.MEMBERS_READ, Permission.USAGE_READ_ALL}),
}


def allows(role: str, permission: Permission) -> bool:
    """Return whether ``role`` grants ``permission``; an unknown role grants nothing."""
    return any(known == role and permission in granted for known, granted in PERMISSIONS.items())


def granting(permission: Permission) -> tuple[Role, ...]:
    """Return the roles that grant ``permission``, for questions asked of the database."""
    return tuple(role for role, granted in PERMISSIONS.items() if permission in granted)


def named(name: str) -> Role:
    """Return the role of that name.

    Raises:
        UsageError: there is none.
    """
    try:
        return Role(name)
    except ValueError as error:
        raise UsageError(f"There is no role {name}.", hint=f"The roles are: {', '.join(Role)}.") from error


def covers(role: str, other: str) -> bool:
    """Return whether ``role`` may do all that ``other`` may, so that its members may give and take ``other``.

    Roles are no ladder: each of two may have what the other lacks. An unknown role covers nothing, and nothing
    covers it.
    """
    if role not in PERMISSIONS or other not in PERMISSIONS:
        return False
    return PERMISSIONS[Role(role)] >= PERMISSIONS[Role(other)]
