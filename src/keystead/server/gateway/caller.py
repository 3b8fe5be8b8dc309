"""Who is calling: two headers, one principal (``gateway-protocol.md``, R-23, G-07).

A credential is looked up by what it looks like, not by the header it came in: newer SDKs send an API key as a
bearer, ``apiKeyHelper`` sends one value in both headers, and a machine with two variables set sends two
different ones.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from keystead.credentials.rules import VENDOR_SUBSCRIPTION
from keystead.server.gateway.ports import Directory, DirectoryUnavailable
from keystead.server.gateway.refusals import Refusal
from keystead.server.policy import Principal
from keystead.wire import tokens

if TYPE_CHECKING:
    from keystead.server.gateway import Gateway

_LOG: Final = logging.getLogger("keystead.gateway")
_API_KEY: Final = tokens.TokenKind.API_KEY.value.encode()
_FINAL: Final = ("x-should-retry", "false")
"""A revoked or unknown credential stays so: retrying is pointless. Left out where a new credential may come."""
_LONGEST: Final = 16_384
_SCHEMES: Final = (b"bearer", b"dpop")

CONFLICT: Final = (
    "two different credentials were sent; the one in Authorization counts, the one in x-api-key is ignored"
)


class Caller(NamedTuple):
    """An authenticated caller.

    Attributes:
        warning: what to tell the client beside the answer, or empty.
    """

    principal: Principal
    warning: str = ""


def of_request(gateway: "Gateway", read: Mapping[bytes, bytes], line: tuple[bytes, bytes], now: float) -> Caller:
    """Return the caller of a request to ``gateway``: the one way in, for the raw path and for the pages alike.

    Args:
        gateway: whose directory and whose memory of proofs count.
        read: the headers the gateway acts upon.
        line: method and target.
        now: Unix seconds.

    Raises:
        Refusal: as :func:`authenticate`; each 401 says where to sign in (RFC 9728 section 5.1).
    """
    try:
        authorization = read.get(b"authorization")
        caller = authenticate(gateway.directory, authorization, read.get(b"x-api-key"), now)
        if caller.principal.key_thumbprint:
            token = (authorization or b"").partition(b" ")[2].strip(b" ")
            gateway.possession.check(caller.principal, (*line, read.get(b"dpop"), token), now)
        return caller
    except Refusal as refusal:
        if refusal.status == 401:
            refusal.headers += (
                ("www-authenticate", f'Bearer realm="keystead", resource_metadata="{gateway.metadata}"'),
            )
        raise


def authenticate(directory: Directory, authorization: bytes | None, api_key: bytes | None, now: float) -> Caller:
    """Return the caller behind the two credential headers.

    Args:
        directory: who owns which credential.
        authorization: value of the header of that name, or None if it was not sent.
        api_key: value of ``x-api-key``, or None.
        now: Unix seconds.

    Raises:
        Refusal: 401 when neither is recognised, 503 when that cannot be known now.
    """
    scheme, bearer = (b"", None) if authorization is None else _token(authorization)
    if not bearer and not api_key:
        raise _missing(authorization, api_key)
    try:
        first = _look_up(directory, bearer) if bearer else None
        second = _look_up(directory, api_key) if api_key and api_key != bearer else None
    except DirectoryUnavailable as error:
        raise unavailable(str(error)) from error
    except Exception as error:  # whatever fails behind the port must not end a session (G-06)
        _LOG.exception("The directory failed.")
        raise unavailable(type(error).__name__) from error
    principal = first or second
    if principal is None:
        raise _unrecognised(bearer or api_key or b"")
    if principal.expires_at is not None and now >= principal.expires_at:
        raise Refusal(401, "The credential has expired. Sign in again, or let the client renew it.")
    if bool(principal.key_thumbprint) != (scheme == b"dpop" and first is not None):
        raise _wrong_scheme()
    if first is not None and second is not None and _differ(first, second):
        _LOG.warning("%s and %s came in one request; %s counts.", first.id, second.id, first.id)
        return Caller(first, CONFLICT)
    return Caller(principal)


def _differ(first: Principal, second: Principal) -> bool:
    return (first.kind, first.id) != (second.kind, second.id)


def _token(authorization: bytes) -> tuple[bytes, bytes | None]:
    """Return the scheme in lower case, and its credential when the scheme is one of ours."""
    scheme, _, value = authorization.partition(b" ")
    scheme = scheme.lower()
    return scheme, value.strip(b" ") if scheme in _SCHEMES else None


def _wrong_scheme() -> Refusal:
    return Refusal(
        401,
        "An access token that is bound to a key is sent as 'Authorization: DPoP <token>', and no other credential is. "
        "Sign in again without DPoP if the client cannot.",
    )


def _look_up(directory: Directory, credential: bytes) -> Principal | None:
    if len(credential) > _LONGEST:
        return None
    if credential.startswith(_API_KEY):
        return directory.by_key(tokens.digest(credential))
    return directory.by_bearer(credential)


def unavailable(reason: str) -> Refusal:
    """Return the 503 for what the gateway cannot know at the moment; ``reason`` is for the operator only."""
    return Refusal(
        503,
        "The gateway cannot check credentials at the moment; yours may well be valid. Try again shortly.",
        ("retry-after", "5"),
        log=f"directory unavailable: {reason}",
    )


def _missing(authorization: bytes | None, api_key: bytes | None) -> Refusal:
    if authorization is not None and authorization.startswith(_AWS_SIGNATURE):
        return Refusal(401, _SIGNED, _FINAL)
    if authorization is not None and _token(authorization)[1] is None:
        return Refusal(401, "The Authorization header is not of the form 'Bearer <credential>'. Correct it.")
    if authorization is not None or api_key is not None:
        name = "Authorization" if authorization is not None else "x-api-key"
        return Refusal(401, f"The {name} header is empty. Sign in with `keystead login`, or set an API key.")
    return Refusal(
        401,
        "No credential was sent. Sign in with `keystead login`, or send an API key of this gateway in x-api-key "
        "or as a bearer in Authorization.",
    )


_SUBSCRIPTION: Final = (
    f"The credential is a vendor's OAuth token, and {VENDOR_SUBSCRIPTION.denied} (rule {VENDOR_SUBSCRIPTION.id}; "
    f"{VENDOR_SUBSCRIPTION.source}, as of {VENDOR_SUBSCRIPTION.dated}). Sign in to this gateway with "
    "`keystead login`, or use one of its API keys."
)
_AWS_SIGNATURE: Final = b"AWS4-"
_SIGNED: Final = (
    "The request is signed with AWS credentials, and this gateway takes its own. Set AWS_BEARER_TOKEN_BEDROCK to an "
    "API key or a token of this gateway, or have the client skip signing and send that in x-api-key or as a bearer."
)
_GOOGLES: Final = (
    "The credential is an access token of Google's, and this gateway takes its own. Have the client skip Google's "
    "sign-in, and send an API key or a token of this gateway as a bearer."
)
_AMAZONS: Final = (
    "The credential is an API key of Amazon Bedrock, and this gateway holds its own. Set AWS_BEARER_TOKEN_BEDROCK to "
    "an API key or a token of this gateway."
)
_WRONG_KIND: Final = (
    "which is not for model requests. Sign in with `keystead login`, or use an API key of this gateway."
)
_OURS: Final = {
    tokens.TokenKind.REFRESH_TOKEN: "a refresh token",
    tokens.TokenKind.DEVICE_CODE: "a device code",
    tokens.TokenKind.AUTHORIZATION_CODE: "an authorization code",
    tokens.TokenKind.SETUP_CODE: "a setup code",
    tokens.TokenKind.LINK_CODE: "the code of a one-time link",
    tokens.TokenKind.PUSHED_REQUEST: "a reference to a sign-in that was asked for",
    tokens.TokenKind.CLIENT_SECRET: "a client secret",
    tokens.TokenKind.SCIM_TOKEN: "a provisioning token",
    tokens.TokenKind.REVOCATION_TICKET: "a ticket that only ends a sign-in",
    tokens.TokenKind.REGISTRATION_TOKEN: "a registration token",
    tokens.TokenKind.REGISTRATION_ACCESS_TOKEN: "a client's token for its own registration",
    tokens.TokenKind.INVITATION: "the code of an invitation",
}
"""What each kind of our own tokens is called, but the one that is for model requests."""
_FOREIGN: Final = (
    (b"sk-ant-oat", _SUBSCRIPTION),
    (b"sk-ant-ort", _SUBSCRIPTION),
    (
        b"sk-ant-",
        "The credential is an API key of the model vendor; this gateway holds its own. Use a key that it issued.",
    ),
    (b"ya29.", _GOOGLES),
    (b"ABSK", _AMAZONS),
    *((kind.value.encode(), f"The credential is {name}, {_WRONG_KIND}") for kind, name in _OURS.items()),
)
"""What an unrecognised credential looks like, and the sentence that helps. Nothing is looked up by these prefixes."""


def _unrecognised(credential: bytes) -> Refusal:
    """Return the 401 for a credential nobody here knows; says what it looks like and never repeats it."""
    if credential.startswith(_API_KEY):
        return Refusal(401, _unknown_key(credential), _FINAL)
    for prefix, sentence in _FOREIGN:
        if credential.startswith(prefix):
            return Refusal(401, sentence, _FINAL)
    if credential.startswith(b"eyJ") and credential.count(b".") == 2:
        return Refusal(
            401, "The access token is expired, revoked, or not from this server. Sign in again with `keystead login`."
        )
    return Refusal(
        401,
        "The credential is not known here. Sign in with `keystead login`, or use an API key issued by this gateway.",
        _FINAL,
    )


def _unknown_key(credential: bytes) -> str:
    fault = tokens.parse(credential.decode("latin-1"))
    if isinstance(fault, tokens.TokenFault):
        return f"The API key is damaged: {fault.reason}. Copy it again, or create a new one in the console."
    return "The API key is revoked, replaced or not from this server. Use the new one, or create one in the console."
