"""Any two credentials in one request: one counts, by one rule, and none of them goes further (G-07)."""

from typing import TYPE_CHECKING, Final

import pytest
from upstreams import UPSTREAM_KEY

from keystead.server.gateway.caller import CONFLICT
from keystead.wire.tokens import TokenKind, mint

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

KEY: Final = mint(TokenKind.API_KEY, lambda size: b"\1" * size)
OTHER_KEY: Final = mint(TokenKind.API_KEY, lambda size: b"\2" * size)
BEARER: Final = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJwZXJfMSJ9.c2lnbmF0dXJl"
OURS: Final = {KEY: "key_1", OTHER_KEY: "key_2", BEARER: "gra_1"}
"""What the gateway of these tests knows."""
FOREIGN: Final = (
    mint(TokenKind.API_KEY, lambda size: b"\7" * size),
    mint(TokenKind.REFRESH_TOKEN, lambda size: b"\7" * size),
    "sk-ant-oat01-subscriptionOfSomebody",
    "sk-ant-api03-keyOfTheVendor",
    "ya29.tokenOfGoogle",
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJrZXlfMSJ9.",
    "somethingElseAltogether",
)
SENT: Final = ("", *OURS, *FOREIGN)


def expected(bearer: str, api_key: str) -> str | None:
    """Return whose request it is: what is known in Authorization, else what is known in x-api-key, else nobody's."""
    return OURS.get(bearer) or OURS.get(api_key)


@pytest.mark.requirement("G-07 one credential")
@pytest.mark.parametrize("bearer", SENT)
def test_of_two_credentials_one_counts_and_none_goes_further(running: "Running", bearer: str) -> None:
    rows = 0
    for api_key in SENT:
        lines = [f"authorization: Bearer {bearer}"] if bearer else []
        answer = running.ask(None, *lines, key=api_key or None)
        whose, told = expected(bearer, api_key), answer.raw.decode()
        assert not [secret for secret in (bearer, api_key) if secret and secret in told], api_key
        if whose is None:
            assert answer.status == 401, api_key
            assert len(running.api.requests) == len(running.ledger.rows) == rows
            continue
        rows += 1
        assert answer.status == 200, api_key
        assert running.ledger.wait(rows)[-1].principal_id == whose
        both = {OURS[one] for one in (bearer, api_key) if one in OURS}
        assert (answer.headers.get("x-keystead-warning") == CONFLICT) is (len(both) == 2), api_key
        asked = running.api.requests[-1]
        assert asked.headers["x-api-key"] == UPSTREAM_KEY
        everything = repr((asked.target, asked.raw_headers, asked.body))
        assert not [secret for secret in (bearer, api_key) if secret and secret in everything], api_key


@pytest.mark.requirement("G-07 one credential")
@pytest.mark.parametrize("key", [KEY, BEARER])
@pytest.mark.parametrize("form", ["{}", "Bearer {}", "k={}"])
@pytest.mark.parametrize(
    "name",
    [
        *("proxy-authorization", "cookie", "api-key", "x-goog-api-key", "x-amz-security-token", "dpop"),
        *("x-forwarded-access-token", "x-forwarded-authorization", "x-original-authorization"),
        *("x-auth-token", "x-access-token", "apikey", "x-goog-iap-jwt-assertion", "cf-access-jwt-assertion"),
    ],
)
def test_no_other_header_lets_anybody_in_or_goes_further(running: "Running", name: str, form: str, key: str) -> None:
    line = f"{name}: {form.format(key)}"
    assert running.ask(None, line, key=None).status == 401
    assert running.api.requests == []
    assert running.ask(None, line, key=OTHER_KEY).status == 200
    assert [row.principal_id for row in running.ledger.wait()] == ["key_2"]
    (asked,) = running.api.requests
    assert key not in repr((asked.target, asked.raw_headers, asked.body))


@pytest.mark.requirement("G-07 one credential")
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/model/keystead-test-1/invoke"])
@pytest.mark.parametrize("secret", [KEY, BEARER, FOREIGN[1], "sk-ant-api03-keyOfTheVendor"])
def test_a_credential_in_the_address_goes_nowhere(running: "Running", path: str, secret: str) -> None:
    answer = running.ask(None, target=f"{path}?beta=true&key={secret}", key=KEY)
    assert answer.status == 400
    assert "credential in the request's address" in answer.raw.decode()
    assert secret not in answer.raw.decode()
    assert running.api.requests == []


@pytest.mark.requirement("G-07 one credential")
@pytest.mark.parametrize("secret", [KEY, BEARER, "sk-ant-api03-keyOfTheVendor"])
def test_a_credential_beside_the_question_for_models_goes_nowhere(running: "Running", secret: str) -> None:
    answer = running.send(f"GET /v1/models?key={secret} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n\r\n".encode())
    assert answer.status == 400
    assert "credential in the request's address" in answer.error["message"]
    assert secret not in answer.raw.decode()
    assert running.api.requests == []
