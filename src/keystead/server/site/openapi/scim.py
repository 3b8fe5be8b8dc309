"""SCIM describes itself (RFC 7643 section 7): this document says where, and what is common to all of it."""

from typing import Any, Final

from keystead.server.site.openapi.schemas import TEXT, Schema, body_of, ref

_MEDIA: Final = ("application/scim+json",)
_ORGANIZATION: Final = {
    "name": "organization_id",
    "in": "path",
    "required": True,
    "schema": TEXT,
    "description": "As **Provisioning** in the console shows it.",
}
_ENDPOINTS: Final = {
    "ServiceProviderConfig": "What this SCIM service can do.",
    "ResourceTypes": "The types of its resources.",
    "Schemas": "The schemas of its resources: where users and groups are described.",
    "Users": "The organization's people. Filters, creation, replacement and patches are as RFC 7644 has them.",
    "Groups": "The organization's groups.",
}
_REFUSED: Final = (400, 401, 403, 404)


def paths() -> dict[str, Any]:
    """Return the path items, by their addresses."""
    return {f"/scim/v2/{{organization_id}}/{name}": _item(name, text) for name, text in _ENDPOINTS.items()}


def _item(name: str, text: str) -> dict[str, Any]:
    get = {
        "tags": ["scim"],
        "operationId": f"get_scim_{name}",
        "summary": text,
        "security": [{"bearer": []}],
        "responses": {
            "200": _said("The resources.", {"type": "object"}),
            **{str(status): _said("Refused.", ref("ScimError")) for status in _REFUSED},
        },
    }
    return {"parameters": [_ORGANIZATION], "get": get}


def _said(description: str, schema: Schema) -> dict[str, Any]:
    return {"description": description, "content": body_of(*_MEDIA, schema=schema)}
