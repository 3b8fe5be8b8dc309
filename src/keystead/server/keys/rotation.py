"""Replacing a key's secret: for as long as its owner chooses the old one works beside the new (G-05).

It stays one key: one identifier, one set of counters, one policy, one suspension, and revoking it ends both secrets at
once. The old secret ends by its time, which every process holds, so that no message is needed for it.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import F, Q

from keystead.errors import PolicyDenied, UsageError
from keystead.secret import Secret
from keystead.server.keys.models import ApiKey, Purpose
from keystead.server.keys.operations import RIGHT_TO_CREATE, may_revoke, record
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership
from keystead.wire import tokens

LONGEST: Final = timedelta(days=7)
"""How long two secrets may be live."""


def overlaps(key: ApiKey, now: datetime) -> bool:
    """Return whether the key's old secret still works beside the new one."""
    return key.old_digest is not None and key.old_until is not None and now < key.old_until and key.revoked_at is None


def rotate(
    key: ApiKey, by: Membership, overlap: timedelta, *, now: datetime, random_bytes: Callable[[int], bytes]
) -> Secret:
    """Give the key a new secret; the one it has works for ``overlap`` more, and not at all for none.

    Returns:
        The new secret, which exists nowhere else: show it once.

    Raises:
        PolicyDenied: somebody else owns the key, or its owner's role may no longer create such a one.
        UsageError: the overlap is out of bounds, a third secret would be live, the key has ended, or somebody else
            changed it meanwhile.
    """
    _check(key, by, overlap, now)
    secret, ends = tokens.mint(tokens.TokenKind.API_KEY, random_bytes), now + overlap
    old = {"old_digest": bytes(key.digest), "old_hint": key.hint, "old_until": ends, "old_used_at": F("used_at")}
    none = {"old_digest": None, "old_hint": "", "old_until": None, "old_used_at": None}
    with transaction.atomic():
        changed = ApiKey.objects.filter(id=key.id, digest=bytes(key.digest), revoked_at=None).update(
            digest=tokens.digest(secret),
            hint=secret[:8],
            used_at=None,
            secrets_changed_at=now,
            **(old if overlap else none),
        )
        if changed != 1:
            raise UsageError("The key was changed by somebody else meanwhile.", hint="Look at it again.")
        record(key, by, "api_key:rotate", now, {"new_hint": secret[:8], "old_until": ends.isoformat()})
        key.refresh_from_db()
    return Secret(secret)


def _check(key: ApiKey, by: Membership, overlap: timedelta, now: datetime) -> None:
    if key.member_id != by.id or key.organization_id != by.organization_id:
        raise PolicyDenied(
            "Only its owner may rotate a key, since whoever does gets a secret that acts as its owner.",
            hint="Ask its owner to, or revoke it.",
        )
    purpose = Purpose(key.purpose)
    organizations.require(by, RIGHT_TO_CREATE[purpose], f"rotate a key for: {purpose.label.lower()}")
    if not timedelta(0) <= overlap <= LONGEST:
        raise UsageError(f"The overlap is more than {LONGEST.days} days, or less than none.", hint="Choose one within.")
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        raise UsageError("The key has ended, so a new secret of it would not work.", hint="Create a new key.")
    if overlap and overlaps(key, now):
        raise UsageError(
            "Two secrets of this key are live already, and a third cannot be.",
            hint="End the old one first, or rotate without an overlap, which ends both.",
        )


def end_old(key: ApiKey, by: Membership, now: datetime) -> bool:
    """End the old secret before its time; returns False when there was none any more.

    Raises:
        PolicyDenied: it is another member's key, and ``by`` is no administrator of its organization.
    """
    if not may_revoke(key, by):
        raise PolicyDenied("You may end only your own keys' secrets.", hint="Ask an administrator to end this one.")
    ended = {"old_digest": None, "old_hint": "", "old_until": None, "old_used_at": None, "secrets_changed_at": now}
    with transaction.atomic():
        if ApiKey.objects.filter(id=key.id, old_digest=key.old_digest, old_until__gt=now).update(**ended) != 1:
            return False
        record(key, by, "api_key:end_old_secret", now, {"old_hint": key.old_hint})
    return True


def note_uses(uses: Mapping[bytes, float]) -> None:
    """Write down when secrets were last used, for those of keys that have two.

    Args:
        uses: Unix seconds by the secret's digest; a time before what is known changes nothing.
    """
    for digest, seconds in uses.items():
        at = datetime.fromtimestamp(seconds, UTC)
        for secret, used in (("digest", "used_at"), ("old_digest", "old_used_at")):
            earlier = Q(**{used: None}) | Q(**{f"{used}__lt": at})
            ApiKey.objects.filter(earlier, old_digest__isnull=False, **{secret: digest}).update(**{used: at})


def forget_ended(now: datetime) -> int:
    """Remove the hashes of old secrets whose time is over; returns how many."""
    ended = ApiKey.objects.filter(old_until__lte=now)
    return ended.update(old_digest=None, old_hint="", old_until=None, old_used_at=None)
