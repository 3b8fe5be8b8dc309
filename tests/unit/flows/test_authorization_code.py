import secrets
from dataclasses import replace
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from keystead.drivers import conversation
from keystead.errors import Cancelled, ConfigurationError, CredentialRejected, KeysteadError, ServerFailure, UsageError
from keystead.flows import authorization_code
from keystead.flows.authorization_code import Attempt, begin, code_from_callback, code_from_paste
from keystead.secret import Secret
from keystead.testing.clock import FakeClock
from keystead.testing.transport import ScriptedTransport, json_response
from keystead.wire import pkce, tokens
from keystead.wire.oauth import ServerMetadata

REDIRECT = "http://127.0.0.1:5555/callback"
CODE = tokens.mint(tokens.TokenKind.AUTHORIZATION_CODE, lambda size: b"\7" * size)


@pytest.fixture
def attempt(metadata: ServerMetadata) -> Attempt:
    return begin(metadata, "keystead-cli", REDIRECT, "openid models:use", secrets.token_bytes)


def answer(attempt: Attempt, **changes: str | None) -> str:
    fields: dict[str, str | None] = {"code": CODE, "state": attempt.state, "iss": attempt.metadata.issuer, **changes}
    return urlencode({name: value for name, value in fields.items() if value is not None})


def test_the_address_asks_for_a_code_with_s256(attempt: Attempt) -> None:
    parts = urlsplit(attempt.url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}

    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == attempt.metadata.authorization_endpoint
    assert query == {
        "response_type": "code",
        "client_id": "keystead-cli",
        "redirect_uri": REDIRECT,
        "scope": "openid models:use",
        "state": attempt.state,
        "code_challenge": pkce.challenge(attempt.verifier),
        "code_challenge_method": "S256",
    }
    assert attempt.verifier.reveal() not in attempt.url
    assert attempt.state not in repr(attempt)


def test_two_attempts_share_nothing(metadata: ServerMetadata) -> None:
    one, two = (begin(metadata, "keystead-cli", REDIRECT, "", secrets.token_bytes) for _ in range(2))

    assert one.state != two.state
    assert one.verifier != two.verifier


def test_the_callback_gives_the_code(attempt: Attempt) -> None:
    assert code_from_callback(attempt, answer(attempt)) == Secret(CODE)


@pytest.mark.parametrize("state", [None, "", "another"])
def test_an_answer_to_another_question_is_not_taken(attempt: Attempt, state: str | None) -> None:
    with pytest.raises(UsageError, match="another sign-in"):
        code_from_callback(attempt, answer(attempt, state=state))


@pytest.mark.parametrize("issuer", [None, "https://evil.example"])
def test_an_answer_of_another_issuer_is_refused(attempt: Attempt, issuer: str | None) -> None:
    with pytest.raises(ServerFailure, match="another server"):
        code_from_callback(attempt, answer(attempt, iss=issuer))


def test_a_server_without_rfc_9207_may_leave_the_issuer_out(metadata: ServerMetadata) -> None:
    attempt = begin(replace(metadata, iss_parameter_supported=False), "c", REDIRECT, "", secrets.token_bytes)

    assert code_from_callback(attempt, answer(attempt, iss=None)) == Secret(CODE)


@pytest.mark.parametrize(("error", "expected"), [("access_denied", Cancelled), ("server_error", ServerFailure)])
def test_an_error_in_the_callback_is_said(attempt: Attempt, error: str, expected: type[KeysteadError]) -> None:
    with pytest.raises(expected):
        code_from_callback(attempt, answer(attempt, code=None, error=error))


def test_a_code_can_be_pasted_alone_or_with_its_address(attempt: Attempt) -> None:
    query = answer(attempt)
    pasted = [f" {CODE}\n", f"{REDIRECT}?{query}", f"?{query}", query]

    assert [code_from_paste(attempt, text) for text in pasted] == [Secret(CODE)] * 4


@pytest.mark.parametrize("text", ["", "hello", CODE[:-3], CODE[:-1] + "!", "ksr_" + CODE[4:]])
def test_what_is_no_code_is_named_and_not_repeated(attempt: Attempt, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        code_from_paste(attempt, text)

    assert CODE[4:20] not in caught.value.message


def test_the_code_is_exchanged_with_the_verifier(attempt: Attempt) -> None:
    clock = FakeClock()
    transport = ScriptedTransport(
        [json_response(200, {"access_token": "at", "token_type": "Bearer", "expires_in": 60, "refresh_token": "rt"})]
    )

    found = conversation.run(authorization_code.redeem(attempt, Secret(CODE), clock.now), transport, clock)

    assert (found.access_token, found.issued_at) == (Secret("at"), clock.now())
    assert transport.requests[0].form == {
        "grant_type": "authorization_code",
        "code": Secret(CODE),
        "redirect_uri": REDIRECT,
        "client_id": "keystead-cli",
        "code_verifier": attempt.verifier,
    }


def test_a_used_code_is_refused(attempt: Attempt) -> None:
    transport = ScriptedTransport([json_response(400, {"error": "invalid_grant"})])
    clock = FakeClock()

    with pytest.raises(CredentialRejected):
        conversation.run(authorization_code.redeem(attempt, Secret(CODE), clock.now), transport, clock)


@pytest.mark.parametrize("change", [{"authorization_endpoint": None}, {"code_challenge_methods_supported": ("plain",)}])
def test_a_server_without_s256_is_not_used(metadata: ServerMetadata, change: dict[str, object]) -> None:
    attempt = begin(replace(metadata, **change), "c", REDIRECT, "", secrets.token_bytes)  # type: ignore[arg-type]

    with pytest.raises(ConfigurationError, match="browser"):
        _ = attempt.url
