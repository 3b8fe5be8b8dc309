"""What is said to an OpenID provider, and read from its answers: the input and output around :mod:`openid`."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from django.core.cache import cache

from keystead.errors import ConfigurationError, ServerFailure
from keystead.secret import Secret
from keystead.server.assertions import SignedClaims, UnknownKey, is_time
from keystead.server.sso import attempts, openid
from keystead.server.sso.asserted import NEVER, Asserted, pointed_at
from keystead.server.sso.faults import SignInFault, untrusted
from keystead.server.sso.models import Connection
from keystead.server.sso.network import Send, host_of
from keystead.server.sso.oidc_settings import OidcSettings
from keystead.wire.fields import Malformed
from keystead.wire.http import Request

_KEYS_KEPT: Final = 600
_REREAD_AFTER: Final = 10


def discover(issuer: str, send: Send) -> openid.Metadata:
    """Ask an issuer for its metadata.

    Raises:
        KeysteadError: it cannot be asked, or its answer is not what it must be; the message says which.
    """
    response = send(openid.discovery_request(issuer))
    if response.status != 200:
        raise ConfigurationError(
            f"{host_of(response.url)} answers {response.status} where its discovery document should be.",
            hint="Check the issuer: what stands before /.well-known/openid-configuration.",
            move="administrator",
        )
    try:
        metadata = openid.parse_metadata(response.body, issuer)
    except Malformed as error:
        raise ConfigurationError(
            f"This cannot be used: {error}.", hint="Check the issuer.", move="administrator"
        ) from error
    _check_endpoints(metadata)
    return metadata


def _check_endpoints(metadata: openid.Metadata) -> None:
    from keystead.server.sso.network import check_url

    for url in (metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri):
        check_url(url)


def asserted(
    connection: Connection, registration: openid.Registration, state: str, code: str, send: Send, now: datetime
) -> Asserted:
    """Exchange the code and return what the identity provider says about the person.

    Raises:
        SignInFault: the answer is not to be believed.
        KeysteadError: the identity provider cannot be asked.
    """
    settings = OidcSettings.from_json(connection.settings)
    metadata = settings.metadata
    request = openid.code_request(metadata, registration, code, attempts.verifier(state))
    tokens = _tokens(send(request))
    claims = _claims(tokens, metadata, registration.client_id, attempts.proof(state).nonce, send, now)
    more = _userinfo(metadata, tokens, settings, claims, send)
    said = {**more, **claims}
    address = claims if "email_verified" in claims else more  # both words about an address from one statement
    return Asserted(
        subject=claims["sub"],
        email=_text(address, "email") or _text(said, "email"),
        email_verified=bool(_text(address, "email")) and address.get("email_verified") is True,
        name=_text(said, "name"),
        groups=pointed_at(said, settings.groups_claim),
        said=said,
        refresh_token=tokens.refresh_token,
        authenticated_at=_authenticated_at(claims),
    )


def _authenticated_at(claims: Mapping[str, Any]) -> datetime | None:
    """Return the ``auth_time`` of an ID token (OpenID Connect Core 2), by the signed token's own word only."""
    said = claims.get("auth_time")
    if said is None:
        return None
    return datetime.fromtimestamp(said, UTC) if is_time(said) else NEVER


def _tokens(response: Any) -> openid.Tokens:
    if response.status != 200:
        raise SignInFault(
            "code_refused",
            f"The identity provider did not take the code it had given: {oauth_error(response.body)}.",
            hint="Check client id, client secret and redirect address of the connection.",
        )
    try:
        return openid.parse_tokens(response.body)
    except Malformed as error:
        raise untrusted("token_response", f"The identity provider's answer cannot be read: {error}.") from error


def oauth_error(body: bytes) -> str:
    """Return the error code of an OAuth answer if it is one of the RFC's shape; never other text from outside."""
    try:
        code = json.loads(body).get("error")
    except (ValueError, AttributeError, RecursionError):
        return "no OAuth error"
    return code if isinstance(code, str) and code.replace("_", "").isalpha() and len(code) < 60 else "no OAuth error"


def _claims(
    tokens: openid.Tokens, metadata: openid.Metadata, client_id: str, nonce: str, send: Send, now: datetime
) -> SignedClaims:
    """Verify the ID token; a key that is unknown has the keys read again, but not at every request."""
    name = f"sso:jwks:{metadata.jwks_uri}"
    known = cache.get(name)
    if known is not None:
        try:
            return openid.verify(tokens.id_token, known, metadata, client_id, nonce, now)
        except UnknownKey as error:
            if not cache.add(f"{name}:read", True, _REREAD_AFTER):
                raise _unknown_key() from error
    known = _json(send(Request("GET", metadata.jwks_uri, {"accept": "application/json"})), "keys")
    cache.set(name, known, _KEYS_KEPT)
    try:
        return openid.verify(tokens.id_token, known, metadata, client_id, nonce, now)
    except UnknownKey as error:
        raise _unknown_key() from error


def _unknown_key() -> SignInFault:
    return untrusted("id_token_signature", "The ID token is signed with a key that nobody publishes.")


def _userinfo(
    metadata: openid.Metadata, tokens: openid.Tokens, settings: OidcSettings, claims: Mapping[str, Any], send: Send
) -> dict[str, Any]:
    """Return the userinfo claims where the ID token leaves something out; they count for the same subject only."""
    outermost = settings.groups_claim.removeprefix("/").partition("/")[0]
    has_groups = not outermost or outermost in claims
    if (has_groups and {"email", "email_verified"} <= claims.keys()) or not metadata.userinfo_endpoint:
        return {}
    bearer = Secret(f"Bearer {tokens.access_token.reveal()}")
    headers: dict[str, str | Secret] = {"authorization": bearer, "accept": "application/json"}
    found = _json(send(Request("GET", metadata.userinfo_endpoint, headers)), "userinfo")
    if found.get("sub") != claims["sub"]:
        raise untrusted("userinfo_subject", "Userinfo speaks of somebody else than the ID token.")
    return found


def _json(response: Any, what: str) -> dict[str, Any]:
    if response.status != 200:
        raise ServerFailure(f"The identity provider answers {response.status} when asked for its {what}.")
    try:
        found = json.loads(response.body)
    except (ValueError, RecursionError) as error:
        raise ServerFailure(f"The identity provider's {what} are not JSON.") from error
    if not isinstance(found, dict):
        raise ServerFailure(f"The identity provider's {what} are not a JSON object.")
    return found


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    return value.strip()[:320] if isinstance(value, str) else ""


class Refused(Exception):
    """The identity provider says that the person is no longer welcome."""


def ask_again(
    connection: Connection, registration: openid.Registration, refresh_token: Secret, send: Send
) -> Secret | None:
    """Ask whether the person is still welcome; returns the next refresh token if there is a new one.

    Raises:
        Refused: no; only a JSON ``invalid_grant`` counts as that.
        KeysteadError: no answer that says either.
    """
    metadata = OidcSettings.from_json(connection.settings).metadata
    response = send(openid.refresh_request(metadata, registration, refresh_token))
    if response.status in {400, 401} and oauth_error(response.body) == "invalid_grant":
        raise Refused
    if response.status != 200:
        raise ServerFailure(f"The identity provider answers {response.status} to a refresh.")
    try:
        return openid.parse_tokens(response.body).refresh_token
    except Malformed as error:
        raise ServerFailure("The identity provider's answer to a refresh cannot be read.") from error
