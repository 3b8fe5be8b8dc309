"""The shapes that several operations share, and how a program proves who it is."""

from typing import Any, Final

from keystead.server.gateway.refusals import TYPES
from keystead.server.policy.limits import SUBJECTS, Beyond, Measure, Period, Scope

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
ADDRESS: Final[Schema] = {"type": "string", "format": "uri"}
SECONDS: Final[Schema] = {"type": "number", "minimum": 0}
FLAG: Final[Schema] = {"type": "boolean"}
TEXTS: Final[Schema] = {"type": "array", "items": TEXT}


def ref(name: str) -> Schema:
    """Return a reference to a shape of :data:`SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def shape(required: str, **properties: Schema) -> Schema:
    """Return an object; ``required`` names, in words, what it must have."""
    return {"type": "object", "required": required.split(), "properties": properties}


def body_of(*media_types: str, schema: Schema) -> dict[str, Any]:
    """Return the content of a request or an answer in any of these media types."""
    return {media_type: {"schema": schema} for media_type in media_types}


_GATEWAY_TYPES: Final = sorted({*TYPES.values(), "api_error"})

_NULLABLE: Final[Schema] = {"type": ["string", "null"]}
_LIMIT: Final = shape(
    "type limit_id measure period source shared beyond amount used remaining percent_used currency resets_at"
    " is_gradual is_warning",
    type={"const": "limit"},
    limit_id=TEXT,
    measure={"enum": list(Measure)},
    period={"enum": list(Period)},
    source=shape("type", type={"enum": list(Scope)}, **dict.fromkeys(SUBJECTS.values(), TEXT)),
    shared=FLAG,
    beyond={"enum": list(Beyond)},
    amount=TEXT,
    used=TEXT,
    remaining=TEXT,
    percent_used={"type": "integer", "minimum": 0},
    currency=_NULLABLE,
    resets_at=_NULLABLE,
    is_gradual=FLAG,
    is_warning=FLAG,
)

SCHEMAS: Final[dict[str, Schema]] = {
    "OAuthError": shape("error", error=TEXT, error_description=TEXT),
    "GatewayError": shape(
        "type request_id error",
        type={"const": "error"},
        request_id=TEXT,
        error=shape("type message", type={"type": "string", "examples": _GATEWAY_TYPES}, message=TEXT),
    ),
    "Token": shape(
        "access_token token_type expires_in",
        access_token=TEXT,
        token_type={"enum": ["Bearer", "DPoP"]},
        expires_in=SECONDS,
        refresh_token=TEXT,
        scope=TEXT,
        issued_token_type=TEXT,
        id_token=TEXT,
        revocation_ticket=TEXT,
        revocation_ticket_expires_in=SECONDS,
    ),
    "DeviceAuthorization": shape(
        "device_code user_code verification_uri expires_in interval",
        device_code=TEXT,
        user_code=TEXT,
        verification_uri=ADDRESS,
        verification_uri_complete=ADDRESS,
        expires_in=SECONDS,
        interval=SECONDS,
    ),
    "PushedRequest": shape("request_uri expires_in", request_uri=TEXT, expires_in=SECONDS),
    "Introspection": shape(
        "active", active=FLAG, token_type=TEXT, client_id=TEXT, scope=TEXT, sub=TEXT, exp={"type": "integer"}
    ),
    "UserInfo": shape(
        "sub",
        sub=TEXT,
        email=TEXT,
        name=TEXT,
        organization=shape("", id=TEXT, name=TEXT),
        billing_class=TEXT,
        upstream=TEXT,
    ),
    "KeySet": shape("keys", keys={"type": "array", "items": shape("kty kid", kty=TEXT, kid=TEXT)}),
    "ServerMetadata": shape(
        "issuer token_endpoint authorization_endpoint jwks_uri grant_types_supported gateway_protocol_version",
        issuer=ADDRESS,
        token_endpoint=ADDRESS,
        authorization_endpoint=ADDRESS,
        jwks_uri=ADDRESS,
        grant_types_supported=TEXTS,
        scopes_supported=TEXTS,
        gateway_protocol_version={"type": "integer"},
    ),
    "ResourceMetadata": shape(
        "resource authorization_servers", resource=ADDRESS, authorization_servers={"type": "array", "items": ADDRESS}
    ),
    "Client": shape(
        "client_id client_name grant_types redirect_uris scope",
        client_id=TEXT,
        client_secret=TEXT,
        client_name=TEXT,
        token_endpoint_auth_method=TEXT,
        grant_types=TEXTS,
        response_types=TEXTS,
        redirect_uris={"type": "array", "items": ADDRESS},
        scope=TEXT,
        registration_client_uri=ADDRESS,
        registration_access_token=TEXT,
    ),
    "Limits": shape("type data", type={"const": "limits"}, data={"type": "array", "items": _LIMIT}),
    "Models": shape(
        "data has_more first_id last_id",
        data={"type": "array", "items": shape("id type", id=TEXT, type={"const": "model"}, display_name=TEXT)},
        has_more=FLAG,
        first_id={"type": ["string", "null"]},
        last_id={"type": ["string", "null"]},
    ),
    "ScimError": shape("schemas status", schemas=TEXTS, status={"type": ["string", "integer"]}, detail=TEXT),
}

SECURITY: Final[dict[str, Schema]] = {
    "client": {"type": "http", "scheme": "basic", "description": "A client's identifier and secret."},
    "bearer": {"type": "http", "scheme": "bearer", "description": "An access token, or an API key at the gateway."},
    "dpop": {
        "type": "apiKey",
        "in": "header",
        "name": "DPoP",
        "description": "A proof of the key that the access token is bound to (RFC 9449).",
    },
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "An API key, at the gateway."},
}
