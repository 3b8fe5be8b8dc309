"""A client in its own name: a short token of its service account, and what ends it."""

from secrets import token_bytes
from typing import Any

import pytest

from keystead.errors import KeysteadError


@pytest.fixture
def account(administrator: Any, program: Any) -> Any:
    from keystead.server.authorization.surroundings import now
    from keystead.server.keys import service_accounts

    return service_accounts.create(administrator, "deploy", now=now())


def register(administrator: Any, account: Any, **more: Any) -> tuple[Any, dict[str, str]]:
    from keystead.server.authorization import registry
    from keystead.server.authorization.models import AuthMethod
    from keystead.server.authorization.surroundings import now

    usual = {"grant_types": ["client_credentials"], "scope": "openid models:use", "service_account": account}
    wanted = registry.Registration(**{"name": "Deploy", "auth_method": AuthMethod.CLIENT_SECRET_POST, **usual, **more})
    client, secret = registry.register(administrator, wanted, now(), token_bytes)
    return client, {"client_id": client.client_id, "client_secret": secret.reveal() if secret else ""}


def principal_of(token: str) -> Any:
    from keystead.server.authorization import operations
    from keystead.server.authorization.surroundings import now

    moment = now().timestamp()
    return operations.verify_access_token(token, moment, operations.verification_keys(moment))


@pytest.mark.requirement("rfc6749 4.4.2", "rfc6749 4.4.3")
def test_the_client_gets_a_short_token_of_its_service_account(administrator: Any, account: Any, program: Any) -> None:
    _, proof = register(administrator, account)
    status, answer = program.token(grant_type="client_credentials", **proof)
    assert status == 200
    assert set(answer) == {"access_token", "token_type", "expires_in", "scope"}
    assert (answer["scope"], answer["expires_in"]) == ("models:use", 3600)
    principal = principal_of(answer["access_token"])
    assert (principal.member_id, principal.service_account_id) == (None, account.wire_id)
    assert principal.workspace_id == f"wrk_{account.workspace_id.hex}"
    told = program.web.get("/oauth/userinfo", HTTP_AUTHORIZATION=f"Bearer {answer['access_token']}").json()
    assert (told["sub"], told["name"], told["organization"]["name"]) == (account.wire_id, "deploy", "Example")


@pytest.mark.requirement("rfc6749 4.4")
def test_only_an_authenticated_client_with_an_account_may(administrator: Any, account: Any, program: Any) -> None:
    ask = {"grant_type": "client_credentials"}
    for named in ({}, {"client_id": "keystead-cli"}):
        status, answer = program.token(**ask, **named)
        assert (status, answer["error"]) == (401, "invalid_client")
    portal = register(administrator, None, grant_types=["refresh_token"], scope="openid")[1]
    status, answer = program.token(**ask, **portal)
    assert (status, answer["error"]) == (400, "unauthorized_client")


def test_scopes_of_people_are_not_a_machine_s(administrator: Any, account: Any, program: Any) -> None:
    _, proof = register(administrator, account)
    for scope in ("openid", "nothing"):
        status, answer = program.token(grant_type="client_credentials", scope=scope, **proof)
        assert (status, answer["error"]) == (400, "invalid_scope")
    _, other = register(administrator, account, scope="openid")
    status, answer = program.token(grant_type="client_credentials", **other)
    assert (status, answer["error"]) == (400, "invalid_scope")


def test_disabling_the_account_ends_its_tokens_everywhere(administrator: Any, account: Any, program: Any) -> None:
    from keystead.clock import SYSTEM_CLOCK
    from keystead.server.authorization.surroundings import now
    from keystead.server.background import truth
    from keystead.server.changes import CHANGES
    from keystead.server.directory import SnapshotDirectory
    from keystead.server.keys import service_accounts

    _, proof = register(administrator, account)
    token = program.token(grant_type="client_credentials", **proof)[1]["access_token"]

    class Stopped:
        now = staticmethod(lambda: now().timestamp())
        monotonic = SYSTEM_CLOCK.monotonic
        sleep = SYSTEM_CLOCK.sleep

    directory = SnapshotDirectory(truth(), Stopped(), CHANGES)
    try:
        assert directory.by_bearer(token.encode()) is not None
        assert service_accounts.disable(account, administrator, now())
        assert directory.by_bearer(token.encode()) is None, "the gateway heard of it at once"
    finally:
        directory.close()
    assert program.web.get("/oauth/userinfo", HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 401
    status, answer = program.token(grant_type="client_credentials", **proof)
    assert (status, answer["error"]) == (400, "unauthorized_client")


def test_revoking_the_token_ends_it(administrator: Any, account: Any, program: Any) -> None:
    from keystead.server.audit.models import AuditEvent

    _, proof = register(administrator, account)
    token = program.token(grant_type="client_credentials", **proof)[1]["access_token"]
    assert program.post("/oauth/revoke", token=token)[0] == 200
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    assert program.web.get("/oauth/userinfo", **bearer).status_code == 200, "nobody said who asks"
    assert program.post("/oauth/revoke", token=token, **proof)[0] == 200
    assert program.web.get("/oauth/userinfo", **bearer).status_code == 401
    assert AuditEvent.objects.filter(action="grant:revoke", actor=account.wire_id).count() == 1


def test_old_sign_ins_of_machines_are_swept(administrator: Any, account: Any, program: Any, clock: Any) -> None:
    from keystead.server.authorization import sweep
    from keystead.server.authorization.models import Grant
    from keystead.server.authorization.surroundings import now

    _, proof = register(administrator, account)
    for _ in range(3):
        program.token(grant_type="client_credentials", **proof)
    assert Grant.objects.count() == 3
    clock.sleep(6 * 86_400)
    assert sweep.sweep(now())["sign_ins"] == 0
    clock.sleep(2 * 86_400)
    program.token(grant_type="client_credentials", **proof)
    assert sweep.sweep(now())["sign_ins"] == 3
    assert Grant.objects.count() == 1


@pytest.mark.parametrize(
    "more",
    [
        {"service_account": None},
        {"grant_types": ["refresh_token"]},
        {"grant_types": ["client_credentials", "refresh_token"]},
    ],
)
def test_a_registration_says_whom_the_client_stands_for(administrator: Any, account: Any, more: dict[str, Any]) -> None:
    with pytest.raises(KeysteadError):
        register(administrator, account, **more)


def test_a_public_client_cannot_stand_for_an_account(administrator: Any, account: Any) -> None:
    from keystead.server.authorization.models import AuthMethod

    with pytest.raises(KeysteadError):
        register(administrator, account, auth_method=AuthMethod.NONE)


def test_a_grant_belongs_to_one_owner(administrator: Any, account: Any, program: Any) -> None:
    from django.db import IntegrityError, transaction

    from keystead.server.authorization.models import Grant

    _, proof = register(administrator, account)
    program.token(grant_type="client_credentials", **proof)
    for change in ({"membership": administrator}, {"service_account": None}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Grant.objects.update(**change)
