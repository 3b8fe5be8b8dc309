"""The gateway's addresses: those that are relayed from its table of routes, and those that it answers itself."""

import re
from typing import Any, Final

from keystead.server.gateway import clients, otlp, routes
from keystead.server.gateway.refusals import TYPES
from keystead.server.site.openapi.schemas import FLAG, TEXT, Schema, body_of, ref, shape
from keystead.wire import limits

_JSON: Final = "application/json"
_WHOEVER: Final[list[dict[str, list[str]]]] = [{"bearer": []}, {"key": []}, {"dpop": []}]

BODIES: Final[dict[str, Schema]] = {
    routes.MESSAGES.name: shape(
        "model messages",
        model=TEXT,
        messages={"type": "array", "items": {"type": "object"}},
        max_tokens={"type": "integer", "minimum": 1},
        stream=FLAG,
    ),
    routes.OPENAI.name: shape("model", model=TEXT, stream=FLAG),
}
"""By the format of a route: what the gateway reads of a request; the rest is the upstream's."""

_PLACES: Final = {
    "model": {"type": "string", "pattern": "^[A-Za-z0-9]([.]?[A-Za-z0-9_:@-]){0,99}$"},
    "project": {"type": "string", "pattern": "^[a-z][a-z0-9-]{4,28}[a-z0-9]$"},
    "location": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,28}[a-z0-9]$"},
}
"""What stands in a path in a cloud's format; a model's ARN, percent-encoded, besides."""
_AMAZONS_STREAM: Final = "application/vnd.amazon.eventstream"

_QUERY: Final = [
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000}},
    {"name": "after_id", "in": "query", "schema": TEXT},
    {"name": "before_id", "in": "query", "schema": TEXT},
]
_KNOWN: Final = [{"name": "If-None-Match", "in": "header", "schema": TEXT}]
_ETAG: Final = {"ETag": {"required": True, "schema": TEXT}}


def _page(summary: str, media_type: str, schema: Schema, **more: Any) -> dict[str, Any]:
    return {
        "tags": ["server"],
        "summary": summary,
        "security": [{}],
        "responses": {"200": {"description": "The answer.", "content": body_of(media_type, schema=schema)}},
        **more,
    }


def refused(*statuses: int) -> dict[str, Any]:
    """Return the error answers with these statuses, in the gateway's envelope."""
    content = body_of(_JSON, schema=ref("GatewayError"))
    return {str(status): {"description": TYPES[status].replace("_", " "), "content": content} for status in statuses}


_FAILED: Final = {
    "5XX": {
        "description": "The upstream or the gateway failed.",
        "content": body_of(_JSON, schema=ref("GatewayError")),
    }
}
_UPSTREAM_SAID_NO: Final = {
    "4XX": {"description": "Refused, by the gateway in this shape or by the upstream in its own.", "content": {}}
}


def _models() -> dict[str, Any]:
    answer = {"description": "A part of the list.", "content": body_of(_JSON, schema=ref("Models"))}
    responses = {"200": answer, **refused(400, 401, 403), **_FAILED}
    return {
        "tags": ["gateway"],
        "summary": "The models that the caller may ask.",
        "security": _WHOEVER,
        "parameters": _QUERY,
        "responses": responses,
    }


def _limits() -> dict[str, Any]:
    answer = {
        "description": "Each limit, the nearest first; money in whole cents.",
        "content": body_of(_JSON, schema=ref("Limits")),
    }
    return {
        "tags": ["gateway"],
        "summary": "What is left of the limits that hold for the caller.",
        "security": _WHOEVER,
        "responses": {"200": answer, **refused(400, 401, 403), **_FAILED},
    }


def _settings() -> dict[str, Any]:
    answer = {"description": "The settings.", "headers": _ETAG, "content": body_of(_JSON, schema={"type": "object"})}
    unchanged = {"description": "The caller has them.", "headers": _ETAG}
    return {
        "tags": ["gateway"],
        "summary": "The managed settings that apply to the caller; 404 when no policy does.",
        "security": _WHOEVER,
        "parameters": _KNOWN,
        "responses": {"200": answer, "304": unchanged, **refused(400, 401, 403, 404), **_FAILED},
    }


def _telemetry(signal: str) -> dict[str, Any]:
    sent = {otlp.JSON: {"schema": {"type": "object"}}, otlp.PROTOBUF: {}}
    taken = {"description": "Taken, or discarded.", "content": sent}
    return {
        "tags": ["gateway"],
        "summary": f"Take an agent's {signal} (OTLP); whatever becomes of them, a known caller is answered 200.",
        "security": _WHOEVER,
        "requestBody": {"content": sent},
        "responses": {"200": taken, **refused(400, 401, 403), **_FAILED},
    }


_HELLO: Final = {"responses": {"200": {"description": "It is here."}}}
_UNREADY: Final = {
    "200": {"description": "It is.", "content": body_of("text/plain", schema=TEXT)},
    "503": {"description": "Not yet; the body says why.", "content": body_of("text/plain", schema=TEXT)},
}
PAGES: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("get", "/healthz"): _page("Whether the process lives.", "text/plain", TEXT),
    ("get", "/readyz"): _page("Whether requests can be answered.", "text/plain", TEXT, responses=_UNREADY),
    ("get", "/protocol"): _page("The gateway protocol, for people.", "text/markdown", TEXT),
    ("get", "/v1/models"): _models(),
    ("get", limits.PATH): _limits(),
    ("get", "/managed/settings"): _settings(),
    **{("post", path): _telemetry(signal) for path, signal in otlp.SIGNALS.items()},
    ("head", "/"): _page("Whether a gateway is here.", "text/plain", TEXT, **_HELLO),
    ("head", "/api/hello"): _page("Whether a gateway is here.", "text/plain", TEXT, **_HELLO),
}
"""What the gateway answers itself: as many as :attr:`keystead.server.gateway.pages.Pages.addresses`."""


def paths() -> dict[str, Any]:
    """Return the path items, by their addresses."""
    found: dict[str, Any] = {
        path.decode(): {"post": _relayed(path.decode(), route)} for path, route in routes.ROUTES.items()
    }
    found |= {path: {"post": _of_cloud(path, cloud)} for path, cloud in clients.ADDRESSES.items()}
    for (method, path), operation in PAGES.items():
        operation_id = f"{method}{path}".replace("/", "_")
        found.setdefault(path, {})[method] = {"operationId": operation_id, **operation}
    return found


def _of_cloud(path: str, cloud: str) -> dict[str, Any]:
    places = [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in _PLACES.items()
        if f"{{{name}}}" in path
    ]
    free = path.endswith(("count_tokens", "count-tokens"))
    operation = _relayed(path, routes.Route(routes.MESSAGES, metered=not free))
    said = operation["responses"]["200"]
    said["content"] = said["content"] | {_AMAZONS_STREAM: {}}
    body = {"type": "object"} if places else BODIES[routes.MESSAGES.name]
    return operation | {
        "operationId": re.sub(r"\W+", "_", f"post{path}").strip("_"),
        "summary": f"Ask a model, in the format of {cloud}.{' It costs nothing.' if free else ''}",
        "parameters": places,
        "requestBody": {"required": True, "content": body_of(_JSON, schema=body)},
    }


def _relayed(path: str, route: routes.Route) -> dict[str, Any]:
    said = {
        "description": "The upstream's answer, as it came; a stream of events where the request says so.",
        "content": {_JSON: {"schema": {"type": "object"}}, "text/event-stream": {"schema": TEXT}},
    }
    free = "" if route.metered else " It costs nothing."
    return {
        "tags": ["gateway"],
        "operationId": f"post{path}".replace("/", "_"),
        "summary": f"Ask a model, in the {route.format.name} format.{free}",
        "security": _WHOEVER,
        "requestBody": {"required": True, "content": body_of(_JSON, schema=BODIES[route.format.name])},
        "responses": {"200": said, **refused(*(400, 401, 403, 405, 408, 413, 431)), **_UPSTREAM_SAID_NO, **_FAILED},
    }
