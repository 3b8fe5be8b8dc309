"""Everything of the gateway that is ordinary ASGI, and how it shares a connection with the relay."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from keystead.server.gateway import DirectoryUnavailable, ManagedSettings
from keystead.server.policy import Principal
from keystead.server.policy.managed_settings import Delivery, Match, MemberFacts, Policy, delivery

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Answer, Running


def get(running: "Running", path: str, *lines: str, method: str = "GET") -> "Answer":
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "host: gateway", "connection: close", *lines, "", ""])
    return running.send(head.encode())


@pytest.mark.parametrize(("path", "body"), [("/healthz", b"ok"), ("/readyz", b"ready")])
def test_health_is_told_without_a_credential(running: "Running", path: str, body: bytes) -> None:
    answer = get(running, path)
    assert (answer.status, answer.body) == (200, body)


def test_unready_server_says_what_is_missing(serve: "Callable[..., Running]") -> None:
    async def missing() -> str | None:
        return "The database does not answer."

    answer = get(serve(ready=missing), "/readyz")
    assert (answer.status, answer.body) == (503, b"The database does not answer.")


def test_ready_server_says_what_is_left_out(serve: "Callable[..., Running]") -> None:
    answer = get(serve(remark=lambda: "; upstreams left out: 1"), "/readyz")
    assert (answer.status, answer.body) == (200, b"ready; upstreams left out: 1")


def test_contract_is_served_as_markdown(running: "Running") -> None:
    answer = get(running, "/protocol")
    assert answer.headers["content-type"].startswith("text/markdown")
    assert b"/v1/messages" in answer.body


def test_models_are_the_upstreams_own(running: "Running") -> None:
    answer = get(running, "/v1/models?limit=1000", f"x-api-key: {running.key}", "anthropic-version: 2023-06-01")
    assert answer.status == 200
    assert json.loads(answer.body)["data"][0]["id"] == "keystead-test-1"
    (recorded,) = running.api.requests
    assert recorded.target == "/v1/models?limit=1000"
    assert recorded.headers["x-api-key"] == "upstream-key-canary"
    assert recorded.headers["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize("path", ["/v1/models", "/managed/settings"])
def test_pages_for_members_ask_for_a_credential(running: "Running", path: str) -> None:
    answer = get(running, path)
    assert (answer.status, answer.error["type"]) == (401, "authentication_error")


def test_no_policy_is_404(running: "Running") -> None:
    answer = get(running, "/managed/settings", f"authorization: Bearer {running.bearer}")
    assert (answer.status, answer.error["type"]) == (404, "not_found_error")


BASE = Policy("pol_1", "Everybody", Match(), {"availableModels": ["keystead-test-1"]})


def delivering(*policies: Policy, asked: "list[Principal] | None" = None) -> ManagedSettings:
    async def managed_settings(principal: "Principal") -> Delivery | None:
        if asked is not None:
            asked.append(principal)
        return delivery(policies, MemberFacts(frozenset(), ""))

    return managed_settings


def test_a_policy_is_delivered_with_its_checksum_as_version(serve: "Callable[..., Running]") -> None:
    asked: list[Principal] = []
    running = serve(managed_settings=delivering(BASE, asked=asked))
    answer = get(running, "/managed/settings", f"authorization: Bearer {running.bearer}")
    document = json.loads(answer.body)
    assert (answer.status, document["settings"]) == (200, BASE.settings)
    assert answer.headers["etag"] == f'"{document["checksum"]}"'
    assert "public" not in answer.headers["cache-control"]
    assert [principal.member_id for principal in asked] == ["mem_1"]


def test_an_empty_policy_is_not_the_same_as_none(serve: "Callable[..., Running]") -> None:
    running = serve(managed_settings=delivering(Policy("pol_1", "Empty", Match(), {})))
    answer = get(running, "/managed/settings", f"x-api-key: {running.key}")
    assert (answer.status, json.loads(answer.body)["settings"]) == (200, {})


@pytest.mark.parametrize("form", ['"{}"', 'W/"{}"', "{}", '"sha256:0", "{}"', "*"])
def test_a_client_that_has_this_version_is_told_so(serve: "Callable[..., Running]", form: str) -> None:
    running = serve(managed_settings=delivering(BASE))
    credential = f"authorization: Bearer {running.bearer}"
    checksum = get(running, "/managed/settings", credential).headers["etag"].strip('"')
    answer = get(running, "/managed/settings", credential, f"if-none-match: {form.format(checksum)}")
    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", f'"{checksum}"')
    other = get(running, "/managed/settings", credential, 'if-none-match: "sha256:0"')
    assert other.status == 200


@pytest.mark.requirement("G-06 503")
def test_a_policy_that_cannot_be_read_is_503_and_never_no_policy(serve: "Callable[..., Running]") -> None:
    async def broken(_: "Principal") -> Delivery | None:
        raise DirectoryUnavailable("OperationalError")

    running = serve(managed_settings=broken)
    answer = get(running, "/managed/settings", f"authorization: Bearer {running.bearer}")
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert b"OperationalError" not in answer.body


@pytest.mark.parametrize("path", ["/v1/complete", "/v1/", "/v1/messages/batches", "/nowhere"])
def test_unknown_address_is_404_in_the_envelope(running: "Running", path: str) -> None:
    answer = get(running, path)
    assert (answer.status, answer.error["type"]) == (404, "not_found_error")


def test_wrong_method_is_405(running: "Running") -> None:
    answer = get(running, "/v1/models", method="DELETE")
    assert (answer.status, answer.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize("path", ["/", "/api/hello", "/healthz"])
def test_head_is_answered_without_a_body(running: "Running", path: str) -> None:
    answer = get(running, path, method="HEAD")
    assert (answer.status, answer.body) == (200, b"")


def test_one_connection_serves_both_kinds_in_turn(running: "Running") -> None:
    """The relay and uvicorn's own way share the parser's callbacks; this pins how."""
    body = b'{"model":"keystead-test-1","max_tokens":1,"messages":[]}'
    page = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    posted = b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello"
    with running.connect() as connection:
        for _ in range(3):
            for request, status in (
                (running.head(length=len(body)) + body, 200),
                (page, 200),
                (posted, 404),
                (running.head(length=len(body), key="ksk_no") + body, 401),
            ):
                connection.sendall(request)
                assert running.read(connection).status == status


def test_ordinary_request_sees_its_headers_and_body(serve: "Callable[..., Running]") -> None:
    """What is handed over to uvicorn is whole: method, path, query, headers, body."""
    running = serve()
    with running.connect() as connection:
        connection.sendall(b"GET /healthz?x=1 HTTP/1.1\r\nhost: x\r\nx-a: b\r\n\r\n")
        assert running.read(connection).body == b"ok"
