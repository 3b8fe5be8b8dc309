"""Spend limits and allowances, for programs of an administrator: addresses are read from their own list."""

from collections.abc import Iterable
from typing import Any, Final

from keystead.server.api import urls
from keystead.server.api.documents import CALLED
from keystead.server.policy.limits import ALLOWING, PERIODS, SUBJECTS, Beyond, Measure, Scope
from keystead.server.site.openapi.gateway import refused
from keystead.server.site.openapi.schemas import FLAG, TEXT, Schema, body_of, shape

_JSON: Final = "application/json"
_PAGE: Final = [
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000}},
    {"name": "page", "in": "query", "schema": TEXT, "description": "What next_page was."},
]
_WHOSE: Final = {"name": "user_ids[]", "in": "query", "schema": {"type": "array", "items": TEXT}}
_WHICH: Final = {"name": "limit_id", "in": "path", "required": True, "schema": TEXT}
_AMOUNT: Final = {"type": ["string", "null"]}


def _scope(scopes: Iterable[Scope]) -> Schema:
    names = {SUBJECTS[one]: TEXT for one in scopes if one in SUBJECTS}
    return shape("type", type={"enum": list(scopes)}, **names)


_ASKED: Final = {
    Measure.SPEND: shape(
        "scope", scope=_scope(list(Scope)), amount=_AMOUNT, period={"enum": list(PERIODS[Measure.SPEND])}, shared=FLAG
    ),
    Measure.ALLOWANCE: shape(
        "scope period",
        scope=_scope([one for one in Scope if one in ALLOWING]),
        amount=_AMOUNT,
        period={"enum": list(PERIODS[Measure.ALLOWANCE])},
        beyond={"enum": list(Beyond)},
    ),
}
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


def _operations(measure: Measure) -> dict[str, dict[str, dict[str, Any]]]:
    called = CALLED[measure].replace("_", " ")
    sent = {"required": True, "content": body_of(_JSON, schema=_ASKED[measure])}
    return {
        "s": {
            "get": _asked(f"The organization's {called}s.", _LIST, *_PAGE),
            "post": _asked(f"Set one of the {called}s.", _OBJECT, requestBody=sent),
        },
        "s_effective": {"get": _asked(f"Which {called}s hold for each member.", _LIST, *_PAGE, _WHOSE)},
        "s_audit": {"get": _asked(f"Who changed which of the {called}s.", _LIST, *_PAGE)},
        "": {
            "get": _asked(f"One of the {called}s.", _OBJECT, _WHICH),
            "delete": _asked(f"Remove one of the {called}s.", _OBJECT, _WHICH),
        },
    }


OPERATIONS: Final = {
    f"api_{called}{name}": operations
    for measure, called in CALLED.items()
    for name, operations in _operations(measure).items()
}
"""By the name of the address in ``api/urls.py``."""


def paths() -> dict[str, Any]:
    """Return the path items, by their addresses."""
    return {
        "/" + str(pattern.pattern).replace("<str:", "{").replace(">", "}"): {
            method: {"tags": ["limits"], "operationId": f"{method}_{pattern.name}", **operation}
            for method, operation in OPERATIONS[str(pattern.name)].items()
        }
        for pattern in urls.urlpatterns
    }
