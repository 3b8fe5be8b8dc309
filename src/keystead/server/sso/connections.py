"""Setting connections up: what an organization's own administrator does."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from keystead.errors import UsageError
from keystead.secret import Secret
from keystead.server.audit import operations as audit
from keystead.server.identity.models import Person
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership, Organization
from keystead.server.organizations.roles import Permission
from keystead.server.sealing import seal, unseal
from keystead.server.sso.admission import Rules
from keystead.server.sso.models import Connection, Identity, Kind
from keystead.server.sso.oidc_settings import OidcSettings
from keystead.server.sso.openid import Metadata, Registration
from keystead.server.sso.sessions import end_sessions
from keystead.wire import ids

CLIENT_SECRET = "sso client secret"


def require(member: Membership) -> None:
    """Check that ``member`` may set sign-in up.

    Raises:
        PolicyDenied: they may not.
    """
    organizations.require(member, Permission.SSO_MANAGE, "set up single sign-on")


def all_of(member: Membership) -> Iterable[Connection]:
    """Return the organization's connections, oldest first."""
    return _there().filter(organization=member.organization).order_by("created_at", "id")


def find(member: Membership, connection_id: str) -> Connection | None:
    """Return the connection ``con_…`` of the member's own organization, or None."""
    return _by_id(connection_id, organization=member.organization)


def any_one(connection_id: str) -> Connection | None:
    """Return the connection ``con_…``, enabled or not, or None."""
    return _by_id(connection_id)


def enabled(connection_id: str) -> Connection | None:
    """Return the connection ``con_…`` if people sign in through it, or None."""
    return _by_id(connection_id, enabled_at__isnull=False)


def enabled_for(organization: Organization) -> Iterable[Connection]:
    """Return the connections through which an organization's people sign in."""
    return _there().filter(organization=organization, enabled_at__isnull=False).order_by("created_at", "id")


def _there() -> QuerySet[Connection]:
    return Connection.objects.select_related("organization").filter(deleted_at=None)


def _by_id(connection_id: str, **more: Any) -> Connection | None:
    try:
        key = ids.parse("connection", connection_id)
    except ValueError:
        return None
    return _there().filter(pk=key, **more).first()


@transaction.atomic
def create(member: Membership, kind: Kind, name: str, settings: dict[str, Any], now: datetime) -> Connection:
    """Store a new connection; nobody signs in through it yet.

    Raises:
        PolicyDenied: the member may not.
    """
    require(member)
    connection = Connection.objects.create(
        organization=member.organization,
        kind=kind.value,
        name=name.strip(),
        settings=settings,
        rules=Rules().to_json(),
        created_at=now,
    )
    _record(connection, member, "create", now, kind=kind.value, name=connection.name)
    return connection


@transaction.atomic
def update(member: Membership, connection: Connection, settings: dict[str, Any], rules: Rules, now: datetime) -> None:
    """Store other settings and rules.

    Raises:
        PolicyDenied: the member may not.
    """
    require(member)
    changed = [
        name
        for name, before, after in (
            ("settings", connection.settings, settings),
            ("rules", connection.rules, rules.to_json()),
        )
        if before != after
    ]
    connection.settings, connection.rules = settings, rules.to_json()
    connection.save(update_fields=["settings", "rules"])
    _record(connection, member, "update", now, changed=", ".join(changed))


@transaction.atomic
def set_secret(member: Membership, connection: Connection, secret: Secret, now: datetime) -> None:
    """Keep another client secret, encrypted.

    Raises:
        PolicyDenied: the member may not.
    """
    require(member)
    connection.sealed_secret = seal(CLIENT_SECRET, secret)
    connection.save(update_fields=["sealed_secret"])
    _record(connection, member, "replace_secret", now)


@transaction.atomic
def switch(member: Membership, connection: Connection, *, on: bool, now: datetime) -> None:
    """Let people sign in through the connection, or no longer.

    Switched off, it also ends the browsers' sessions of people without a password, and, at their next refresh, the
    sign-ins of agents that came through it.

    Raises:
        PolicyDenied: the member may not.
        UsageError: it is not complete.
    """
    require(member)
    if on and connection.kind == Kind.OIDC and not connection.settings.get("client_id"):
        raise UsageError("The client id is missing.", hint="Enter what the identity provider gave you, and save.")
    connection.enabled_at = now if on else None
    connection.disabled_at = None if on else now
    connection.save(update_fields=["enabled_at", "disabled_at"])
    if not on:
        end_sessions(Person.objects.filter(identities__connection=connection))
    _record(connection, member, "enable" if on else "disable", now)


@transaction.atomic
def delete(member: Membership, connection: Connection, now: datetime) -> None:
    """Remove the connection, its secrets and what it knows of people; the people and their memberships stay.

    Agents that were signed in through it are refused at their next refresh, as with :func:`switch`.

    Raises:
        PolicyDenied: the member may not.
    """
    require(member)
    _record(connection, member, "delete", now, name=connection.name)
    Connection.objects.filter(pk=connection.pk).update(
        deleted_at=now, disabled_at=now, enabled_at=None, settings={}, rules={}, sealed_secret=""
    )
    Identity.objects.filter(connection=connection).update(sealed_refresh_token="")
    end_sessions(Person.objects.filter(identities__connection=connection))


def registration(connection: Connection, base_url: str) -> Registration:
    """Return how the identity provider knows this server.

    Raises:
        ConfigurationError: the client secret cannot be opened.
    """
    sealed = connection.sealed_secret
    return Registration(
        client_id=connection.settings.get("client_id", ""),
        client_secret=unseal(CLIENT_SECRET, sealed) if sealed else None,
        redirect_uri=redirect_uri(connection, base_url),
    )


def redirect_uri(connection: Connection, base_url: str) -> str:
    """Return where the identity provider sends people back: one address per connection (RFC 9700 section 4.4.2)."""
    return f"{base_url}/oauth/callback/{connection.wire_id}"


def with_metadata(connection: Connection, metadata: Metadata) -> dict[str, Any]:
    """Return the connection's settings with what discovery says now."""
    return replace(OidcSettings.from_json(connection.settings), metadata=metadata).to_json()


def _record(connection: Connection, member: Membership, verb: str, now: datetime, **details: str) -> None:
    audit.record(
        organization=connection.organization,
        actor=ids.dump("person", member.person_id),
        action=f"connection:{verb}",
        target=connection.wire_id,
        at=now,
        details={**details},
    )
