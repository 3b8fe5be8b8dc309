from dataclasses import replace

import pytest

from keystead.drivers import conversation
from keystead.errors import ConfigurationError, CredentialRejected, KeysteadError, ServerFailure
from keystead.flows.userinfo import userinfo
from keystead.secret import Secret
from keystead.testing.clock import FakeClock
from keystead.testing.transport import ScriptedTransport, json_response
from keystead.wire.http import Response
from keystead.wire.oauth import ServerMetadata, UserInfo


def test_the_server_says_whose_token_it_is(metadata: ServerMetadata) -> None:
    document = {
        "sub": "per_1",
        "email": "ada@example.com",
        "name": "Ada",
        "organization": {"id": "org_1", "name": "Example"},
        "billing_class": "gateway",
        "upstream": "test",
    }
    transport = ScriptedTransport([json_response(200, document)])

    info = conversation.run(userinfo(metadata, Secret("at")), transport, FakeClock())

    assert info == UserInfo("per_1", "ada@example.com", "Ada", "org_1", "Example", "gateway", "test")
    assert transport.requests[0].headers["authorization"] == Secret("Bearer at")
    assert "Bearer at" not in repr(transport.requests)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Response(401, {}, b""), CredentialRejected),
        (Response(500, {}, b""), ServerFailure),
        (json_response(200, {"email": "nobody"}), ServerFailure),
    ],
)
def test_a_token_that_is_nobodys_is_an_error(
    metadata: ServerMetadata, answer: Response, expected: type[KeysteadError]
) -> None:
    with pytest.raises(expected):
        conversation.run(userinfo(metadata, Secret("at")), ScriptedTransport([answer]), FakeClock())


def test_a_server_that_cannot_say_is_named(metadata: ServerMetadata) -> None:
    bare = replace(metadata, userinfo_endpoint=None)

    with pytest.raises(ConfigurationError):
        conversation.run(userinfo(bare, Secret("at")), ScriptedTransport(), FakeClock())
