"""What this server says about itself (RFC 8414), and where its endpoints are: one table for both."""

from typing import Any, Final

from keystead.server.assertions import ALGORITHMS
from keystead.server.authorization.checks.scopes import MEANINGS
from keystead.server.authorization.grants import TABLE
from keystead.server.authorization.models import AuthMethod
from keystead.wire.oauth import METADATA_PATH

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
}
FEDERATION_PATH: Final = "v1/oauth/token"
"""Where the vendor's SDKs exchange an identity token: below the address of the API, so that ours is a drop-in."""
_AUTHENTICATING: Final = ("token", "revocation")
_SIGNED: Final = (*_AUTHENTICATING, "introspection")
METADATA: Final = METADATA_PATH.removeprefix("/")


def document(issuer: str) -> dict[str, Any]:
    """Return the metadata of the server at ``issuer``, an origin without a trailing slash."""
    return {
        "issuer": issuer,
        **{name: f"{issuer}/{path}" for name, path in PATHS.items()},
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(TABLE),
        "code_challenge_methods_supported": ["S256"],
        **{f"{endpoint}_endpoint_auth_methods_supported": AuthMethod.values for endpoint in _AUTHENTICATING},
        "introspection_endpoint_auth_methods_supported": AuthMethod.values[1:],
        **{f"{name}_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS) for name in _SIGNED},
        "scopes_supported": list(MEANINGS),
        "authorization_response_iss_parameter_supported": True,
        "gateway_protocol_version": PROTOCOL_VERSION,
    }
