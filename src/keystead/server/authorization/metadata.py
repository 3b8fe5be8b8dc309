"""What this server says about itself (RFC 8414), and where its endpoints are: one table for both."""

from typing import Any, Final

from keystead.server.assertions import ALGORITHMS
from keystead.server.authorization import browser_session, id_tokens, keys
from keystead.server.authorization.authorization_requests import PROMPTS
from keystead.server.authorization.checks.scopes import MEANINGS, MODELS_USE
from keystead.server.authorization.grants import TABLE
from keystead.server.authorization.models import AuthMethod
from keystead.wire.oauth import METADATA_PATH, OPENID_METADATA_PATH, PROTECTED_RESOURCE_PATH

PROTOCOL_VERSION: Final = 1
"""Of the gateway protocol; clients of that protocol sign in only where they find it."""

PATHS: Final = {
    "authorization_endpoint": "oauth/authorize",
    "token_endpoint": "oauth/token",
    "device_authorization_endpoint": "oauth/device_authorization",
    "revocation_endpoint": "oauth/revoke",
    "introspection_endpoint": "oauth/introspect",
    "userinfo_endpoint": "oauth/userinfo",
    "jwks_uri": "oauth/jwks",
    "pushed_authorization_request_endpoint": "oauth/par",
}
REGISTRATION_PATH: Final = "oauth/register"
"""Told of only while it is on."""
FEDERATION_PATH: Final = "v1/oauth/token"
"""Where the vendor's SDKs exchange an identity token: below the address of the API, so that ours is a drop-in."""
_AUTHENTICATING: Final = ("token", "revocation")
_SIGNED: Final = (*_AUTHENTICATING, "introspection")
METADATA: Final = METADATA_PATH.removeprefix("/")
OPENID: Final = OPENID_METADATA_PATH.removeprefix("/")
RESOURCE: Final = PROTECTED_RESOURCE_PATH.removeprefix("/")


def document(issuer: str, *, registration: bool = False) -> dict[str, Any]:
    """Return the metadata of the server at ``issuer``, an origin without a trailing slash.

    One document serves RFC 8414 and OpenID Connect Discovery, so that they cannot differ.

    Args:
        issuer: the server's name.
        registration: whether programs may register themselves (RFC 7591).
    """
    return {
        "issuer": issuer,
        **{name: f"{issuer}/{path}" for name, path in PATHS.items()},
        **({"registration_endpoint": f"{issuer}/{REGISTRATION_PATH}"} if registration else {}),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(TABLE),
        "code_challenge_methods_supported": ["S256"],
        **{f"{endpoint}_endpoint_auth_methods_supported": AuthMethod.values for endpoint in _AUTHENTICATING},
        "introspection_endpoint_auth_methods_supported": AuthMethod.values[1:],
        **{f"{name}_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS) for name in _SIGNED},
        "scopes_supported": list(MEANINGS),
        "authorization_response_iss_parameter_supported": True,
        "require_pushed_authorization_requests": False,
        "dpop_signing_alg_values_supported": list(ALGORITHMS),
        "protected_resources": [issuer],
        "gateway_protocol_version": PROTOCOL_VERSION,
        **_OPENID,
    }


_OPENID: Final = {
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": [keys.ALGORITHM],
    "claims_supported": list(id_tokens.CLAIMS),
    "claim_types_supported": ["normal"],
    "acr_values_supported": list(browser_session.CONTEXTS),
    "prompt_values_supported": sorted(PROMPTS),
    "claims_parameter_supported": False,
    "request_parameter_supported": False,
    "request_uri_parameter_supported": False,
    "backchannel_logout_supported": True,
    "backchannel_logout_session_supported": True,
}


def resource(issuer: str) -> dict[str, Any]:
    """Return what the gateway says about itself to clients (RFC 9728)."""
    return {
        "resource": issuer,
        "resource_name": "Keystead gateway",
        "authorization_servers": [issuer],
        "jwks_uri": f"{issuer}/{PATHS['jwks_uri']}",
        "scopes_supported": [MODELS_USE],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": list(ALGORITHMS),
        "dpop_bound_access_tokens_required": False,
        "resource_documentation": f"{issuer}/protocol",
    }
