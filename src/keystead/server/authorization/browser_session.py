"""How the person at the browser signed in, and when: what a client is told about it, and what it may insist on.

django-allauth writes down each step (password, second factor, identity provider) in the browser's session. The time of
the whole is ours: Django says when somebody has signed in, after the last step.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from allauth.account.authentication import get_authentication_records
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest

from keystead.server.authorization.surroundings import now
from keystead.server.sso.sessions import PROVED

_SIGNED_IN_AT: Final = "keystead_signed_in_at"

_METHODS: Final = {
    "password": ("pwd",),
    "mfa/totp": ("otp", "mfa"),
    "mfa/recovery_codes": ("otp", "mfa"),
    "mfa/webauthn": ("pop", "mfa"),
}
"""What allauth calls a step, and what RFC 8176 calls it. A passkey is two factors: it asks for a PIN or a finger."""

STRONG: Final = "aal2"
"""The ``acr`` of a sign-in with two factors; the names are those of NIST SP 800-63B."""
PLAIN: Final = "aal1"
CONTEXTS: Final = (PLAIN, STRONG)


@dataclass(frozen=True, slots=True)
class Authentication:
    """How and when a person proved who they are.

    Attributes:
        methods: of RFC 8176, separated by spaces; empty when an identity provider did it, which keeps that to itself.
    """

    at: datetime
    methods: str = ""


def context(methods: str) -> str:
    """Return the ``acr`` of a sign-in with these methods."""
    return STRONG if "mfa" in methods.split() else PLAIN


def authentication(request: HttpRequest) -> Authentication:
    """Return how the signed-in person of this browser session proved who they are."""
    at = request.session.get(_SIGNED_IN_AT)
    if at is not None:  # coming back from an identity provider proves nothing that was not proved there
        moment = datetime.fromtimestamp(min(at, request.session.get(PROVED, at)), UTC)
    else:  # a session older than this record
        moment = getattr(request.user, "last_login", None) or datetime.fromtimestamp(0, UTC)
    records = get_authentication_records(request, request.user)  # type: ignore[arg-type]
    names = dict.fromkeys(name for record in records for name in _METHODS.get(_step(record), ()))
    return Authentication(moment, " ".join(names))


def _step(record: dict[str, Any]) -> str:
    return "/".join(str(record[part]) for part in ("method", "type") if part in record)


def _remember(request: HttpRequest | None, **_: Any) -> None:
    if request is not None:
        request.session[_SIGNED_IN_AT] = int(now().timestamp())


def listen() -> None:
    """Remember the time of every sign-in from now on; Django calls it once at start."""
    user_logged_in.connect(_remember, dispatch_uid="keystead.authorization.browser_session")
