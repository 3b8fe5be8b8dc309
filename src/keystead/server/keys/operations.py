"""Issuing, listing and revoking API keys, and the facts the gateway needs of them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet

from keystead.errors import PolicyDenied, UsageError
from keystead.secret import Secret
from keystead.server.audit import operations as audit
from keystead.server.changes import CHANGES, Change
from keystead.server.keys.models import ApiKey, Purpose
from keystead.server.organizations import memberships, roles
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership
from keystead.server.organizations.roles import Permission
from keystead.server.policy import Principal, PrincipalKind
from keystead.wire import ids, tokens

RIGHT_TO_CREATE = {Purpose.AGENT: Permission.KEYS_CREATE_AGENT, Purpose.ANY: Permission.KEYS_CREATE_ANY}
"""What a member needs to create a key of each purpose; a key never has a right its owner lacks (G-08)."""

_FACTS = ("digest", "id", "organization_id", "workspace_id", "member_id", "expires_at", "old_digest", "old_until")


def issue(
    member: Membership,
    name: str,
    *,
    purpose: Purpose = Purpose.AGENT,
    expires_at: datetime | None = None,
    now: datetime,
    random_bytes: Callable[[int], bytes],
) -> tuple[ApiKey, Secret]:
    """Create a key for ``member`` in the default workspace.

    Returns:
        The stored key, and the secret, which exists nowhere else: show it once.

    Raises:
        UsageError: the name will not do, or the expiry is not in the future.
        PolicyDenied: the member's role may not create a key of that purpose.
    """
    organizations.require(member, RIGHT_TO_CREATE[purpose], f"create a key for: {purpose.label.lower()}")
    _check(name.strip(), expires_at, now)
    secret = tokens.mint(tokens.TokenKind.API_KEY, random_bytes)
    with transaction.atomic():
        key = ApiKey.objects.create(
            organization=member.organization,
            workspace=organizations.default_workspace(member.organization),
            member=member,
            name=name.strip(),
            purpose=purpose.value,
            digest=tokens.digest(secret),
            hint=secret[:8],
            created_at=now,
            expires_at=expires_at,
        )
        record(key, member, "api_key:create", now)
    return key, Secret(secret)


def _check(name: str, expires_at: datetime | None, now: datetime) -> None:
    if not name or len(name) > 100 or not name.isprintable():
        raise UsageError(
            "A key needs a name of 1 to 100 printable characters.", hint="Name it after where it is used.", field="name"
        )
    if expires_at is not None and expires_at <= now:
        raise UsageError("A key cannot expire in the past.", hint="Choose a later day, or none.")


def revoke(key: ApiKey, by: Membership, now: datetime) -> bool:
    """End a key with all its secrets at once; returns False when somebody had revoked it before.

    Raises:
        PolicyDenied: it is another member's key, and ``by`` is no administrator of its organization.
    """
    if not may_revoke(key, by):
        raise PolicyDenied("You may revoke only your own keys.", hint="Ask an administrator to revoke this one.")
    with transaction.atomic():
        if ApiKey.objects.filter(id=key.id, revoked_at=None).update(revoked_at=now, revoked_by=by) != 1:
            return False
        record(key, by, "api_key:revoke", now)
    return True


def may_revoke(key: ApiKey, by: Membership) -> bool:
    """Return whether ``by`` may end the key, or a secret of it."""
    if key.organization_id != by.organization_id:
        return False
    return key.member_id == by.id or organizations.may(by, Permission.KEYS_REVOKE_ANY)


def record(key: ApiKey, by: Membership, action: str, now: datetime, details: Mapping[str, str] | None = None) -> None:
    """Write the audit event, and tell the gateway once the change is committed."""
    audit.record(
        organization=key.organization,
        actor=ids.dump("membership", by.id),
        action=action,
        target=key.wire_id,
        at=now,
        details={"name": key.name, "hint": key.hint, "owner": ids.dump("membership", key.member_id), **(details or {})},
    )
    transaction.on_commit(partial(CHANGES.publish, Change("api_key", key.wire_id)))


def list_for(member: Membership) -> QuerySet[ApiKey]:
    """Return the keys ``member`` may see, newest first: their own, or everyone's for an administrator.

    Each has ``owner_stands``: that its owner's membership still carries it, and ``owner_may``: that their role does.
    """
    keys = ApiKey.objects.filter(organization=member.organization_id).select_related("member__person", "workspace")
    keys = keys.annotate(
        owner_stands=ExpressionWrapper(~memberships.lost("member__"), BooleanField()),
        owner_may=ExpressionWrapper(_within_role(), BooleanField()),
    )
    if not organizations.may(member, Permission.KEYS_REVOKE_ANY):
        keys = keys.filter(member=member)
    return keys.order_by("-created_at", "-id")


def find(member: Membership, key_id: str) -> ApiKey | None:
    """Return the key with that wire identifier if ``member`` may see it."""
    try:
        return list_for(member).filter(id=ids.parse("api_key", key_id)).first()
    except ValueError:
        return None


def usable(digest: bytes, now: datetime) -> ApiKey | None:
    """Return the key with its owner, for what the control plane answers; None when it may not be used now.

    Args:
        digest: :func:`keystead.wire.tokens.digest` of the secret.
        now: the time at which neither the key nor that secret must have ended.
    """
    found = _usable().filter(Q(digest=digest) | Q(old_digest=digest, old_until__gt=now))
    key = found.select_related("member__organization", "member__person").first()
    return None if key is None or (key.expires_at is not None and key.expires_at <= now) else key


def principal_of(key: ApiKey) -> Principal:
    """Return whom a key's requests are counted for."""
    return next(_secrets(tuple(getattr(key, name) for name in _FACTS)))[1]


def active_facts() -> Iterator[tuple[bytes, Principal]]:
    """Yield every secret of every usable key, in one query and without model instances.

    Returns:
        The secret's digest and the key's principal; of two secrets of a key the newer comes first, and the principal of
        the older ends with it.
    """
    for row in _usable().values_list(*_FACTS).iterator():
        yield from _secrets(row)


def facts(key_id: str) -> list[tuple[bytes, Principal]]:
    """Return the same for one key; nothing when it is unknown, revoked, or its owner may not use models."""
    try:
        row = _usable().filter(id=ids.parse("api_key", key_id)).values_list(*_FACTS).first()
    except ValueError:
        return []
    return [] if row is None else list(_secrets(row))


def facts_of(member_id: str) -> list[tuple[bytes, Principal]]:
    """Return the same for every usable key of one member."""
    try:
        member = ids.parse("membership", member_id)
    except ValueError:
        return []
    return [one for row in _usable().filter(member=member).values_list(*_FACTS) for one in _secrets(row)]


def changed_since(moment: float) -> Iterator[tuple[str, list[tuple[bytes, Principal]]]]:
    """Yield every key that changed at ``moment`` or later, by its wire identifier, and the same for it.

    A key changes when it is created or revoked, when its secrets do before their time, and whenever its owner's
    membership does. Each is a query of its own, since each has an index and their disjunction has none.

    Args:
        moment: Unix seconds.
    """
    since = datetime.fromtimestamp(moment, UTC)
    keys = ApiKey.objects.annotate(usable=ExpressionWrapper(_is_usable(), BooleanField()))
    for changed in ("created_at", "revoked_at", "secrets_changed_at", "member__changed_at"):
        for *row, usable in keys.filter(**{f"{changed}__gte": since}).values_list(*_FACTS, "usable"):
            secrets = list(_secrets(tuple(row)))
            yield secrets[0][1].id, secrets if usable else []


def _usable() -> QuerySet[ApiKey]:
    return ApiKey.objects.filter(_is_usable())


def _is_usable() -> Q:
    """Keys whose owner may still have such a key and use models; expiry is the caller's to check, at every request."""
    return Q(~memberships.lost("member__"), _within_role(), revoked_at=None)


def _within_role() -> Q:
    """Keys with no right that their owner's role lacks now, whatever it was when they were made (G-08)."""
    users = set(roles.granting(Permission.MODELS_USE))
    held = Q()
    for purpose, right in RIGHT_TO_CREATE.items():
        having = [role.value for role in roles.granting(right) if role in users]
        held |= Q(purpose=purpose.value, member__role__in=having)
    return held


def _secrets(row: tuple[Any, ...]) -> Iterator[tuple[bytes, Principal]]:
    """Yield a key's secret, and the one before it while that is kept: one identity, which with that one ends sooner."""
    digest, key, organization, workspace, member, expires_at, old_digest, old_until = row
    expires = None if expires_at is None else expires_at.timestamp()
    principal = Principal(
        kind=PrincipalKind.API_KEY,
        id=ids.dump("api_key", key),
        organization_id=ids.dump("organization", organization),
        workspace_id=ids.dump("workspace", workspace),
        member_id=ids.dump("membership", member),
        expires_at=expires,
    )
    yield bytes(digest), principal
    if old_digest is not None:
        ends = old_until.timestamp()
        yield bytes(old_digest), replace(principal, expires_at=ends if expires is None else min(ends, expires))
