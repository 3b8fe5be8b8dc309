"""The document, put together."""

from typing import Any, Final

from keystead import __version__
from keystead.server.site.openapi import gateway, limits, oauth, scim
from keystead.server.site.openapi.schemas import SCHEMAS, SECURITY

Document = dict[str, Any]

_TAGS: Final = {
    "oauth": "Signing in: OAuth 2, OpenID Connect, and the extensions that the discovery document names.",
    "gateway": "Models, and what agents ask the gateway for.",
    "limits": "What may be spent, by API keys of administrators that were made for any program.",
    "scim": "Provisioning by an identity provider (SCIM 2.0), which describes itself at its own /Schemas.",
    "server": "The server about itself.",
}


def document() -> Document:
    """Return the document; the same for every installation."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Keystead",
            "version": __version__,
            "description": "What programs ask a Keystead server. Pages for people are not in here.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": {**oauth.paths(), **gateway.paths(), **limits.paths(), **scim.paths()},
        "components": {"schemas": SCHEMAS, "securitySchemes": SECURITY},
    }
