"""Who asks: the one phase in which every endpoint authenticates its client (RFC 6749 section 2.3, RFC 7523 section 3).

The table below says what a request may carry; it may carry one of them only. A client that registered as
confidential is never taken at its word, whichever endpoint it calls.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import unquote_plus

from django.db.models import BinaryField, UUIDField

from keystead.server import assertions
from keystead.server.assertions import NotVerified
from keystead.server.authorization import spent_assertions
from keystead.server.authorization.clients import find
from keystead.server.authorization.models import AuthMethod, Client, ClientSecret
from keystead.server.authorization.parameters import Parameters, required
from keystead.server.authorization.refusals import Refusal, invalid_request, unauthenticated
from keystead.server.authorization.surroundings import issuer
from keystead.server.remembered import Remembered
from keystead.server.statements import Parameter, Prepared
from keystead.wire import tokens
from keystead.wire.tokens import TokenKind

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_LIFE: Final = 3_600
"""Seconds that a client's assertion may live: its ``jti`` is remembered as long."""
_SECRETS: Final = frozenset({AuthMethod.CLIENT_SECRET_BASIC, AuthMethod.CLIENT_SECRET_POST})
_SECRET: Final = Prepared(
    lambda: ClientSecret.objects.filter(
        client=Parameter("client", UUIDField()), digest=Parameter("digest", BinaryField())
    )
)
_REMEMBERED: Final = Remembered[ClientSecret]("client", "organization")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request shows for itself: a name, and a proof of the kind that its method has."""

    client_id: str
    proof: str
    now: datetime


def client_of(parameters: Parameters, authorization: str | None, now: datetime) -> Client | None:
    """Return the client that asks, or None when the request names none.

    Args:
        parameters: of the request body.
        authorization: the header of that name; a scheme other than Basic is not meant for this phase.
        now: when.

    Raises:
        Refusal: ``invalid_client``, with status 401 when a proof is missing or wrong; ``invalid_request``.
    """
    methods = [method for method, is_used in _USED.items() if is_used(parameters, authorization)]
    if len(methods) > 1:
        raise invalid_request("The client authenticates in more than one way.")
    if not methods:
        return _unproven(parameters)
    shown = _READERS[methods[0]](parameters, authorization or "", now)
    if parameters.get("client_id", shown.client_id) != shown.client_id:
        raise invalid_request("The client_id is not the one that authenticates.")
    client = _known(shown.client_id)
    if not _PROOFS[methods[0]](client, shown):
        raise unauthenticated()
    return client


def _unproven(parameters: Parameters) -> Client | None:
    if "client_id" not in parameters:
        return None
    client = find(parameters["client_id"])
    if client.is_confidential:
        raise unauthenticated("This client must authenticate.")
    return client


def _known(client_id: str) -> Client:
    """Return the client; whether its name or its proof is wrong is not told apart."""
    try:
        return find(client_id)
    except Refusal as refusal:
        raise unauthenticated() from refusal


def _basic(_parameters: Parameters, authorization: str, now: datetime) -> Shown:
    """Read name and secret as RFC 6749 section 2.3.1 has them: form-encoded, then joined, then in Base64."""
    malformed = unauthenticated("The Authorization header is not of the form that Basic has.")
    try:
        decoded = base64.b64decode(authorization.partition(" ")[2].strip(), validate=True).decode()
        name, colon, secret = decoded.partition(":")
        name, secret = unquote_plus(name, errors="strict"), unquote_plus(secret, errors="strict")
    except ValueError as error:
        raise malformed from error
    if not colon or not (name + secret).isprintable():
        raise malformed
    return Shown(name, secret, now)


def _post(parameters: Parameters, _authorization: str, now: datetime) -> Shown:
    return Shown(required(parameters, "client_id"), parameters["client_secret"], now)


def _assertion(parameters: Parameters, _authorization: str, now: datetime) -> Shown:
    if parameters.get("client_assertion_type") != ASSERTION_TYPE:
        raise invalid_request(f"The client_assertion_type must be {ASSERTION_TYPE}.")
    assertion = required(parameters, "client_assertion")
    stated = assertions.read(assertion)
    subject = stated.text("sub") if stated is not None else None
    if subject is None:
        raise unauthenticated("The client_assertion is not a signed JWT with a subject.")
    return Shown(subject, assertion, now)


def _knows_secret(client: Client, shown: Shown) -> bool:
    """Return whether the secret is one of the client's; it is found by its hash, so there is nothing to time."""
    if client.auth_method not in _SECRETS or tokens.parse(shown.proof) is not TokenKind.CLIENT_SECRET:
        return False
    digest = tokens.digest(shown.proof)
    found = _REMEMBERED.get((client.pk, digest), lambda: _SECRET.first(client=client.pk, digest=digest))
    return found is not None and (found.expires_at is None or found.expires_at > shown.now)


def _signed(client: Client, shown: Shown) -> bool:
    """Return whether one of the client's keys signed the assertion for us; each assertion works once."""
    if client.auth_method != AuthMethod.PRIVATE_KEY_JWT:
        return False
    now = shown.now.timestamp()
    try:
        claims = assertions.verify(shown.proof, client.jwks or {}, now)
    except NotVerified as error:
        raise unauthenticated(f"The client_assertion does not hold. {error}") from error
    if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
        raise unauthenticated("The client_assertion must have the client as its iss and its sub.")
    if not _for_us(claims.get("aud")):
        raise unauthenticated("The client_assertion must have this server's issuer, and nobody else, as its aud.")
    jti, expires = claims.get("jti"), float(claims["exp"])
    if not isinstance(jti, str) or not jti:
        raise unauthenticated("The client_assertion has no jti.")
    if expires > now + LONGEST_LIFE:
        raise unauthenticated("The client_assertion lives longer than an hour.")
    if not spent_assertions.spend(client.wire_id, jti, expires):
        raise unauthenticated("The client_assertion was used before.")
    return True


def _for_us(audience: object) -> bool:
    """Return whether an audience is this server alone: what another server may also take, it may also replay."""
    listed = audience if isinstance(audience, list) else [audience]
    return len(listed) == 1 and listed[0] in {issuer(), f"{issuer()}/oauth/token"}


_USED: Final[Mapping[str, Callable[[Parameters, str | None], bool]]] = {
    AuthMethod.CLIENT_SECRET_BASIC: lambda _, header: (header or "").partition(" ")[0].lower() == "basic",
    AuthMethod.CLIENT_SECRET_POST: lambda parameters, _: "client_secret" in parameters,
    AuthMethod.PRIVATE_KEY_JWT: lambda parameters, _: bool(
        parameters.keys() & {"client_assertion", "client_assertion_type"}
    ),
}
_READERS: Final[Mapping[str, Callable[[Parameters, str, datetime], Shown]]] = {
    AuthMethod.CLIENT_SECRET_BASIC: _basic,
    AuthMethod.CLIENT_SECRET_POST: _post,
    AuthMethod.PRIVATE_KEY_JWT: _assertion,
}
_PROOFS: Final[Mapping[str, Callable[[Client, Shown], bool]]] = {
    AuthMethod.CLIENT_SECRET_BASIC: _knows_secret,
    AuthMethod.CLIENT_SECRET_POST: _knows_secret,
    AuthMethod.PRIVATE_KEY_JWT: _signed,
}
