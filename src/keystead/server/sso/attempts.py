"""A sign-in under way: begun in one browser, finished in the same one, once.

``state``, ``nonce`` and the PKCE verifier are one random value and two derivations of it under a key of the
installation, so that nothing needs to be stored that would help a reader of the database.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from django.db import transaction
from django.utils.http import url_has_allowed_host_and_scheme

from keystead.secret import Secret
from keystead.server.sealing import derived_key
from keystead.server.sso.faults import SignInFault, untrusted
from keystead.server.sso.models import Attempt, Connection
from keystead.server.sso.openid import Proof
from keystead.wire import pkce

LIFETIME: Final = timedelta(minutes=10)
KEPT: Final = timedelta(hours=1)
CLOCKS: Final = timedelta(seconds=60)
"""By how much the identity provider's clock may be behind ours."""

AFTER: Final = "keystead_after"
"""Stands, signed, in the address of a program's request that wants a new sign-in: when this server asked for one."""

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Wish:
    """What an attempt is for: where to go afterwards, or only to see what would happen.

    Attributes:
        again: the identity provider is to ask who is there even where it knows.
    """

    next_path: str
    trial: bool = False
    again: bool = False


def begin(
    connection: Connection, browser: str, wish: Wish, now: datetime, random_bytes: RandomBytes = secrets.token_bytes
) -> str:
    """Store a new attempt and return its ``state``; ``browser`` is a secret of the browser's session."""
    state = random_bytes(32).hex()
    _store(connection, state, _digest(browser), wish, now)
    return state


def arrive(attempt: Attempt, said: dict[str, Any], now: datetime) -> None:
    """Keep what a SAML response said until the browser that waits for it comes by, once.

    Raises:
        SignInFault: something arrived before, or it is too late.
    """
    waiting = Attempt.objects.filter(pk=attempt.pk, arrived__isnull=True, used_at=None, expires_at__gt=now)
    if not waiting.update(arrived=said):
        raise _finished()


def begin_elsewhere(connection: Connection, said: dict[str, Any], next_path: str, now: datetime) -> Attempt:
    """Store an attempt that the identity provider began: no browser is bound to it yet."""
    attempt = _store(connection, secrets.token_hex(32), b"", Wish(next_path), now)
    arrive(attempt, said, now)
    return attempt


def _store(connection: Connection, state: str, browser: bytes, wish: Wish, now: datetime) -> Attempt:
    with transaction.atomic():
        Attempt.objects.filter(expires_at__lt=now - KEPT).delete()
        return Attempt.objects.create(
            digest=_digest(state),
            connection=connection,
            browser=browser,
            next_path=local_path(wish.next_path),
            trial=wish.trial,
            again=wish.again,
            created_at=now,
            expires_at=now + LIFETIME,
        )


def proof(state: str) -> Proof:
    """Return what goes to the identity provider with this ``state``."""
    return Proof(state, _derived("nonce", state), pkce.challenge(verifier(state)))


def verifier(state: str) -> Secret:
    """Return the PKCE verifier of an attempt: whoever sees the ``state`` cannot make it."""
    return Secret(_derived("verifier", state))


def request_id(state: str) -> str:
    """Return the identifier of the SAML request that belongs to ``state``."""
    return f"_{_digest(state).hex()}"


def of_state(connection: Connection, state: str) -> Attempt:
    """Return the attempt that ``state`` names.

    Raises:
        SignInFault: there is none for this connection.
    """
    return _found(connection, _digest(state))


def of_request_id(connection: Connection, request_id: str) -> Attempt:
    """Return the attempt whose SAML request was ``request_id``.

    Raises:
        SignInFault: there is none for this connection.
    """
    return _found(connection, _from_hex(request_id.removeprefix("_")))


def of_ticket(ticket: str) -> Attempt:
    """Return the attempt a browser is sent on with after a SAML response arrived.

    Raises:
        SignInFault: there is none.
    """
    return _found(None, _from_hex(ticket))


def _found(connection: Connection | None, digest: bytes) -> Attempt:
    known = Attempt.objects.select_related("connection__organization").filter(digest=digest)
    attempt = (known if connection is None else known.filter(connection=connection)).first()
    if attempt is None:
        raise untrusted("state_unknown", "This answer belongs to no sign-in that was begun here.")
    return attempt


def check_browser(attempt: Attempt, browser: str) -> None:
    """Check that the attempt was begun in this browser (else somebody is being signed in as somebody else).

    Raises:
        SignInFault: it was not.
    """
    if not hmac.compare_digest(bytes(attempt.browser), _digest(browser)):
        raise untrusted("other_browser", "This sign-in was begun in another browser.")


def use_up(attempt: Attempt, now: datetime) -> None:
    """Consume the attempt by compare-and-swap.

    Raises:
        SignInFault: it was used, or it is too old.
    """
    if not Attempt.objects.filter(pk=attempt.pk, used_at=None, expires_at__gt=now).update(used_at=now):
        raise _finished()


def check_anew(attempt: Attempt, authenticated_at: datetime | None) -> None:
    """Check that the identity provider did ask who is there, if this attempt was to have it asked.

    One that says nothing of when it asked is believed: ``auth_time`` may be left out by providers that do not know
    ``max_age`` (OpenID Connect Core 3.1.2.1).

    Raises:
        SignInFault: what it says of the person is older than the question.
    """
    if attempt.again and authenticated_at is not None and authenticated_at + CLOCKS < attempt.created_at:
        raise SignInFault(
            "not_asked_anew",
            "The identity provider did not ask anew who you are, as this server had told it to.",
            hint="Sign out there, then try again. If it repeats, an administrator must let it ask again when told to.",
        )


def _finished() -> SignInFault:
    return SignInFault(
        "state_used",
        "This sign-in was finished already, or it took longer than ten minutes.",
        hint="Start again from the sign-in page.",
    )


def local_path(wanted: str) -> str:
    """Return ``wanted`` if it is a path of this server, else the overview: nobody is sent elsewhere from here."""
    is_ours = (
        len(wanted) <= 2000 and wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None)
    )
    return wanted if is_ours else "/"


def wants_anew(wanted: str) -> bool:
    """Return whether ``wanted`` goes on only after a new sign-in; who makes it up is merely asked once more."""
    return AFTER in parse_qs(urlsplit(wanted).query)


def _derived(purpose: str, state: str) -> str:
    return hmac.new(derived_key(f"sso {purpose}"), state.encode(), hashlib.sha256).hexdigest()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
