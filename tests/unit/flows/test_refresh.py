from dataclasses import replace

import pytest

from keystead.clock import SYSTEM_CLOCK
from keystead.credentials import Login, OAuthTokens
from keystead.drivers import conversation
from keystead.errors import (
    ConfigurationError,
    CredentialExpired,
    CredentialRejected,
    KeysteadError,
    RateLimited,
    ServerFailure,
    TemporaryFailure,
)
from keystead.flows.refresh import refresh
from keystead.secret import Secret
from keystead.testing.transport import Answer, ScriptedTransport, json_response
from keystead.wire.http import Response

RENEWED = {"access_token": "at-2", "token_type": "Bearer", "expires_in": 60, "refresh_token": "rt-2", "scope": "a b"}


def run(login: Login, answer: Answer, now: float = 5000.0) -> OAuthTokens:
    return conversation.run(refresh(login, now), ScriptedTransport([answer]), SYSTEM_CLOCK)


def test_the_new_tokens_carry_the_time_and_the_clock_skew(login: Login) -> None:
    date = {"date": "Thu, 01 Jan 1970 01:23:30 GMT"}

    tokens = run(login, json_response(200, RENEWED, date))

    assert tokens.access_token == Secret("at-2")
    assert tokens.refresh_token == Secret("rt-2")
    assert (tokens.issued_at, tokens.expires_in, tokens.scope, tokens.clock_skew) == (5000.0, 60.0, "a b", 10.0)


def test_a_server_that_does_not_rotate_leaves_the_old_refresh_token_in_force(login: Login) -> None:
    tokens = run(login, json_response(200, {"access_token": "at-2", "token_type": "bearer", "expires_in": 60}))

    assert (tokens.refresh_token, tokens.scope) == (Secret("rt-1"), "openid")


def test_the_ticket_that_ends_the_sign_in_stays_unless_there_is_a_new_one(login: Login) -> None:
    ticket = Secret("kst_1")
    before = replace(login, tokens=replace(login.tokens, revocation_ticket=ticket, revocable_until=9000.0))
    newer = RENEWED | {"revocation_ticket": "kst_2", "revocation_ticket_expires_in": 70}

    kept, replaced = run(before, json_response(200, RENEWED)), run(before, json_response(200, newer))

    assert (kept.revocation_ticket, kept.revocable_until) == (ticket, 9000.0)
    assert (replaced.revocation_ticket, replaced.revocable_until) == (Secret("kst_2"), 5070.0)


def test_the_request_goes_to_the_pinned_endpoint_and_shows_no_secret(login: Login) -> None:
    transport = ScriptedTransport([json_response(200, RENEWED)])

    conversation.run(refresh(login, 0.0), transport, SYSTEM_CLOCK)

    request = transport.requests[0]
    assert (request.method, request.url) == ("POST", login.token_endpoint)
    assert request.form is not None
    assert request.form["refresh_token"] == Secret("rt-1")
    assert "rt-1" not in repr(request)


HTML = {"content-type": "text/html"}


@pytest.mark.parametrize("status", [400, 401])
def test_only_a_json_invalid_grant_calls_the_login_dead(login: Login, status: int) -> None:
    with pytest.raises(CredentialRejected):
        run(login, json_response(status, {"error": "invalid_grant"}))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Response(200, HTML, b"<html>hotel wifi</html>"), ServerFailure),
        (Response(200, {"content-type": "application/json"}, b'{"access_token": "at'), ServerFailure),
        (Response(302, {"location": "https://portal.example"}, b""), ServerFailure),
        (Response(401, HTML, b'{"error": "invalid_grant"}'), ServerFailure),
        (json_response(403, {"error": "invalid_grant"}), ServerFailure),
        (json_response(500, {"error": "invalid_grant"}), ServerFailure),
        (json_response(200, {"error": "invalid_grant"}), ServerFailure),
        (json_response(503, {}), ServerFailure),
        (json_response(429, {"error": "invalid_grant"}, {"retry-after": "7"}), RateLimited),
        (json_response(401, {"error": "invalid_client"}), ConfigurationError),
        (json_response(400, {"error": "something_new"}), ServerFailure),
    ],
)
def test_any_other_trouble_is_the_servers(login: Login, answer: Answer, expected: type[KeysteadError]) -> None:
    with pytest.raises(expected) as caught:
        run(login, answer)

    assert not isinstance(caught.value, CredentialRejected)


def test_the_wait_the_server_asks_for_is_kept(login: Login) -> None:
    with pytest.raises(RateLimited) as caught:
        run(login, json_response(429, {}, {"retry-after": "7"}))

    assert caught.value.retry_after == 7.0


@pytest.mark.requirement("R-20 retry-after")
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "Thu, 01 Jan 1970 01:00:30 GMT", "date": "Thu, 01 Jan 1970 01:00:00 GMT"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 1970 01:00:00 GMT", "date": "Thu, 01 Jan 1970 01:00:30 GMT"}, 0.0),
        ({"retry-after": "Thu, 01 Jan 1970 01:00:30 GMT"}, None),
        ({"retry-after": "-7"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_a_wait_is_seconds_or_a_date_by_the_servers_clock(
    login: Login, headers: dict[str, str], expected: float | None
) -> None:
    """RFC 9110 section 10.2.3, on 429 and on 503; a date without the server's time says nothing."""
    for status in (429, 503):
        with pytest.raises(TemporaryFailure) as caught:
            run(login, json_response(status, {}, headers))
        assert caught.value.retry_after == expected


def test_a_login_without_refresh_token_asks_nothing(login: Login) -> None:
    transport = ScriptedTransport()
    bare = replace(login, tokens=replace(login.tokens, refresh_token=None))

    with pytest.raises(CredentialExpired):
        conversation.run(refresh(bare, 0.0), transport, SYSTEM_CLOCK)

    assert transport.requests == []
