"""The OpenAPI document is valid, says of every address what it is, and is served to everybody."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from django.test import Client
    from django.urls import URLPattern, URLResolver

pytestmark = pytest.mark.usefixtures("database")


def described() -> dict[str, Any]:
    from keystead.server.site.openapi.document import document

    return document()


def addresses() -> "Iterator[tuple[str, URLPattern]]":
    """Every address of the control plane with the module that it stands in."""
    from django.urls import get_resolver

    def below(entries: "list[URLPattern | URLResolver]", module: str) -> "Iterator[tuple[str, URLPattern]]":
        for entry in entries:
            inner = getattr(entry, "url_patterns", None)
            if inner is None:
                yield module, cast("URLPattern", entry)
            else:
                yield from below(inner, cast("URLResolver", entry).urlconf_name.__name__)  # type: ignore[union-attr]

    yield from below(get_resolver().url_patterns, "keystead.server.site.urls")


def in_document(pattern: "URLPattern") -> bool:
    from keystead.server.site.openapi.view import PATH

    path = "/" + str(pattern.pattern).replace("<str:", "{").replace(">", "}")
    return path in described()["paths"] or path.startswith("/scim/v2/{organization_id}") or path == f"/{PATH}"


def is_for_people(module: str, pattern: "URLPattern", reason: str) -> bool:
    return module == reason or bool(pattern.name and pattern.name.startswith(reason))


def test_every_address_is_in_the_document_or_has_a_reason() -> None:
    from keystead.server.site.openapi.omitted import PEOPLE

    missing = [
        str(pattern.pattern)
        for module, pattern in addresses()
        if not in_document(pattern) and not any(is_for_people(module, pattern, reason) for reason in PEOPLE)
    ]
    assert not missing


def test_every_reason_is_needed() -> None:
    from keystead.server.site.openapi.omitted import PEOPLE

    left_out = [(module, pattern) for module, pattern in addresses() if not in_document(pattern)]
    for reason in PEOPLE:
        assert any(is_for_people(module, pattern, reason) for module, pattern in left_out), reason


def test_the_gateway_has_the_addresses_that_the_document_says() -> None:
    from keystead.server.gateway import clients
    from keystead.server.gateway.pages import Pages
    from keystead.server.gateway.routes import ROUTES
    from keystead.server.site.openapi import gateway

    found = {(method, path) for path, item in gateway.paths().items() for method in item}
    answered = Pages(cast("Any", None), None).addresses
    relayed = [*(path.decode() for path in ROUTES), *clients.ADDRESSES]
    assert found == {(method.lower(), path) for method, path in answered} | {("post", path) for path in relayed}


def test_every_address_in_a_clouds_format_is_one() -> None:
    from keystead.server.gateway import clients

    for address in clients.ADDRESSES:
        path = address.format(model="m", project="p-1", location="eu")
        assert clients.is_own(path.encode())
        assert clients.dialect_of(path.encode()).address(path, b"").target.startswith(b"/v1/messages")


def test_nothing_of_the_control_plane_lies_where_a_clouds_format_begins() -> None:
    from keystead.server.gateway import clients

    assert not [path for _, pattern in addresses() if clients.is_own((path := f"/{pattern.pattern}").encode())]


def test_every_grant_and_endpoint_of_the_tables_is_in_the_document() -> None:
    from keystead.server.authorization.grants import TABLE
    from keystead.server.authorization.metadata import PATHS

    paths = described()["paths"]
    body = paths["/oauth/token"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["grant_type"]["enum"] == list(TABLE)
    assert {f"/{path}" for path in PATHS.values()} - paths.keys() == {"/oauth/authorize"}


def test_operations_have_names_of_their_own_and_say_what_they_do() -> None:
    items = [item[method] for item in described()["paths"].values() for method in item if method != "parameters"]
    names = [operation["operationId"] for operation in items]
    assert len(set(names)) == len(names)
    assert all(operation["summary"] and operation["security"] for operation in items)


def test_the_document_is_served_to_everybody_and_may_be_kept(web: "Client") -> None:
    response = web.get("/openapi.json")
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "public, max-age=300"
    assert json.loads(response.content) == described()
    assert web.post("/openapi.json").status_code == 405


def test_a_method_that_is_not_in_the_document_is_refused_with_those_that_are(web: "Client") -> None:
    """Registration is off here, and says so before it looks at the method."""
    for path, item in described()["paths"].items():
        methods = {method.upper() for method in item if method != "parameters"}
        if item.get("get", item.get("post", {})).get("tags") == ["oauth"] and "register" not in path:
            response = web.generic("PATCH", path)
            assert response.status_code == 405, path
            assert {name.strip() for name in response.headers["Allow"].split(",")} - {"HEAD"} == methods, path
