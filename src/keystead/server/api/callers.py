"""Which administrator a program's request is of.

The two credential headers count as they do at the gateway, by the gateway's own function; the answers come from the
database, since such requests are few and must see the last change. Only an API key that was made for any program
counts, and at every request no more than its owner may do now (G-08). A coding agent's own key or sign-in does not: an
agent must not be able to lift what holds it.
"""

from datetime import datetime

from django.http import HttpRequest

from keystead.server.authorization import operations as authorization
from keystead.server.gateway.caller import authenticate
from keystead.server.gateway.refusals import Refusal
from keystead.server.keys import operations as keys
from keystead.server.keys import rotation
from keystead.server.keys.models import ApiKey, Purpose
from keystead.server.organizations.models import Membership
from keystead.server.policy import Principal
from keystead.server.suspensions import operations as suspensions
from keystead.wire import ids


class _Database:
    """A :class:`~keystead.server.gateway.ports.Directory` that asks at every request.

    Attributes:
        keys: what was recognised, by its wire identifier.
    """

    def __init__(self, now: datetime) -> None:
        self.keys: dict[str, ApiKey] = {}
        self._now = now

    def by_key(self, digest: bytes) -> Principal | None:
        """Return the owner of a usable key."""
        key = keys.usable(digest, self._now)
        if key is None:
            return None
        self.keys[key.wire_id] = key
        if rotation.overlaps(key, self._now):
            rotation.note_uses({digest: self._now.timestamp()})
        return keys.principal_of(key)

    def by_bearer(self, token: bytes) -> Principal | None:
        """Return whose live sign-in an access token is of."""
        try:
            text = token.decode("ascii")
        except UnicodeDecodeError:
            return None
        now = self._now.timestamp()
        principal = authorization.verify_access_token(text, now, authorization.verification_keys(now))
        return principal if principal is not None and authorization.grant_is_live(principal.id) else None


def administrator(request: HttpRequest, now: datetime) -> tuple[Membership, str]:
    """Return the owner of the key that counts, and what to tell the program beside the answer.

    Raises:
        Refusal: 401, there is no usable key; 403, it may not be used for this; 503, that cannot be known now.
    """
    known = _Database(now)
    try:
        caller = authenticate(known, _sent(request, "authorization"), _sent(request, "x-api-key"), now.timestamp())
    except Refusal as refusal:
        if refusal.status != 401:
            raise
        raise Refusal(
            401, "This needs a usable API key of an administrator in x-api-key. Make one in the console."
        ) from refusal
    key = known.keys.get(caller.principal.id)
    if key is None:
        raise Refusal(403, "A sign-in changes no limits. Make a key for any program in the console, and send no other.")
    reason = suspensions.reason_for(key.organization_id, key.wire_id) or suspensions.reason_for(
        key.organization_id, ids.dump("membership", key.member_id)
    )
    if reason:
        raise Refusal(403, f"This API key is suspended: {reason}.")
    if key.purpose != Purpose.ANY:
        raise Refusal(403, "A coding agent's key changes no limits. Make a key for any program in the console.")
    return key.member, caller.warning


def _sent(request: HttpRequest, name: str) -> bytes | None:
    value = request.headers.get(name)
    return None if value is None else value.strip().encode("utf-8", "surrogateescape")
