"""Spend limits, for programs of an administrator: addresses are read from the domain's own list."""

from typing import Any, Final

from keystead.server.limits import urls
from keystead.server.limits.documents import NAMES
from keystead.server.policy.limits import Period, Scope
from keystead.server.site.openapi.gateway import refused
from keystead.server.site.openapi.schemas import FLAG, TEXT, Schema, body_of, shape

_JSON: Final = "application/json"
_PAGE: Final = [
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000}},
    {"name": "page", "in": "query", "schema": TEXT, "description": "What next_page was."},
]
_WHOSE: Final = {"name": "user_ids[]", "in": "query", "schema": {"type": "array", "items": TEXT}}
_WHICH: Final = {"name": "limit_id", "in": "path", "required": True, "schema": TEXT}
_SCOPE: Final = shape("type", type={"enum": list(Scope)}, **dict.fromkeys(NAMES.values(), TEXT))
_ASKED: Final = shape(
    "scope", scope=_SCOPE, amount={"type": ["string", "null"]}, period={"enum": list(Period)}, shared=FLAG
)
_OBJECT: Final[Schema] = shape("type", type=TEXT)
_LIST: Final = shape("data next_page", data={"type": "array", "items": _OBJECT}, next_page={"type": ["string", "null"]})


def _asked(summary: str, answer: Schema, *parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    said = {"description": "The answer.", "content": body_of(_JSON, schema=answer)}
    return {
        "summary": summary,
        "security": [{"key": []}, {"bearer": []}],
        "parameters": list(parameters),
        "responses": {"200": said, **refused(400, 401, 403, 404, 405)},
        **more,
    }


_SENT: Final = {"required": True, "content": body_of(_JSON, schema=_ASKED)}
OPERATIONS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "api_spend_limits": {
        "get": _asked("The organization's spend limits.", _LIST, *_PAGE),
        "post": _asked("Set a spend limit.", _OBJECT, requestBody=_SENT),
    },
    "api_spend_limits_effective": {"get": _asked("What holds for each member.", _LIST, *_PAGE, _WHOSE)},
    "api_spend_limits_audit": {"get": _asked("Who changed which limit.", _LIST, *_PAGE)},
    "api_spend_limit": {
        "get": _asked("One spend limit.", _OBJECT, _WHICH),
        "delete": _asked("Remove a spend limit.", _OBJECT, _WHICH),
    },
}
"""By the name of the address in ``limits/urls.py``."""


def paths() -> dict[str, Any]:
    """Return the path items, by their addresses."""
    return {
        "/" + str(pattern.pattern).replace("<str:", "{").replace(">", "}"): {
            method: {"tags": ["limits"], "operationId": f"{method}_{pattern.name}", **operation}
            for method, operation in OPERATIONS[str(pattern.name)].items()
        }
        for pattern in urls.urlpatterns
    }
