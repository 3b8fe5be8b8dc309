"""Authenticator apps: six digits, a new code every 30 seconds (RFC 6238), each taken once."""

import base64
import hmac
from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from keystead.secret import Secret
from keystead.server.factors.models import AuthenticatorApp
from keystead.server.identity.models import Person
from keystead.server.sealing import seal, unseal

PERIOD: Final = 30
"""Seconds."""
_DIGITS: Final = 6
_BYTES: Final = 20
_DRIFT: Final = (0, -1, 1)
"""Half minutes by which the clocks may differ (RFC 6238 section 5.2), the likeliest first."""
_PURPOSE: Final = "authenticator app"


def new_secret(random_bytes: Callable[[int], bytes]) -> Secret:
    """Return 160 random bits in Base32, as apps take them."""
    return Secret(base64.b32encode(random_bytes(_BYTES)).decode())


def address(secret: Secret, person: Person, host: str) -> Secret:
    """Return the ``otpauth:`` address that an app reads as a QR code; it holds the secret."""
    query = urlencode({"secret": secret.reveal(), "issuer": host}, quote_via=quote)
    return Secret(f"otpauth://totp/{quote(f'{host}:{person.email}')}?{query}")


def add(person: Person, secret: Secret, code: str, now: datetime) -> bool:
    """Store the app once a code proves that it has the secret; it takes the place of one before."""
    step = _step(secret, code, now)
    if step is None:
        return False
    AuthenticatorApp.objects.update_or_create(
        person=person,
        defaults={
            "sealed": seal(_PURPOSE, secret),
            "last_step": step,
            "created_at": now,
            "last_used_at": None,
        },
    )
    return True


def use(person: Person, code: str, now: datetime) -> bool:
    """Return whether ``code`` is the app's; of many at once with the same code exactly one is told yes."""
    app = AuthenticatorApp.objects.filter(person=person).first()
    step = None if app is None else _step(unseal(_PURPOSE, app.sealed), code, now)
    if step is None:
        return False
    fresh = AuthenticatorApp.objects.filter(person=person, last_step__lt=step)
    return fresh.update(last_step=step, last_used_at=now) == 1


def _step(secret: Secret, code: str, now: datetime) -> int | None:
    """Return the half minute whose code this is, or None; every one is compared, in constant time."""
    app = TOTP(base64.b32decode(secret.reveal()), _DIGITS, SHA1(), PERIOD)  # noqa: S303  what apps implement
    typed = "".join(code.split()).encode()
    current = int(now.timestamp()) // PERIOD
    found = None
    for drift in _DRIFT:
        if hmac.compare_digest(app.generate((current + drift) * PERIOD), typed) and found is None:
            found = current + drift
    return found
