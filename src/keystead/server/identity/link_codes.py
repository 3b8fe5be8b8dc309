"""One-time codes in links that people are sent: made, looked at, used up once.

A code stands in the link's fragment, which no browser sends: no log, no proxy and no ``Referer`` has it. Of a code only
its hash is stored.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from keystead.errors import CredentialRejected
from keystead.server.identity.models import LinkCode, Person, Purpose
from keystead.wire import tokens

LIFETIME: Final = timedelta(hours=1)
KEPT: Final = timedelta(days=1)
"""How long an expired one is kept, to say what became of it."""

_ASK_AGAIN: Final = "Ask for a new link."


def make(person: Person, purpose: Purpose, email: str, now: datetime, random_bytes: Callable[[int], bytes]) -> str:
    """Return a new code; those before it go on working, so that nobody can spoil another's link by asking for one.

    Args:
        person: whom it is for.
        purpose: what for.
        email: where it is mailed to; empty if it is not.
        now: when.
        random_bytes: the source of randomness.
    """
    code = tokens.mint(tokens.TokenKind.LINK_CODE, random_bytes)
    LinkCode.objects.create(
        digest=tokens.digest(code),
        person=person,
        purpose=purpose.value,
        email=email,
        created_at=now,
        expires_at=now + LIFETIME,
    )
    return code


def look(code: str, now: datetime) -> LinkCode:
    """Return what a code is for, and do not use it up.

    Raises:
        CredentialRejected: it is malformed, unknown, expired or used.
    """
    kind = tokens.parse(code.strip())
    if isinstance(kind, tokens.TokenFault):
        raise CredentialRejected(f"This is not the code of a link: {kind.reason}.", hint="Open the whole link.")
    return of_digest(tokens.digest(code.strip()), now)


def of_digest(digest: bytes, now: datetime) -> LinkCode:
    """Return the code with that hash.

    Raises:
        CredentialRejected: there is none, or it is expired or used.
    """
    found = LinkCode.objects.select_related("person").filter(digest=digest, person__is_active=True).first()
    if found is None:
        raise CredentialRejected("This link is unknown, or it was made void since.", hint=_ASK_AGAIN)
    if found.used_at is not None:
        raise CredentialRejected("This link has been used.", hint=_ASK_AGAIN)
    if found.expires_at <= now:
        raise CredentialRejected("This link has expired; links work for one hour.", hint=_ASK_AGAIN)
    return found


def use_up(link: LinkCode, now: datetime) -> None:
    """Consume a code by compare-and-swap: of many at once exactly one passes.

    Raises:
        CredentialRejected: somebody was faster, or it has ended.
    """
    fresh = LinkCode.objects.filter(pk=link.pk, used_at=None, expires_at__gt=now)
    if fresh.update(used_at=now) != 1:
        raise CredentialRejected("This link has been used, or has expired.", hint=_ASK_AGAIN)


def void(person: Person, now: datetime) -> None:
    """Let every code of a person end: what it was made for has changed."""
    LinkCode.objects.filter(person=person, used_at=None).update(used_at=now)
