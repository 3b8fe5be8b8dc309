"""Which ended sign-ins their clients are still to be told of (OpenID Connect Back-Channel Logout 1.0 section 2.3).

A sign-in owes the notice from its beginning, if its client has an address for it. Whoever sees it end takes the debt
back by compare-and-swap and stores the notice in the same transaction: so there is one, and it is not lost. Some ends
are nobody's act, such as the passing of time; :func:`announce_ended` looks for those.
"""

from datetime import datetime
from functools import partial
from typing import Final

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from keystead.server.authorization.checks import standing
from keystead.server.authorization.models import Client, Grant, LogoutNotice, RefreshToken
from keystead.server.statements import insert
from keystead.server.transactions import whole
from keystead.wire import ids

BATCH: Final = 500
"""Sign-ins a round, so that it is never long before notices are sent."""


def wanted(client: Client, scope: str) -> bool:
    """Return whether the client is to hear of the end: it has an address, and an ID token, which names the sign-in."""
    return bool(client.backchannel_logout_uri) and "openid" in scope.split()


def announce(grant: Grant, now: datetime) -> bool:
    """Store the notice of a sign-in that ends, inside the transaction of its end; returns whether one was owed."""
    if not grant.owes_logout or not Grant.objects.filter(pk=grant.pk, owes_logout=True).update(owes_logout=False):
        return False
    insert(
        LogoutNotice(
            organization_id=grant.organization_id,
            subject=grant.subject_id,
            sid=ids.dump("grant", grant.id),
            audience=grant.client.client_id,
            address=grant.client.backchannel_logout_uri,
            created_at=now,
            due_at=now,
        )
    )
    return True


def announce_ended(now: datetime) -> int:
    """Store the notices of sign-ins that have ended without :func:`~.sign_ins.end`; returns how many."""
    ended = list(_ended(now).select_related("client", "membership").order_by("id")[:BATCH])
    return sum(whole(partial(_announce, grant, now)) for grant in ended)


def _announce(grant: Grant, now: datetime) -> bool:
    with transaction.atomic():
        return announce(grant, now)


def _ended(now: datetime) -> QuerySet[Grant]:
    """Return what has ended and is owed a notice: revoked, past its time, not renewed in time, or its member left."""
    renewable = Exists(RefreshToken.objects.filter(grant=OuterRef("pk"), expires_at__gt=now))
    over = Q(revoked_at__isnull=False) | Q(expires_at__lte=now) | standing.LOST | ~Q(renewable)
    return Grant.objects.filter(over, owes_logout=True)
