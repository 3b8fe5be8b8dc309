"""The exchange of an identity token: what is sent, what is taken, and whose fault it is when there is none."""

import json

import pytest

from keystead.clock import SYSTEM_CLOCK
from keystead.credentials import OAuthTokens
from keystead.credentials.federation import Federation
from keystead.drivers import conversation
from keystead.errors import ConfigurationError, CredentialRejected, KeysteadError, RateLimited, ServerFailure
from keystead.flows.federation import exchange
from keystead.secret import Secret
from keystead.testing.transport import Answer, ScriptedTransport, json_response
from keystead.wire.http import Response

CANARY = "canary-of-the-exchange"
BASE = "https://api.anthropic.com"
ISSUED = {"access_token": "sk-ant-oat01-federated", "token_type": "Bearer", "expires_in": 600}
RULE = Federation("fdrl_1", "org-1", identity_file="/run/token")


def run(transport: ScriptedTransport, federation: Federation = RULE) -> OAuthTokens:
    return conversation.run(exchange(federation, BASE, Secret(CANARY), 5000.0), transport, SYSTEM_CLOCK)


def vendor(status: int, kind: str) -> Response:
    """The API's own shape, with words that echo what was sent."""
    return json_response(status, {"type": "error", "error": {"type": kind, "message": f"no match for {CANARY}"}})


def test_the_request_is_the_one_of_the_vendors_sdks() -> None:
    """JSON, two betas, and nothing that was not configured."""
    transport = ScriptedTransport([json_response(200, ISSUED)])

    tokens = run(transport)

    request = transport.requests[0]
    assert (request.method, request.url) == ("POST", "https://api.anthropic.com/v1/oauth/token")
    assert request.headers["anthropic-beta"] == "oauth-2025-04-20,oidc-federation-2026-04-01"
    assert json.loads(request.body or b"") == {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": CANARY,
        "federation_rule_id": "fdrl_1",
        "organization_id": "org-1",
    }
    assert CANARY not in repr(request)
    assert tokens.access_token == Secret("sk-ant-oat01-federated")
    assert (tokens.refresh_token, tokens.expires_at) == (None, 5600.0)


def test_account_and_workspace_are_sent_when_they_are_chosen() -> None:
    transport = ScriptedTransport([json_response(200, ISSUED)])

    run(transport, Federation("r", "o", "/run/token", service_account_id="svac_1", workspace_id="wrkspc_1"))

    body = json.loads(transport.requests[0].body or b"")
    assert (body["service_account_id"], body["workspace_id"]) == ("svac_1", "wrkspc_1")


def test_the_type_of_the_token_may_be_left_out() -> None:
    """As the vendor's own SDKs allow; another type is not taken."""
    untyped = {name: value for name, value in ISSUED.items() if name != "token_type"}

    assert run(ScriptedTransport([json_response(200, untyped)])).access_token == Secret("sk-ant-oat01-federated")
    with pytest.raises(ServerFailure, match="token_type"):
        run(ScriptedTransport([json_response(200, {**ISSUED, "token_type": "DPoP"})]))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (json_response(400, {"error": "invalid_grant", "error_description": CANARY}), CredentialRejected),
        (json_response(400, {"error": "invalid_request"}), ConfigurationError),
        (vendor(401, "authentication_error"), CredentialRejected),
        (vendor(403, "permission_error"), CredentialRejected),
        (vendor(400, "invalid_request_error"), ConfigurationError),
        (vendor(404, "not_found_error"), ConfigurationError),
        (vendor(500, "api_error"), ServerFailure),
        (vendor(429, "rate_limit_error"), RateLimited),
        (Response(401, {"content-type": "text/html"}, b"<html>portal"), ServerFailure),
        (Response(200, {"content-type": "text/html"}, b"<html>portal"), ServerFailure),
        (json_response(200, {"access_token": "t"}), ServerFailure),
        (json_response(200, {"expires_in": 60, "token_type": "Bearer"}), ServerFailure),
        (Response(302, {"location": "https://evil.example"}, b""), ServerFailure),
    ],
)
def test_a_refusal_is_told_from_trouble(answer: Answer, error: type[KeysteadError]) -> None:
    """And the server's words are not repeated, for they may be the identity token."""
    with pytest.raises(error) as caught:
        run(ScriptedTransport([answer]))

    assert type(caught.value) is error
    assert CANARY not in f"{caught.value.message} {caught.value.hint}"
    if error is CredentialRejected:
        assert "federation rule fdrl_1" in (caught.value.hint or "")
        assert "ANTHROPIC_WORKSPACE_ID" in (caught.value.hint or "")
