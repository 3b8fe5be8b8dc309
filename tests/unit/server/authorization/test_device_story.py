"""Signing a device in by code, from the first request to the last refused one (RFC 8628, gateway protocol)."""

import re
from typing import Any

import pytest
from django.test import Client

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


def start(program: Any, **form: str) -> dict[str, Any]:
    status, answer = program.post("/oauth/device_authorization", **form)
    assert status == 200
    return dict(answer)


def poll(program: Any, started: dict[str, Any], **form: str) -> tuple[int, dict[str, Any]]:
    answer: tuple[int, dict[str, Any]] = program.token(grant_type=DEVICE, device_code=started["device_code"], **form)
    return answer


def error(answer: tuple[int, dict[str, Any]]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]


def answer(browser: Client, started: dict[str, Any], decision: str, **headers: str) -> Any:
    form = {"user_code": started["user_code"], "decision": decision}
    return browser.post("/device", form, headers=headers or None)


@pytest.mark.requirement(
    "rfc8628 3.2",
    "rfc8628 3.5 pending",
    "gateway device without client_id",
    "gateway refresh without client_id",
    "gateway refused refresh",
)
def test_a_device_is_signed_in_by_its_code(program: Any, browser: Client, clock: Any) -> None:
    started = start(program)
    assert re.fullmatch("[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", started["user_code"])
    assert started["verification_uri"] == "http://127.0.0.1:8420/device"
    assert started["verification_uri_complete"] == f"http://127.0.0.1:8420/device?user_code={started['user_code']}"
    assert (started["expires_in"], started["interval"]) == (600, 5)
    assert error(poll(program, started)) == (400, "authorization_pending")

    page = browser.get("/device", {"user_code": started["user_code"].lower()})
    assert started["user_code"] in page.content.decode()
    question = browser.post("/device", {"user_code": started["user_code"]}).content.decode()
    assert "Coding agent" in question
    assert "ada@example.com" in question
    assert "send requests to models" in question
    assert "eturn to your device" in answer(browser, started, "approve").content.decode()

    clock.sleep(5)
    status, tokens = poll(program, started)
    assert status == 200
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 3600
    assert tokens["refresh_token"].startswith("ksr_")

    who = program.web.get("/oauth/userinfo", headers={"authorization": f"Bearer {tokens['access_token']}"}).json()
    assert who["email"] == "ada@example.com"
    assert who["organization"]["name"] == "Example"
    assert (who["billing_class"], who["upstream"]) == ("gateway", "test")

    assert error(poll(program, started)) == (400, "invalid_grant"), "a device code works once"

    status, renewed = program.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert status == 200
    assert renewed["refresh_token"] != tokens["refresh_token"]

    assert program.post("/oauth/revoke", token=renewed["refresh_token"])[0] == 200
    after = program.token(grant_type="refresh_token", refresh_token=renewed["refresh_token"])
    assert error(after) == (401, "invalid_grant")
    gone = program.web.get("/oauth/userinfo", headers={"authorization": f"Bearer {renewed['access_token']}"})
    assert (gone.status_code, gone.json()["error"]) == (401, "invalid_token")


@pytest.mark.requirement("rfc8628 3.5 denied")
def test_a_denied_device_is_told_so(program: Any, browser: Client) -> None:
    started = start(program)
    assert "not signed in" in answer(browser, started, "deny").content.decode()
    assert error(poll(program, started)) == (400, "access_denied")
    assert answer(browser, started, "approve").status_code == 400, "the answer cannot be changed"
    assert error(poll(program, started)) == (400, "access_denied")


@pytest.mark.requirement("rfc8628 3.5 expired")
def test_an_expired_code_can_be_neither_approved_nor_used(program: Any, browser: Client, clock: Any) -> None:
    approved, waiting = start(program), start(program)
    answer(browser, approved, "approve")
    clock.sleep(600)
    assert answer(browser, waiting, "approve").status_code == 400
    assert error(poll(program, waiting)) == (400, "expired_token")
    assert error(poll(program, approved)) == (400, "expired_token")


@pytest.mark.requirement("rfc8628 3.5 slow_down")
def test_a_hasty_device_is_slowed_down_by_five_seconds_each_time(program: Any, clock: Any) -> None:
    started = start(program)
    assert error(poll(program, started)) == (400, "authorization_pending")
    clock.sleep(3)
    assert error(poll(program, started)) == (400, "slow_down")
    clock.sleep(5)
    assert error(poll(program, started)) == (400, "slow_down"), "the interval is 10 seconds now"
    clock.sleep(15)
    assert error(poll(program, started)) == (400, "authorization_pending")


def test_nobody_is_asked_before_signing_in(program: Any, database: object, clock: object) -> None:
    response = program.web.get("/device", {"user_code": "BCDF-GHJK"})
    assert response.status_code == 302
    assert response["location"] == "/account/login/?next=/device%3Fuser_code%3DBCDF-GHJK"


@pytest.mark.requirement("gateway device page")
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://127.0.0.1:8420", "sec-fetch-site": "cross-site"},
        {"origin": "http://127.0.0.1:8420", "sec-fetch-site": "same-site"},
        {"origin": "http://127.0.0.1:8421"},
    ],
)
def test_a_form_from_another_site_approves_nothing(program: Any, browser: Client, headers: dict[str, str]) -> None:
    started = start(program)
    assert answer(browser, started, "approve", **headers).status_code == 403
    assert error(poll(program, started)) == (400, "authorization_pending")


def test_a_form_that_names_no_site_approves_nothing(program: Any, administrator: Any) -> None:
    silent = Client(SERVER_NAME="127.0.0.1", SERVER_PORT="8420")
    silent.force_login(administrator.person)
    started = start(program)
    assert answer(silent, started, "approve").status_code == 403
    by_referer = answer(silent, started, "approve", referer="http://127.0.0.1:8420/device?user_code=x")
    assert by_referer.status_code == 200


@pytest.mark.requirement("rfc8628 3.3")
def test_looking_at_the_page_never_approves(program: Any, browser: Client) -> None:
    started = start(program)
    browser.get("/device", {"user_code": started["user_code"], "decision": "approve"})
    assert error(poll(program, started)) == (400, "authorization_pending")


@pytest.mark.requirement("rfc8628 5.1")
def test_guessing_codes_ends_after_ten_tries(program: Any, browser: Client) -> None:
    started = start(program)
    for _ in range(10):
        assert browser.post("/device", {"user_code": "BBBB-BBBB"}).status_code == 400
    blocked = answer(browser, started, "approve")
    assert blocked.status_code == 429
    assert error(poll(program, started)) == (400, "authorization_pending")


def test_a_device_code_belongs_to_its_client(program: Any, browser: Client) -> None:
    started = start(program, client_id="keystead-cli")
    answer(browser, started, "approve")
    assert error(poll(program, started, client_id="gateway-agent")) == (400, "invalid_grant")
    assert poll(program, started, client_id="keystead-cli")[0] == 200


def test_someone_without_an_organization_is_told_whom_to_ask(program: Any, clock: object) -> None:
    from keystead.server.identity.models import Person

    person = Person.objects.create_user("bob@example.com", "correct horse battery", created_at=clock_start())
    loner = Client(SERVER_NAME="127.0.0.1", SERVER_PORT="8420", headers={"origin": "http://127.0.0.1:8420"})
    loner.force_login(person)
    response = loner.get("/device")
    assert response.status_code == 403
    assert "Ask an administrator" in response.content.decode()


def clock_start() -> Any:
    from django.utils import timezone

    return timezone.now()


def test_an_account_that_was_closed_gets_no_tokens(program: Any, browser: Client, administrator: Any) -> None:
    started = start(program)
    answer(browser, started, "approve")
    administrator.person.is_active = False
    administrator.person.save()
    assert error(poll(program, started)) == (400, "invalid_grant")


def test_the_code_is_stored_only_as_a_hash(program: Any, database: Any, browser: Client) -> None:
    started = start(program)
    answer(browser, started, "approve")
    tokens = poll(program, started)[1]
    from django.db import connection

    connection.close()
    content = b"".join(file.read_bytes() for file in database.parent.glob("keystead.sqlite3*"))
    plain = [started["device_code"], started["user_code"], started["user_code"].replace("-", "")]
    for secret in (*plain, tokens["refresh_token"], tokens["access_token"]):
        assert secret.encode() not in content
