"""The OAuth documents: server metadata, device authorization, tokens, errors, and who somebody is.

RFC 8414 (metadata), RFC 8628 (device), RFC 6749 sections 5.1 and 5.2 (tokens, errors), OpenID Connect Core
section 5.3 (userinfo, with the fields Keystead adds). Every ``parse_…`` takes bytes and raises
:class:`~keystead.wire.fields.Malformed`; every ``dump_…`` is its inverse. Unknown fields are ignored, as the
RFCs ask.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from keystead.secret import Secret
from keystead.wire import fields
from keystead.wire.fields import Fields, Malformed

METADATA_PATH: Final = "/.well-known/oauth-authorization-server"
OPENID_METADATA_PATH: Final = "/.well-known/openid-configuration"
PROTECTED_RESOURCE_PATH: Final = "/.well-known/oauth-protected-resource"
DEVICE_CODE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
JWT_BEARER_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_EXCHANGE_GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"
DEFAULT_INTERVAL: Final = 5.0


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """What an authorization server says about itself (RFC 8414 section 2, and the gateway protocol).

    Attributes:
        gateway_protocol_version: 1 where models are served behind the same origin.
        iss_parameter_supported: the callback carries ``iss`` (RFC 9207).
    """

    issuer: str
    token_endpoint: str
    authorization_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    revocation_endpoint: str | None = None
    introspection_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    jwks_uri: str | None = None
    scopes_supported: tuple[str, ...] = ()
    grant_types_supported: tuple[str, ...] = ()
    code_challenge_methods_supported: tuple[str, ...] = ()
    iss_parameter_supported: bool = False
    gateway_protocol_version: int | None = None

    @property
    def endpoints(self) -> dict[str, str]:
        """Every address in the document by its field name, the absent ones left out."""
        return {name: value for name in _ENDPOINTS if (value := getattr(self, name))}


_ENDPOINTS: Final = (
    "token_endpoint",
    "authorization_endpoint",
    "device_authorization_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
)
_LISTS: Final = ("scopes_supported", "grant_types_supported", "code_challenge_methods_supported")
_ISS_SUPPORTED: Final = "authorization_response_iss_parameter_supported"
_PROTOCOL: Final = "gateway_protocol_version"


def parse_metadata(body: bytes) -> ServerMetadata:
    """Read an RFC 8414 document; ``issuer`` and ``token_endpoint`` must be in it."""
    document = Fields.parse(body, "server metadata")
    return ServerMetadata(
        issuer=document.text("issuer"),
        token_endpoint=document.text("token_endpoint"),
        **{name: document.optional_text(name) for name in _ENDPOINTS if name != "token_endpoint"},
        scopes_supported=document.texts("scopes_supported"),
        grant_types_supported=document.texts("grant_types_supported"),
        code_challenge_methods_supported=document.texts("code_challenge_methods_supported"),
        iss_parameter_supported=document.flag(_ISS_SUPPORTED),
        gateway_protocol_version=int(document.number(_PROTOCOL, 0)) or None,
    )


def dump_metadata(metadata: ServerMetadata) -> bytes:
    """Return the document that :func:`parse_metadata` reads."""
    return fields.dump(
        {
            "issuer": metadata.issuer,
            **metadata.endpoints,
            **{name: list(getattr(metadata, name)) for name in _LISTS},
            _ISS_SUPPORTED: metadata.iss_parameter_supported,
            _PROTOCOL: metadata.gateway_protocol_version,
        }
    )


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """Tokens as they arrive (RFC 6749 section 5.1); ``expires_in`` in seconds.

    Attributes:
        issued_token_type: what was issued, in the answer to a token exchange (RFC 8693 section 2.2.1).
        token_type: ``Bearer``, or ``DPoP`` for a token that is bound to a key (RFC 9449).
        id_token: who has just signed in, for the client (OpenID Connect); not read by ours, which asks userinfo.
        revocation_ticket: can end the sign-in and do nothing else (RFC 7009 with a token type of our own, R-16);
            ``revocation_ticket_expires_in`` seconds from now there is nothing left to end.
    """

    access_token: Secret
    expires_in: float
    refresh_token: Secret | None = None
    scope: str | None = None
    issued_token_type: str | None = None
    token_type: str = "Bearer"
    id_token: Secret | None = None
    revocation_ticket: Secret | None = None
    revocation_ticket_expires_in: float | None = None


def parse_token(body: bytes) -> TokenResponse:
    """Read a token response; only ``Bearer`` tokens with a lifetime are taken."""
    document = Fields.parse(body, "token response")
    document.text("token_type")
    return _token(document)


def parse_federated_token(body: bytes) -> TokenResponse:
    """Read the answer to :func:`jwt_bearer`: a token response whose type may be left out, as its SDKs allow."""
    return _token(Fields.parse(body, "token response"))


def _token(document: Fields) -> TokenResponse:
    if (document.optional_text("token_type") or "bearer").lower() != "bearer":
        raise Malformed("token_type in the token response is not Bearer")
    refresh_token = document.optional_text("refresh_token")
    ticket = document.optional_text("revocation_ticket")
    return TokenResponse(
        access_token=Secret(document.text("access_token")),
        expires_in=document.number("expires_in"),
        refresh_token=Secret(refresh_token) if refresh_token else None,
        scope=document.optional_text("scope"),
        issued_token_type=document.optional_text("issued_token_type"),
        revocation_ticket=Secret(ticket) if ticket else None,
        revocation_ticket_expires_in=document.number("revocation_ticket_expires_in", 0) if ticket else None,
    )


def jwt_bearer(assertion: Secret, named: Mapping[str, str | None]) -> bytes:
    """Return the body that exchanges ``assertion`` (RFC 7523 section 2.1), as JSON; it holds the secret in clear.

    Args:
        assertion: the identity token.
        named: what else the endpoint wants to know; None is left out.
    """
    return fields.dump({"grant_type": JWT_BEARER_GRANT, "assertion": assertion.reveal(), **named})


def dump_token(token: TokenResponse) -> bytes:
    """Return the body of a token response; it holds the secrets in clear."""
    return fields.dump(
        {
            "access_token": token.access_token.reveal(),
            "token_type": token.token_type,
            "expires_in": token.expires_in,
            "refresh_token": token.refresh_token.reveal() if token.refresh_token else None,
            "scope": token.scope,
            "issued_token_type": token.issued_token_type,
            "id_token": token.id_token.reveal() if token.id_token else None,
            "revocation_ticket": token.revocation_ticket.reveal() if token.revocation_ticket else None,
            "revocation_ticket_expires_in": token.revocation_ticket_expires_in,
        }
    )


@dataclass(frozen=True, slots=True)
class DeviceAuthorization:
    """The two codes of RFC 8628 section 3.2; ``expires_in`` and ``interval`` in seconds."""

    device_code: Secret
    user_code: str
    verification_uri: str
    expires_in: float
    verification_uri_complete: str | None = None
    interval: float = DEFAULT_INTERVAL


def parse_device_authorization(body: bytes) -> DeviceAuthorization:
    """Read a device authorization response."""
    document = Fields.parse(body, "device authorization")
    return DeviceAuthorization(
        device_code=Secret(document.text("device_code")),
        user_code=document.text("user_code"),
        verification_uri=document.text("verification_uri"),
        expires_in=document.number("expires_in"),
        verification_uri_complete=document.optional_text("verification_uri_complete"),
        interval=document.number("interval", DEFAULT_INTERVAL),
    )


def dump_device_authorization(authorization: DeviceAuthorization) -> bytes:
    """Return the body of a device authorization response; it holds the device code in clear."""
    return fields.dump(
        {
            "device_code": authorization.device_code.reveal(),
            "user_code": authorization.user_code,
            "verification_uri": authorization.verification_uri,
            "verification_uri_complete": authorization.verification_uri_complete,
            "expires_in": authorization.expires_in,
            "interval": authorization.interval,
        }
    )


@dataclass(frozen=True, slots=True)
class OAuthFault:
    """An error response (RFC 6749 section 5.2): a code for machines, a sentence for people."""

    error: str
    description: str | None = None


def parse_fault(body: bytes) -> OAuthFault | None:
    """Return the fault, or ``None`` when the body is anything else. Total: never raises."""
    try:
        document = Fields.parse(body, "error response")
        return OAuthFault(document.text("error"), document.optional_text("error_description"))
    except Malformed:
        return None


def dump_fault(fault: OAuthFault) -> bytes:
    """Return the body of an error response."""
    return fields.dump({"error": fault.error, "error_description": fault.description})


@dataclass(frozen=True, slots=True)
class UserInfo:
    """Whose token it is, who pays, and what stands behind the gateway, as the server says now."""

    sub: str
    email: str | None = None
    name: str | None = None
    organization_id: str | None = None
    organization_name: str | None = None
    billing_class: str | None = None
    upstream: str | None = None


def parse_userinfo(body: bytes) -> UserInfo:
    """Read a userinfo response; ``sub`` must be in it."""
    document = Fields.parse(body, "user information")
    organization = document.object("organization")
    return UserInfo(
        sub=document.text("sub"),
        email=document.optional_text("email"),
        name=document.optional_text("name"),
        organization_id=organization.optional_text("id"),
        organization_name=organization.optional_text("name"),
        billing_class=document.optional_text("billing_class"),
        upstream=document.optional_text("upstream"),
    )


def dump_userinfo(info: UserInfo) -> bytes:
    """Return the body of a userinfo response."""
    organization = {"id": info.organization_id, "name": info.organization_name}
    return fields.dump(
        {
            "sub": info.sub,
            "email": info.email,
            "name": info.name,
            "organization": organization if any(organization.values()) else None,
            "billing_class": info.billing_class,
            "upstream": info.upstream,
        }
    )
