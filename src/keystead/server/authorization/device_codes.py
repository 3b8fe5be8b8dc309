"""Device codes: asked for by a device, approved or denied by a person (RFC 8628)."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Q

from keystead.secret import Secret
from keystead.server.authorization import lifetimes
from keystead.server.authorization.browser_session import Authentication
from keystead.server.authorization.checks import scopes, suspended
from keystead.server.authorization.clients import GATEWAY_AGENT, find
from keystead.server.authorization.models import AuthorizationCode, Client, DeviceCode
from keystead.server.authorization.parameters import Parameters
from keystead.server.authorization.refusals import Refusal
from keystead.server.authorization.sign_ins import RandomBytes
from keystead.server.authorization.surroundings import issuer
from keystead.server.organizations.models import Membership
from keystead.wire import tokens
from keystead.wire.oauth import DEVICE_CODE_GRANT, DeviceAuthorization
from keystead.wire.tokens import TokenKind

ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"
"""20 letters without vowels, so that no code is a word (RFC 8628 section 6.1)."""
_HALF: Final = 4


def user_code(random_bytes: RandomBytes) -> str:
    """Return a new code as people type it, ``XXXX-XXXX``; every letter equally likely."""
    letters: list[str] = []
    while len(letters) < 2 * _HALF:
        # 240 is the largest multiple of 20 a byte can hold; the rest would make some letters more likely.
        letters += [ALPHABET[byte % len(ALPHABET)] for byte in random_bytes(16) if byte < 240]
    return f"{''.join(letters[:_HALF])}-{''.join(letters[_HALF : 2 * _HALF])}"


def user_code_digest(typed: str) -> bytes | None:
    """Return the hash of a code however it was typed (case, spaces, hyphens), or None when it is not one."""
    letters = [letter for letter in typed.upper() if letter not in " -\t"]
    if len(letters) != 2 * _HALF or not set(letters) <= set(ALPHABET):
        return None
    return tokens.digest("".join(letters))


def start(
    parameters: Parameters,
    client: Client | None,
    label: str,
    now: datetime,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> DeviceAuthorization:
    """Answer a device authorization request (RFC 8628 section 3.2); a device need not say which client it is.

    Raises:
        Refusal: ``invalid_client``, ``unauthorized_client`` or ``invalid_scope``.
    """
    client = client or find(GATEWAY_AGENT)
    if DEVICE_CODE_GRANT not in client.grant_types:
        raise Refusal("unauthorized_client", "This client may not sign in by device code.")
    suspended.check_client(client)
    scope = scopes.asked(parameters.get("scope"), client.scope)
    code, typed = tokens.mint(TokenKind.DEVICE_CODE, random_bytes), user_code(random_bytes)
    with transaction.atomic():
        _sweep(now)
        DeviceCode.objects.create(
            digest=tokens.digest(code),
            user_code_digest=user_code_digest(typed),
            client=client,
            scope=scope,
            label=label,
            interval=lifetimes.POLL_INTERVAL,
            created_at=now,
            expires_at=now + lifetimes.DEVICE_CODE,
        )
    page = f"{issuer()}/device"
    return DeviceAuthorization(
        device_code=Secret(code),
        user_code=typed,
        verification_uri=page,
        verification_uri_complete=f"{page}?user_code={typed}",
        expires_in=int(lifetimes.DEVICE_CODE.total_seconds()),
        interval=lifetimes.POLL_INTERVAL,
    )


def _sweep(now: datetime) -> None:
    """Remove codes that ended long ago, so that unanswered requests cannot fill the database."""
    before = now - lifetimes.USED_CODES_KEPT
    DeviceCode.objects.filter(expires_at__lt=before).delete()
    AuthorizationCode.objects.filter(expires_at__lt=before).delete()


def waiting(typed: str, now: datetime) -> DeviceCode | None:
    """Return the request that waits under this code, or None: wrong, expired, or decided already."""
    digest = user_code_digest(typed)
    open_requests = DeviceCode.objects.select_related("client").filter(_undecided(now))
    return None if digest is None else open_requests.filter(user_code_digest=digest).first()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the person on the page said; ``membership`` is who says so, and ``authentication`` how they signed in."""

    approve: bool
    membership: Membership
    authentication: Authentication | None = None


def decide(code: DeviceCode, answer: Answer, now: datetime) -> bool:
    """Store the answer; returns False when somebody was faster, or the code has expired meanwhile."""
    open_request = DeviceCode.objects.filter(_undecided(now), pk=code.pk)
    if not answer.approve:
        return bool(open_request.update(denied_at=now))
    member = answer.membership
    how = answer.authentication
    facts = {} if how is None else {"authenticated_at": how.at, "authentication_methods": how.methods}
    return bool(open_request.update(approved_at=now, membership=member, organization=member.organization, **facts))


def _undecided(now: datetime) -> Q:
    return Q(approved_at=None, denied_at=None, expires_at__gt=now)
