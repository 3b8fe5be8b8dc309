"""Removing what has ended: codes, refresh tokens, sign-ins, browser sessions, invitations, replaced keys.

Nothing here decides whether something is still valid; every reader looks at the time itself. So it does not matter
when a sweep runs, nor whether several servers run one at once.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from django.db.models import Model, Q, QuerySet

from keystead.server.authorization import lifetimes
from keystead.server.authorization.models import (
    AuthorizationCode,
    DeviceCode,
    Grant,
    PushedRequest,
    RefreshToken,
    SigningKey,
    SpentAssertion,
)
from keystead.server.identity import browser_sessions, link_codes
from keystead.server.identity.models import CacheEntry, LinkCode
from keystead.server.organizations.models import Invitation

_BATCH: Final = 500
"""Rows a transaction: a database that lets one writer in at a time is never held for long."""


def sweep(now: datetime) -> dict[str, int]:
    """Remove everything that ended long enough ago; returns how many of each."""
    return {name: sum(_batches(ended(now))) for name, ended in _ENDED.items()}


def _batches(rows: QuerySet[Any]) -> Iterator[int]:
    while keys := list(rows.values_list("pk", flat=True)[:_BATCH]):
        rows.model._default_manager.filter(pk__in=keys).delete()
        yield len(keys)


def _codes(model: type[Model]) -> Callable[[datetime], QuerySet[Any]]:
    return lambda now: model._default_manager.filter(expires_at__lt=now - lifetimes.USED_CODES_KEPT)


def _refresh_tokens(now: datetime) -> QuerySet[RefreshToken]:
    """Those past their time, and all of a sign-in that has ended; a used one in time must stay, to catch its reuse."""
    before = now - lifetimes.USED_CODES_KEPT
    ended = Q(grant__revoked_at__lt=before) | Q(grant__expires_at__lt=before)
    return RefreshToken.objects.filter(Q(expires_at__lt=before) | ended)


def _sign_ins(now: datetime) -> QuerySet[Grant]:
    before = now - lifetimes.ENDED_KEPT
    services = Q(service_account__isnull=False, expires_at__lt=now - lifetimes.SERVICE_SIGN_INS_KEPT)
    return Grant.objects.filter(Q(revoked_at__lt=before) | Q(expires_at__lt=before) | services)


_ENDED: Final[Mapping[str, Callable[[datetime], QuerySet[Any]]]] = {
    "authorization_codes": _codes(AuthorizationCode),
    "device_codes": _codes(DeviceCode),
    "pushed_requests": _codes(PushedRequest),
    "refresh_tokens": _refresh_tokens,
    "sign_ins": _sign_ins,
    "spent_assertions": lambda now: SpentAssertion.objects.filter(expires_at__lt=now),
    "browser_sessions": browser_sessions.expired,
    "cache_entries": lambda now: CacheEntry.objects.filter(ends_at__lt=now.timestamp()),
    "link_codes": lambda now: LinkCode.objects.filter(expires_at__lt=now - link_codes.KEPT),
    "invitations": lambda now: Invitation.objects.filter(
        Q(accepted_at=None, expires_at__lt=now - lifetimes.ENDED_KEPT) | Q(revoked_at__lt=now - lifetimes.ENDED_KEPT)
    ),
    "signing_keys": lambda now: SigningKey.objects.filter(published_until__lt=now - lifetimes.ENDED_KEPT),
}
"""In an order in which nothing that is removed is still pointed at."""
