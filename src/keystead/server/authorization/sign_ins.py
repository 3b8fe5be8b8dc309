"""The life of a sign-in: begun once, carried on by rotating refresh tokens, ended for good."""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Max, QuerySet

from keystead.server.audit import operations as audit
from keystead.server.authorization import consents, lifetimes, logout_notices
from keystead.server.authorization.checks import standing
from keystead.server.authorization.models import AuthorizationCode, Client, DeviceCode, Grant, RefreshToken
from keystead.server.authorization.surroundings import server
from keystead.server.changes import CHANGES, Change
from keystead.server.identifiers import new_id
from keystead.server.identity.models import Person
from keystead.server.keys.models import ServiceAccount
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership
from keystead.server.organizations.roles import Permission
from keystead.server.sealing import derived_key, derived_keys
from keystead.server.statements import fresh, insert, store
from keystead.wire import ids, tokens
from keystead.wire.tokens import TokenKind

RandomBytes = Callable[[int], bytes]

SIGNED_OUT: Final = "signed_out"
"""The reason of an end that the client itself asked for."""


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What a request was worth: a sign-in, the scope asked for, and the next refresh token if there is one.

    Attributes:
        nonce: for the ID token; None when there is to be none, because the sign-in goes on rather than begins.
        key_thumbprint: the key that the request had to be signed with, or empty.
        ticket: what can end the sign-in and do nothing else; given out once, when it begins (R-16).
    """

    grant: Grant
    scope: str
    refresh_token: str | None
    nonce: str | None = None
    key_thumbprint: str = ""
    ticket: str | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """What a person agreed to: this client may act for this membership within this scope.

    Attributes:
        code: what carried the agreement, which says how and when the person had signed in.
    """

    client: Client
    membership: Membership
    scope: str
    code: AuthorizationCode | DeviceCode | None = None


_SUCCESSOR: Final = "refresh token successor"


def begin(approval: Approval, label: str, now: datetime, random_bytes: RandomBytes = secrets.token_bytes) -> Redeemed:
    """Store a new sign-in with its first refresh token; call it inside the transaction that uses the code up."""
    member, code = approval.membership, approval.code
    ticket = tokens.mint(TokenKind.REVOCATION_TICKET, random_bytes)
    grant = Grant.objects.create(
        organization=member.organization,
        membership=member,
        client=approval.client,
        scope=approval.scope,
        label=label,
        authenticated_at=None if code is None else code.authenticated_at,
        authentication_methods="" if code is None else code.authentication_methods,
        ticket_digest=tokens.digest(ticket),
        created_at=now,
        expires_at=now + lifetimes.SIGN_IN,
        owes_logout=logout_notices.wanted(approval.client, approval.scope),
    )
    audit.record(
        organization=member.organization,
        actor=ids.dump("person", member.person_id),
        action="grant:create",
        target=ids.dump("grant", grant.id),
        at=now,
        details={"client": approval.client.client_id},
    )
    token = tokens.mint(TokenKind.REFRESH_TOKEN, random_bytes)
    keep(grant, token, 1, now)
    return Redeemed(grant, grant.scope, token, nonce="", ticket=ticket)


@dataclass(frozen=True, slots=True)
class ServiceApproval:
    """What a client, or a federation rule, lets a service account do for a while.

    Attributes:
        lifetime: at most so long; the server's own limit holds beside it.
        because: what the audit record says of why, such as the rule's identifier.
        act: who acts for the account, if not it by itself (RFC 8693).
    """

    client: Client
    account: ServiceAccount
    scope: str
    lifetime: timedelta
    because: Mapping[str, str]
    act: dict[str, Any] | None = None


def begin_service(approval: ServiceApproval, label: str, now: datetime) -> Redeemed:
    """Store a short sign-in of a service account: one access token and no refresh token."""
    account = approval.account
    grant = insert(
        fresh(
            Grant,
            id=new_id(),
            organization=account.organization,
            service_account=account,
            client=approval.client,
            scope=approval.scope,
            label=label,
            act=approval.act,
            created_at=now,
            expires_at=now + min(approval.lifetime, timedelta(seconds=server().access_token_seconds)),
        )
    )
    audit.record(
        organization=account.organization,
        actor=account.wire_id,
        action="grant:create",
        target=ids.dump("grant", grant.id),
        at=now,
        details={"client": approval.client.client_id, **approval.because},
    )
    return Redeemed(grant, grant.scope, None)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a token was exchanged for: a sign-in below another one, which ends with it at the latest."""

    client: Client
    parent: Grant
    scope: str
    ends: datetime
    act: dict[str, Any]


def begin_exchanged(approval: Exchange, label: str, now: datetime) -> Redeemed:
    """Store a short sign-in of whoever the parent belongs to: one access token and no refresh token."""
    parent = approval.parent
    grant = Grant.objects.create(
        organization=parent.organization,
        membership=parent.membership,
        service_account=parent.service_account,
        client=approval.client,
        parent=parent,
        act=approval.act,
        scope=approval.scope,
        label=label,
        created_at=now,
        expires_at=min(approval.ends, parent.expires_at),
    )
    audit.record(
        organization=parent.organization,
        actor=approval.client.wire_id,
        action="grant:exchange",
        target=ids.dump("grant", grant.id),
        at=now,
        details={
            "client": approval.client.client_id,
            "parent": ids.dump("grant", parent.id),
            "subject": parent.subject_id,
            "actor": approval.act["sub"],
        },
    )
    return Redeemed(grant, grant.scope, None)


def of_wire_id(grant_id: str) -> Grant | None:
    """Return the sign-in ``gra_…`` with all that is asked of it, or None."""
    try:
        key = ids.parse("grant", grant_id)
    except ValueError:
        return None
    related = Grant.objects.select_related("membership__person", "service_account__workspace", "organization", "client")
    return related.filter(pk=key).first()


def keep(grant: Grant, token: str, generation: int, now: datetime) -> None:
    """Store one generation of a sign-in's refresh token, as its hash."""
    store(
        RefreshToken,
        digest=tokens.digest(token),
        organization_id=grant.organization_id,
        grant_id=grant.id,
        generation=generation,
        created_at=now,
        expires_at=now + timedelta(days=server().refresh_token_days),
    )


def successor(token: str) -> str:
    """Return the refresh token that follows ``token``: always the same one.

    It is derived from the token itself under a key of the installation. So a replay within the window gets the
    same answer although only hashes are stored, and neither the database nor the key alone tells it.
    """
    return _following(token, derived_key(_SUCCESSOR))


def kept_successor(token: str) -> str:
    """Return the one that was given before; it may have been derived under the secret key before today's."""
    first, *others = (_following(token, key) for key in derived_keys(_SUCCESSOR))
    kept = (one for one in others if RefreshToken.objects.filter(digest=tokens.digest(one)).exists())
    return next(kept, first)


def _following(token: str, key: bytes) -> str:
    return tokens.mint(TokenKind.REFRESH_TOKEN, lambda _: hmac.new(key, token.encode(), hashlib.sha256).digest())


def living(member: Membership, now: datetime) -> QuerySet[Grant]:
    """Return the sign-ins ``member`` may see and end, newest use first: their own, or everyone's for an administrator.

    Each has ``last_used_at``: when it was begun or last renewed. Nothing is written for a request (no write per use).
    """
    grants = Grant.objects.filter(organization=member.organization_id, revoked_at=None, expires_at__gt=now)
    if not organizations.may(member, Permission.SIGN_INS_REVOKE_ANY):
        grants = grants.filter(membership=member)
    grants = grants.exclude(standing.LOST)
    used = grants.annotate(
        last_used_at=Max("refresh_tokens__created_at"), renewable_until=Max("refresh_tokens__expires_at")
    )
    return used.filter(renewable_until__gt=now).select_related("client", "membership__person").order_by("-last_used_at")


def of_person(person: Person, now: datetime) -> QuerySet[Grant]:
    """Return a person's sign-ins in all their organizations, the newest first.

    Those exchanged from one of them are left out: they end with it.
    """
    theirs = Grant.objects.filter(membership__person=person, parent=None, revoked_at=None, expires_at__gt=now)
    renewable = theirs.exclude(standing.LOST).annotate(until=Max("refresh_tokens__expires_at")).filter(until__gt=now)
    return renewable.select_related("client", "membership", "organization").order_by("-created_at")


def find(member: Membership, grant_id: str, now: datetime) -> Grant | None:
    """Return the living sign-in with that wire identifier if ``member`` may end it."""
    try:
        return living(member, now).filter(id=ids.parse("grant", grant_id)).first()
    except ValueError:
        return None


def end(grant: Grant, actor: str, reason: str, now: datetime) -> bool:
    """Revoke a sign-in; returns whether it was still alive.

    Its refresh tokens and what was exchanged from it end with it, its client is told if it wants to be, and
    the gateway hears of it once the transaction has committed.

    Args:
        grant: the sign-in.
        actor: wire identifier of who ended it, for the audit record.
        reason: one word for the audit record; for any but :data:`SIGNED_OUT` the person is asked anew next time.
        now: when.
    """
    with transaction.atomic():
        if not Grant.objects.filter(pk=grant.pk, revoked_at=None).update(revoked_at=now):
            return False
        wire_id = ids.dump("grant", grant.id)
        audit.record(
            organization=grant.organization,
            actor=actor,
            action="grant:revoke",
            target=wire_id,
            at=now,
            details={"reason": reason},
        )
        if grant.membership is not None and reason != SIGNED_OUT:
            consents.forget(grant.client, grant.membership)
        logout_notices.announce(grant, now)
        transaction.on_commit(lambda: CHANGES.publish(Change("grant", wire_id)))
        for child in grant.children.select_related("organization").filter(revoked_at=None):
            end(child, actor, reason, now)
    return True
