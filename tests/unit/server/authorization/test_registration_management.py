"""A client that registered itself reads its registration, and ends it (RFC 7592)."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from secrets import token_bytes
from typing import Any

import pytest
import races

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture(autouse=True)
def switched_on(migrated: object) -> Iterator[None]:
    from django.conf import settings
    from django.test import override_settings

    with override_settings(KEYSTEAD=replace(settings.KEYSTEAD, dynamic_registration=True)):
        yield


@pytest.fixture
def token(administrator: Any, clock: Any) -> str:
    from keystead.server.authorization import registration_tokens
    from keystead.server.authorization.surroundings import now

    policy = registration_tokens.Policy("tvs", [DEVICE, "refresh_token"], "openid", timedelta(days=1), 9)
    return registration_tokens.make(administrator, policy, now(), token_bytes)[1].reveal()


def register(web: Any, token: str) -> dict[str, Any]:
    body = json.dumps({"client_name": "TV", "grant_types": [DEVICE, "refresh_token"]})
    head = {"authorization": f"Bearer {token}"}
    answer: dict[str, Any] = web.post("/oauth/register", body, content_type="application/json", headers=head).json()
    return answer


def manage(web: Any, method: str, known: dict[str, Any], access: str | None = None) -> Any:
    head = {"authorization": f"Bearer {access or known['registration_access_token']}"}
    return getattr(web, method)(known["registration_client_uri"], headers=head)


@pytest.mark.requirement("rfc7592 2.1", "rfc7592 3")
def test_a_client_reads_what_it_was_told_but_for_its_secret(program: Any, token: str) -> None:
    known = register(program.web, token)
    response = manage(program.web, "get", known)
    assert (response.status_code, response["cache-control"]) == (200, "no-store")
    assert response.json() == {
        name: value for name, value in known.items() if name not in {"client_secret", "client_secret_expires_at"}
    }


@pytest.mark.requirement("rfc7592 2.3")
def test_a_client_ends_itself_and_every_sign_in_it_holds(program: Any, browser: Any, token: str) -> None:
    from keystead.server.audit.models import AuditEvent
    from keystead.server.authorization.models import Client

    known = register(program.web, token)
    proof = {"client_id": known["client_id"], "client_secret": known["client_secret"]}
    codes = program.post("/oauth/device_authorization", **proof)[1]
    browser.post("/device", {"user_code": codes["user_code"], "decision": "approve"})
    tokens = program.token(grant_type=DEVICE, device_code=codes["device_code"], **proof)[1]
    response = manage(program.web, "delete", known)
    assert (response.status_code, response.content, response["cache-control"]) == (204, b"", "no-store")
    assert program.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"], **proof)[0] == 401
    for method in ("get", "delete"):
        again = manage(program.web, method, known)
        assert (again.status_code, again.json()["error"]) == (401, "invalid_token")
    client = Client.objects.get(client_id=known["client_id"])
    assert client.disabled_at is not None
    assert AuditEvent.objects.get(action="client:disable").actor == client.wire_id


@pytest.mark.requirement("rfc7592 2")
def test_one_client_s_token_is_good_for_that_client_only(program: Any, token: str) -> None:
    one, other = register(program.web, token), register(program.web, token)
    for shown in (other["registration_access_token"], token, one["client_secret"], "x", "ksm_" + "0" * 49):
        for method in ("get", "delete"):
            response = manage(program.web, method, one, shown)
            assert (response.status_code, response.json()["error"]) == (401, "invalid_token")
            assert response["www-authenticate"] == 'Bearer realm="keystead", error="invalid_token"'
    bare = program.web.get(one["registration_client_uri"])
    assert (bare.status_code, bare["www-authenticate"]) == (401, 'Bearer realm="keystead"')
    for elsewhere in ("keystead-cli", "%00", "%ff", f"{one['client_id']}%00"):
        unknown = {**one, "registration_client_uri": f"/oauth/register/{elsewhere}"}
        assert manage(program.web, "get", unknown).status_code == 401
    assert manage(program.web, "get", one).status_code == 200


@pytest.mark.requirement("rfc7592 2")
def test_changing_a_registration_is_an_administrator_s(program: Any, administrator: Any, token: str) -> None:
    from keystead.server.authorization import registry
    from keystead.server.authorization.surroundings import now

    known = register(program.web, token)
    for method in ("put", "post", "patch"):
        response = manage(program.web, method, known)
        assert (response.status_code, response["allow"]) == (405, "GET, HEAD, DELETE")
    client = registry.find(administrator, known["client_id"])
    assert client is not None
    assert registry.disable(client, administrator, now())
    assert manage(program.web, "get", known).status_code == 401, "a disabled client has nothing to read"


@pytest.mark.requirement("rfc7592 2.3")
def test_of_many_who_end_a_client_one_does(program: Any, token: str) -> None:
    from keystead.server.audit.models import AuditEvent

    known = register(program.web, token)
    seen = races.together(lambda web: manage(web, "delete", known).status_code)
    assert Counter(seen) == {204: 1, 401: races.THREADS - 1}
    assert AuditEvent.objects.filter(action="client:disable").count() == 1


def test_it_is_off_while_registration_is_off(program: Any, token: str) -> None:
    from django.conf import settings
    from django.test import override_settings

    known = register(program.web, token)
    with override_settings(KEYSTEAD=replace(settings.KEYSTEAD, dynamic_registration=False)):
        assert [manage(program.web, method, known).status_code for method in ("get", "delete")] == [404, 404]
    assert manage(program.web, "get", known).status_code == 200
    seen = [manage(program.web, "get", known, "x").status_code for _ in range(120)]
    assert (seen[0], seen[-1]) == (401, 429)
