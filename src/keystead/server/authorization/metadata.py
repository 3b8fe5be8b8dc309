"""What this server says about itself (RFC 8414), and where its endpoints are: one table for both."""

from typing import Any, Final

from keystead.server.authorization.checks.scopes import MEANINGS
from keystead.server.authorization.grants import TABLE
from keystead.wire.oauth import METADATA_PATH

PROTOCOL_VERSION: Final = 1
"""Of the gateway protocol; clients of that protocol sign in only where they find it."""

PATHS: Final = {
    "authorization_endpoint": "oauth/authorize",
    "token_endpoint": "oauth/token",
    "device_authorization_endpoint": "oauth/device_authorization",
    "revocation_endpoint": "oauth/revoke",
    "userinfo_endpoint": "oauth/userinfo",
    "jwks_uri": "oauth/jwks",
}
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
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "scopes_supported": list(MEANINGS),
        "authorization_response_iss_parameter_supported": True,
        "gateway_protocol_version": PROTOCOL_VERSION,
    }
