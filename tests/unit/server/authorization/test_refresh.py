"""Refresh tokens: rotation, the replay window, reuse, and races (RFC 6749 section 6, RFC 9700 section 4.14, R-01)."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from races import THREADS, together

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def tokens(program: Any, administrator: Any, clock: Any) -> dict[str, Any]:
    """A fresh sign-in's tokens."""
    device = approved_device(program, administrator)
    answer: dict[str, Any] = program.token(grant_type=DEVICE, device_code=device)[1]
    return answer


def approved_device(program: Any, member: Any) -> str:
    from keystead.server.authorization import device_codes
    from keystead.server.authorization.surroundings import now

    started = program.post("/oauth/device_authorization")[1]
    waiting = device_codes.waiting(started["user_code"], now())
    assert waiting is not None
    assert device_codes.decide(waiting, device_codes.Answer(True, member), now())
    return str(started["device_code"])


def refresh(program: Any, token: str, **form: str) -> tuple[int, dict[str, Any]]:
    answer: tuple[int, dict[str, Any]] = program.token(grant_type="refresh_token", refresh_token=token, **form)
    return answer


def error(answer: tuple[int, dict[str, Any]]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]


@pytest.mark.requirement("rfc9700 2.2.2")
def test_every_refresh_gives_a_new_token(program: Any, tokens: dict[str, Any]) -> None:
    seen, current = set(), tokens["refresh_token"]
    for _ in range(5):
        status, answer = refresh(program, current)
        assert status == 200
        seen.add(current)
        current = answer["refresh_token"]
        assert current not in seen


def test_a_replay_within_the_window_gets_the_same_successor(program: Any, tokens: dict[str, Any], clock: Any) -> None:
    first = refresh(program, tokens["refresh_token"])[1]
    clock.sleep(10)
    second = refresh(program, tokens["refresh_token"])[1]
    assert second["refresh_token"] == first["refresh_token"]
    assert refresh(program, first["refresh_token"])[0] == 200, "the family is alive"


def test_a_replay_gets_the_same_successor_when_the_secret_key_was_replaced_between(
    program: Any, tokens: dict[str, Any]
) -> None:
    from django.conf import settings
    from django.test import override_settings

    first = refresh(program, tokens["refresh_token"])[1]
    with override_settings(SECRET_KEY="replaced-" + "0" * 40, SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
        assert refresh(program, tokens["refresh_token"])[1]["refresh_token"] == first["refresh_token"]
        assert refresh(program, first["refresh_token"])[0] == 200


@pytest.mark.requirement("rfc9700 4.14.2", "gateway refused refresh")
def test_reuse_after_the_window_ends_the_whole_family(program: Any, tokens: dict[str, Any], clock: Any) -> None:
    first = refresh(program, tokens["refresh_token"])[1]
    clock.sleep(10.1)
    assert error(refresh(program, tokens["refresh_token"])) == (401, "invalid_grant")
    assert error(refresh(program, first["refresh_token"])) == (401, "invalid_grant")


def test_a_sign_in_not_used_for_thirty_days_ends(program: Any, tokens: dict[str, Any], clock: Any) -> None:
    clock.sleep(timedelta(days=29).total_seconds())
    renewed = refresh(program, tokens["refresh_token"])[1]
    clock.sleep(timedelta(days=30).total_seconds())
    assert error(refresh(program, renewed["refresh_token"])) == (401, "invalid_grant")


def test_a_sign_in_ends_however_often_it_is_used(program: Any, tokens: dict[str, Any], clock: Any) -> None:
    current = tokens["refresh_token"]
    for _ in range(8):
        clock.sleep(timedelta(days=20).total_seconds())
        current = refresh(program, current)[1]["refresh_token"]
    clock.sleep(timedelta(days=20).total_seconds() - 60)
    last = refresh(program, current)[1]
    assert last["expires_in"] == 60, "an access token does not outlive its sign-in"
    clock.sleep(60)
    assert error(refresh(program, last["refresh_token"])) == (401, "invalid_grant")


@pytest.mark.requirement("rfc6749 6")
def test_another_client_cannot_refresh_and_does_no_harm(program: Any, tokens: dict[str, Any]) -> None:
    assert error(refresh(program, tokens["refresh_token"], client_id="keystead-cli")) == (401, "invalid_grant")
    assert refresh(program, tokens["refresh_token"], client_id="gateway-agent")[0] == 200


def test_a_closed_account_is_refused_and_comes_back_when_reopened(
    program: Any, tokens: dict[str, Any], administrator: Any
) -> None:
    for active, expected in ((False, 401), (True, 200)):
        administrator.person.is_active = active
        administrator.person.save()
        assert refresh(program, tokens["refresh_token"])[0] == expected


@pytest.mark.requirement("rfc6749 6", "rfc6749 3.3")
def test_a_narrower_scope_may_be_asked_for_but_no_wider_one(program: Any, tokens: dict[str, Any]) -> None:
    narrow = refresh(program, tokens["refresh_token"], scope="openid")[1]
    assert narrow["scope"] == "openid"
    wide = refresh(program, narrow["refresh_token"], scope="openid models:use root")[1]
    assert wide["scope"] == "openid models:use"
    assert error(refresh(program, wide["refresh_token"], scope="root")) == (400, "invalid_scope")


@pytest.mark.parametrize("token", ["", "ksr_", "ksk_" + "0" * 49, "x" * 5000, "ksr_ünïcode", "' OR 1=1 --"])
def test_what_is_no_refresh_token_is_refused(program: Any, database: object, token: str) -> None:
    status, answer = refresh(program, token)
    assert (status, answer["error"]) in {(400, "invalid_request"), (401, "invalid_grant")}


def ask(client: Client, **form: str) -> tuple[int, dict[str, Any]]:
    response = client.post("/oauth/token", form, content_type="application/json")
    return response.status_code, response.json()


def test_sixteen_refreshes_at_once_all_get_the_one_successor(program: Any, tokens: dict[str, Any]) -> None:
    def act(client: Client) -> tuple[int, dict[str, Any]]:
        return ask(client, grant_type="refresh_token", refresh_token=tokens["refresh_token"])

    answers = together(act)
    assert {status for status, _ in answers} == {200}
    successors = {answer["refresh_token"] for _, answer in answers}
    assert len(successors) == 1
    assert refresh(program, successors.pop())[0] == 200, "the family is alive"


def test_of_sixteen_uses_of_a_device_code_one_wins(program: Any, administrator: Any) -> None:
    device = approved_device(program, administrator)
    answers = together(lambda client: ask(client, grant_type=DEVICE, device_code=device))
    assert Counter(status for status, _ in answers) == {200: 1, 400: THREADS - 1}
    assert {answer["error"] for status, answer in answers if status == 400} == {"invalid_grant"}
    winner = next(answer for status, answer in answers if status == 200)
    assert refresh(program, winner["refresh_token"])[0] == 200, "a device code's race ends nothing"


def test_of_sixteen_uses_of_an_authorization_code_one_wins(program: Any, administrator: Any) -> None:
    from keystead.secret import Secret
    from keystead.server.authorization import authorization_requests, clients
    from keystead.server.authorization.browser_session import Authentication
    from keystead.server.authorization.surroundings import now
    from keystead.wire import pkce

    callback = "http://127.0.0.1:1/callback"
    to = authorization_requests.Destination(clients.find("keystead-cli"), callback, None)
    request = authorization_requests.AuthorizationRequest(to, "openid", pkce.challenge(Secret("v" * 43)))
    approver = authorization_requests.Approver(administrator, Authentication(now()))
    code = authorization_requests.approve(request, approver, now()).split("code=")[1].split("&")[0]
    form = {"code": code, "redirect_uri": callback, "client_id": "keystead-cli", "code_verifier": "v" * 43}
    answers = together(lambda client: ask(client, grant_type="authorization_code", **form))
    assert Counter(status for status, _ in answers) == {200: 1, 400: THREADS - 1}
