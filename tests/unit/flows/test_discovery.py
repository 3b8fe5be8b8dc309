import pytest

from keystead.clock import SYSTEM_CLOCK
from keystead.drivers import conversation
from keystead.errors import ConfigurationError, KeysteadError, ServerFailure
from keystead.flows.discovery import discover
from keystead.testing.transport import ScriptedTransport, json_response
from keystead.wire import oauth
from keystead.wire.http import Response
from keystead.wire.oauth import ServerMetadata

BASE = "https://keys.example.com"
JSON = {"content-type": "application/json"}


def run(base: str, *answers: Response) -> ServerMetadata:
    return conversation.run(discover(base), ScriptedTransport(list(answers)), SYSTEM_CLOCK)


def test_the_endpoints_are_found(metadata: ServerMetadata) -> None:
    answer = Response(200, JSON, oauth.dump_metadata(metadata))
    transport = ScriptedTransport([answer])

    found = conversation.run(discover(f"{BASE}/"), transport, SYSTEM_CLOCK)

    assert found == metadata
    assert transport.requests[0].url == f"{BASE}/.well-known/oauth-authorization-server"


@pytest.mark.parametrize("issuer", ["https://evil.example", f"{BASE}/", f"{BASE}:444", "http://keys.example.com"])
def test_another_issuer_is_not_believed(issuer: str) -> None:
    document = {"issuer": issuer, "token_endpoint": f"{BASE}/oauth/token"}

    with pytest.raises(ServerFailure, match="says that it is"):
        run(BASE, json_response(200, document))


@pytest.mark.parametrize("field", ["token_endpoint", "revocation_endpoint", "userinfo_endpoint", "jwks_uri"])
@pytest.mark.parametrize("address", ["https://evil.example/x", f"{BASE}@evil.example/x", "not an address", "/relative"])
def test_an_endpoint_elsewhere_is_not_believed(field: str, address: str) -> None:
    document = {"issuer": BASE, "token_endpoint": f"{BASE}/oauth/token", field: address}

    with pytest.raises(ServerFailure, match=field):
        run(BASE, json_response(200, document))


@pytest.mark.parametrize(
    "answer",
    [
        Response(200, {"content-type": "text/html"}, b"<html>"),
        Response(200, JSON, b"{}"),
        Response(404, {}, b""),
        Response(302, {"location": "https://evil.example"}, b""),
        Response(502, {}, b"bad gateway"),
    ],
)
def test_a_server_that_is_something_else_is_named(answer: Response) -> None:
    with pytest.raises(ServerFailure) as caught:
        run(BASE, answer)

    assert BASE in caught.value.message


@pytest.mark.parametrize("base", ["http://keys.example.com", "https://u:p@keys.example.com", "keys.example.com"])
def test_an_unsafe_address_is_never_asked(base: str) -> None:
    transport = ScriptedTransport()

    with pytest.raises(ConfigurationError):
        conversation.run(discover(base), transport, SYSTEM_CLOCK)

    assert transport.requests == []


def test_a_password_in_the_address_is_not_repeated() -> None:
    with pytest.raises(KeysteadError) as caught:
        run("https://user:canary@keys.example.com")

    assert "canary" not in caught.value.message


def test_an_address_that_is_no_sign_in_servers_is_said_to_be_none() -> None:
    with pytest.raises(ServerFailure, match="does not say where to sign in") as caught:
        run(f"{BASE}/v1", Response(404, JSON, b"{}"))
    assert "Check the address" in str(caught.value.hint)
