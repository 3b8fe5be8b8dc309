"""The authorization server's endpoints: what can be asked is read from its tables, what it means from its views."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from keystead.server.authorization import metadata
from keystead.server.authorization.authorization_requests import PROMPTS
from keystead.server.authorization.grants import TABLE
from keystead.server.authorization.models import AuthMethod
from keystead.server.authorization.views import endpoints, registration
from keystead.server.authorization.views.userinfo import userinfo
from keystead.server.site.openapi.schemas import ADDRESS, TEXT, TEXTS, Schema, body_of, ref, shape

_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_CLIENT: Final = dict.fromkeys(("client_id", "client_secret", "client_assertion", "client_assertion_type"), TEXT)


@dataclass(frozen=True, slots=True)
class Posted:
    """An endpoint with parameters in the body.

    Attributes:
        path: without the slash at its beginning.
        view: whose docstring says what it does.
        required: parameters that must be there, in words.
        parameters: the others beside those by which a client proves who it is.
        answer: the shape of the answer; None for an empty object.
        status: of the answer.
    """

    path: str
    view: Callable[..., Any]
    required: Mapping[str, Schema]
    parameters: Mapping[str, Schema]
    answer: str | None
    status: int = 200


def _texts(names: str) -> dict[str, Schema]:
    return dict.fromkeys(names.split(), TEXT)


_TOKEN_REQUEST: Final[tuple[Mapping[str, Schema], Mapping[str, Schema]]] = (
    {"grant_type": {"type": "string", "enum": list(TABLE)}},
    _texts(
        "code redirect_uri code_verifier refresh_token device_code scope resource assertion federation_rule_id"
        " organization_id service_account_id workspace_id subject_token subject_token_type actor_token"
        " actor_token_type requested_token_type audience"
    ),
)
_PUSHED: Final = {
    **_texts("scope state nonce login_hint max_age dpop_jkt resource"),
    "prompt": {"type": "string", "description": f"Of {', '.join(sorted(PROMPTS))}, parted by spaces."},
}
_TO_PUSH: Final[Mapping[str, Schema]] = {
    "response_type": {"const": "code"},
    "redirect_uri": ADDRESS,
    "code_challenge": TEXT,
    "code_challenge_method": {"const": "S256"},
}
_AT: Final = metadata.PATHS
POSTED: Final = (
    Posted(_AT["token_endpoint"], endpoints.token, *_TOKEN_REQUEST, "Token"),
    Posted(metadata.FEDERATION_PATH, endpoints.token, *_TOKEN_REQUEST, "Token"),
    Posted(
        _AT["device_authorization_endpoint"],
        endpoints.device_authorization,
        {},
        _texts("scope resource"),
        "DeviceAuthorization",
    ),
    Posted(
        _AT["pushed_authorization_request_endpoint"],
        endpoints.par,
        _TO_PUSH,
        _PUSHED,
        "PushedRequest",
        201,
    ),
    Posted(_AT["revocation_endpoint"], endpoints.revoke, _texts("token"), _texts("token_type_hint"), None),
    Posted(_AT["introspection_endpoint"], endpoints.introspect, _texts("token"), {}, "Introspection"),
)
"""The endpoints that take POST with a form or JSON."""


def paths() -> dict[str, Any]:
    """Return the path items, by their addresses."""
    return {**{f"/{row.path}": {"post": _posted(row)} for row in POSTED}, **_others()}


def _posted(row: Posted) -> dict[str, Any]:
    asked = {**shape("", **row.required, **row.parameters, **_CLIENT), "required": list(row.required)}
    answer = ref(row.answer) if row.answer else {"type": "object"}
    return {
        **_about(row.view, row.path),
        "security": [{}, {"client": []}],
        "parameters": [_PROOF],
        "requestBody": {"required": bool(row.required), "content": body_of(_FORM, _JSON, schema=asked)},
        "responses": {str(row.status): _said("What was asked for.", answer), **refusals(400, 401, 403, 405, 413, 429)},
    }


def _about(view: Callable[..., Any], path: str, method: str = "post") -> dict[str, Any]:
    return {
        "tags": ["oauth"],
        "operationId": f"{method}_{path}".replace("/", "_").replace(".", "").replace("-", "_"),
        "summary": " ".join((inspect.getdoc(view) or "").split("\n\n")[0].split()),
    }


def _said(description: str, schema: Schema) -> dict[str, Any]:
    return {"description": description, "headers": NOT_KEPT, "content": body_of(_JSON, schema=schema)}


_MEANING: Final = {
    400: "The request is not in order; `error` is a code of the standard.",
    401: "Who asks is not proven, or has no access any more.",
    403: "A rule forbids it.",
    404: "There is no such thing here.",
    405: "The method is not supported; Allow names those that are.",
    413: "The request is too large.",
    429: "Too many attempts; try again after Retry-After.",
}
_HEADERS: Final[Mapping[int, dict[str, Any]]] = {
    405: {"Allow": {"required": True, "schema": TEXT}},
    429: {"Retry-After": {"required": True, "schema": TEXT}},
}
NOT_KEPT: Final[dict[str, Any]] = {"Cache-Control": {"required": True, "schema": TEXT}}
_PROOF: Final = {
    "name": "DPoP",
    "in": "header",
    "required": False,
    "schema": TEXT,
    "description": "Proof of a key (RFC 9449); the token is then bound to it.",
}


def refusals(*statuses: int) -> dict[str, Any]:
    """Return the error answers with these statuses, in the shape of RFC 6749 section 5.2."""
    return {
        str(status): {
            "description": _MEANING[status],
            "headers": {**NOT_KEPT, **_HEADERS.get(status, {})},
            "content": body_of(_JSON, schema=ref("OAuthError")),
        }
        for status in statuses
    }


def _others() -> dict[str, Any]:
    server = _read(metadata.METADATA, endpoints.document, "ServerMetadata")
    openid = _read(metadata.OPENID, endpoints.document, "ServerMetadata")
    return {
        f"/{metadata.METADATA}": {"get": server},
        f"/{metadata.OPENID}": {"get": openid},
        f"/{metadata.RESOURCE}": {"get": _read(metadata.RESOURCE, endpoints.resource, "ResourceMetadata")},
        f"/{_AT['jwks_uri']}": {"get": _read(_AT["jwks_uri"], endpoints.jwks, "KeySet")},
        f"/{_AT['userinfo_endpoint']}": {method: _userinfo(method) for method in ("get", "post")},
        f"/{metadata.REGISTRATION_PATH}": {"post": _register()},
        f"/{metadata.REGISTRATION_PATH}/{{client_id}}": _registered(),
    }


def _read(path: str, view: Callable[..., Any], answer: str) -> dict[str, Any]:
    responses = {"200": _said("The document.", ref(answer))}
    return {**_about(view, path, "get"), "security": [{}], "responses": responses}


def _userinfo(method: str) -> dict[str, Any]:
    nobody = {**refusals(401)["401"], "content": body_of(_JSON, schema={"anyOf": [ref("OAuthError"), _EMPTY]})}
    nobody["headers"] = {**NOT_KEPT, "WWW-Authenticate": {"required": True, "schema": TEXT}}
    return {
        **_about(userinfo, _AT["userinfo_endpoint"], method),
        "security": [{"bearer": []}, {"dpop": []}],
        "responses": {"200": _said("Who it is.", ref("UserInfo")), "401": nobody, **refusals(405)},
    }


_EMPTY: Final[Schema] = {"type": "object", "maxProperties": 0}


def _register() -> dict[str, Any]:
    asked = shape(
        "",
        client_name=TEXT,
        redirect_uris={"type": "array", "items": ADDRESS},
        grant_types={"type": "array", "items": {"enum": list(TABLE)}},
        response_types=TEXTS,
        scope=TEXT,
        token_endpoint_auth_method={"enum": list(AuthMethod.values)},
        jwks={"type": "object"},
        backchannel_logout_uri=ADDRESS,
    )
    return {
        **_about(registration.register, metadata.REGISTRATION_PATH),
        "security": [{"bearer": []}],
        "requestBody": {"required": True, "content": body_of(_JSON, schema=asked)},
        "responses": {
            "201": _said("The client, with its secret.", ref("Client")),
            **refusals(400, 401, 403, 404, 405, 413, 429),
        },
    }


def _registered() -> dict[str, Any]:
    path = f"{metadata.REGISTRATION_PATH}/client"
    refused = refusals(400, 401, 404, 405, 429)
    get = {**_about(registration.registered, path, "get"), "security": [{"bearer": []}]}
    delete = {**_about(registration.registered, path, "delete"), "security": [{"bearer": []}]}
    return {
        "parameters": [{"name": "client_id", "in": "path", "required": True, "schema": TEXT}],
        "get": {**get, "responses": {"200": _said("The client.", ref("Client")), **refused}},
        "delete": {**delete, "responses": {"204": {"description": "It has ended."}, **refused}},
    }
