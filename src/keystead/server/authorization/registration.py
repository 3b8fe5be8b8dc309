"""Programs that register themselves as clients (RFC 7591), each with a token that says as what, and end themselves.

What the document asks for is brought to what the token allows: a grant beyond it is refused, a scope beyond it is left
out, and the answer says what was given (RFC 7591 section 3.2.1). Whether the rest will do is the registry's to say,
as for a client that an administrator registers. Metadata that means nothing here is ignored (section 2).

A client gets a token with which it can read its registration and end it (RFC 7592); changing it is an administrator's.
"""

import json
import secrets
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from django.db import transaction

from keystead.server import assertions
from keystead.server.authorization import keys, registration_tokens, registry
from keystead.server.authorization.checks import scopes
from keystead.server.authorization.metadata import REGISTRATION_PATH
from keystead.server.authorization.models import AuthMethod, Client, RegistrationToken
from keystead.server.authorization.refusals import Refusal, invalid_request
from keystead.server.authorization.registry import RandomBytes, Registration
from keystead.server.authorization.surroundings import issuer
from keystead.server.transactions import turn
from keystead.wire import tokens
from keystead.wire.fields import Fields, Malformed
from keystead.wire.tokens import TokenKind

UNNAMED: Final = "Unnamed program"
DEFAULT_GRANT_TYPES: Final = ("authorization_code",)
_WHAT: Final = "client metadata"
_CODES: Final = {"redirect_uris": "invalid_redirect_uri"}
"""The error codes of RFC 7591 section 3.2.2 by the field that is to blame; any other is invalid_client_metadata."""


def register(
    content_type: str,
    body: bytes,
    token: RegistrationToken,
    now: datetime,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> dict[str, Any]:
    """Register a client and use the token up by one.

    Args:
        content_type: of the request; it must be JSON.
        body: the client's metadata.
        token: the initial access token, as :func:`registration_tokens.presented` found it.
        now: when.
        random_bytes: where the client's secret comes from.

    Returns:
        The client information response (RFC 7591 section 3.2.1), with the secret, which exists nowhere else.

    Raises:
        Refusal: as RFC 7591 section 3.2.2 names it; then nothing was stored and nothing used up.
    """
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise invalid_request("The body must be application/json.")
    wanted = _wanted(_read(body), token)
    fault = registry.fault(token.organization, wanted)
    if fault is not None:
        raise _unfit(fault.field, fault.error.message)
    access = tokens.mint(TokenKind.REGISTRATION_ACCESS_TOKEN, random_bytes)
    wanted = replace(wanted, registration_access_digest=tokens.digest(access))
    with turn(), transaction.atomic():
        registration_tokens.use(token, now)
        client, secret = registry.register_itself(token, wanted, now, random_bytes)
    answer = {**described(client), **_managed(client, access)}
    # RFC 7591 section 3.2.1: zero is a secret that does not expire
    return answer if secret is None else {**answer, "client_secret": secret.reveal(), "client_secret_expires_at": 0}


def read(client_id: str, authorization: str | None) -> dict[str, Any]:
    """Return a client's registration to itself (RFC 7592 section 2.1), but for its secret, of which a hash is kept.

    Args:
        client_id: of the address.
        authorization: the header of that name.

    Raises:
        Refusal: ``invalid_token``.
    """
    client, access = _itself(client_id, authorization)
    return {**described(client), **_managed(client, access)}


def delete(client_id: str, authorization: str | None, now: datetime) -> None:
    """End a client that asks for it, and every sign-in it holds (RFC 7592 section 2.3); otherwise as :func:`read`."""
    client, _ = _itself(client_id, authorization)
    with turn(), transaction.atomic():
        if not registry.deregister_itself(client, now):
            raise registration_tokens.invalid_token()


def _itself(client_id: str, authorization: str | None) -> tuple[Client, str]:
    """Return the client that asks and the token it shows; another client's registration is nobody's to see."""
    access = registration_tokens.bearer(authorization, TokenKind.REGISTRATION_ACCESS_TOKEN)
    living = Client.objects.select_related("organization").filter(disabled_at=None)
    found = living.filter(registration_access_digest=tokens.digest(access)).first()
    if found is None or found.client_id != client_id:  # compared here: an address can hold what no database takes
        raise registration_tokens.invalid_token()
    return found, access


def _managed(client: Client, access: str) -> dict[str, str]:
    """Return where and with what a client manages its registration (RFC 7592 section 3)."""
    address = f"{issuer()}/{REGISTRATION_PATH}/{client.client_id}"
    return {"registration_client_uri": address, "registration_access_token": access}


def described(client: Client) -> dict[str, Any]:
    """Return what a client is, by the names of RFC 7591 section 2 and of the specifications that add to them.

    Those are RFC 9126 section 6, RFC 9449 section 5.2 and OpenID Connect Back-Channel Logout 1.0 section 2.2.
    """
    signs_in = "authorization_code" in client.grant_types
    logout = {
        "backchannel_logout_uri": client.backchannel_logout_uri,
        "backchannel_logout_session_required": client.backchannel_logout_session_required,
    }
    return {
        "client_id": client.client_id,
        "client_id_issued_at": int(client.created_at.timestamp()),
        "client_name": client.name,
        "token_endpoint_auth_method": client.auth_method,
        "grant_types": client.grant_types,
        "response_types": ["code"] if signs_in else [],
        "redirect_uris": client.redirect_uris,
        "scope": client.scope,
        "require_pushed_authorization_requests": client.require_pushed_requests,
        "dpop_bound_access_tokens": client.dpop_bound,
        **({} if client.jwks is None else {"jwks": client.jwks}),
        **(logout if client.backchannel_logout_uri else {}),
        **({"id_token_signed_response_alg": keys.ALGORITHM} if "openid" in client.scope.split() else {}),
    }


def _read(body: bytes) -> dict[str, Any]:
    """Return the members of a JSON object; one that is null counts as left out.

    Raises:
        Refusal: it is none, or says something twice.
    """
    try:
        found = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _unfit("The body", "It is not JSON in UTF-8, or names a member twice.") from error
    if not isinstance(found, dict):
        raise _unfit("The body", "It is not a JSON object.")
    return {name: value for name, value in found.items() if value is not None}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _wanted(values: dict[str, Any], token: RegistrationToken) -> Registration:
    _refuse_statements(values)
    fields = Fields(values, _WHAT)
    try:
        redirect_uris = fields.texts("redirect_uris")
    except Malformed as error:
        raise _unfit("redirect_uris", "It is not a list of strings.") from error
    try:
        grant_types = _grant_types(fields, token)
        _check_response_types(fields, grant_types)
        return Registration(
            name=fields.optional_text("client_name") or UNNAMED,
            auth_method=_auth_method(fields.optional_text("token_endpoint_auth_method")),
            grant_types=grant_types,
            redirect_uris=redirect_uris,
            scope=_scope(fields.optional_text("scope"), token),
            jwks=_jwks(values),
            service_account=_service_account(grant_types, token),
            require_pushed_requests=fields.flag("require_pushed_authorization_requests"),
            dpop_bound=fields.flag("dpop_bound_access_tokens"),
            backchannel_logout_uri=fields.optional_text("backchannel_logout_uri") or "",
            backchannel_logout_session_required=fields.flag("backchannel_logout_session_required"),
        )
    except Malformed as error:
        raise Refusal("invalid_client_metadata", f"Something is not of its type: {error}.") from error


def _refuse_statements(values: dict[str, Any]) -> None:
    """Refuse a software statement (RFC 7591 section 2.3): nobody's are trusted here, and it must not seem so."""
    if "software_statement" not in values:
        return
    statement = values["software_statement"]
    if not isinstance(statement, str) or assertions.read(statement) is None:
        raise Refusal("invalid_software_statement", "software_statement: It is not a signed JWT.")
    raise Refusal("unapproved_software_statement", "software_statement: This server trusts nobody's. Leave it out.")


def _grant_types(fields: Fields, token: RegistrationToken) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(fields.texts("grant_types"))) or DEFAULT_GRANT_TYPES
    if not set(wanted) <= set(token.grant_types):
        raise _unfit("grant_types", f"The initial access token allows these only: {', '.join(token.grant_types)}.")
    return wanted


def _check_response_types(fields: Fields, grant_types: tuple[str, ...]) -> None:
    """Hold what RFC 7591 section 2.1 says of the two: ``code`` is for the grant authorization_code."""
    if not fields.has("response_types"):
        return
    given = set(fields.texts("response_types"))
    if given - {"code"} or (not given and "authorization_code" in grant_types):
        raise _unfit("response_types", "There is code, which goes with the grant authorization_code.")


def _auth_method(text: str | None) -> AuthMethod:
    if text is None:
        return AuthMethod.CLIENT_SECRET_BASIC
    if text not in AuthMethod.values:
        raise _unfit("token_endpoint_auth_method", f"There are: {', '.join(AuthMethod.values)}.")
    return AuthMethod(text)


def _scope(text: str | None, token: RegistrationToken) -> str:
    try:
        return scopes.asked(text or None, token.scope)
    except Refusal as error:
        raise _unfit("scope", f"The initial access token allows these only: {token.scope}.") from error


def _jwks(values: dict[str, Any]) -> dict[str, Any] | None:
    if "jwks_uri" in values:
        raise _unfit("jwks_uri", "Keys are not fetched from an address here. Send them as jwks.")
    jwks = values.get("jwks")
    if jwks is not None and not isinstance(jwks, dict):
        raise _unfit("jwks", "It is not a JWK set.")
    return jwks


def _service_account(grant_types: tuple[str, ...], token: RegistrationToken) -> Any:
    if "client_credentials" not in grant_types:
        return None
    account = token.service_account
    if account is None or account.disabled_at is not None:
        raise _unfit("grant_types", "The service account behind the initial access token has ended.")
    return account


def _unfit(field: str, sentence: str) -> Refusal:
    return Refusal(_CODES.get(field, "invalid_client_metadata"), f"{field}: {sentence}")
