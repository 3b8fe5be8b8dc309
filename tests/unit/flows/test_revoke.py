from dataclasses import replace

import pytest

from keystead.credentials import Login
from keystead.drivers import conversation
from keystead.errors import ServerFailure
from keystead.flows.revoke import revoke
from keystead.secret import Secret
from keystead.testing.clock import FakeClock
from keystead.testing.transport import ScriptedTransport, json_response
from keystead.wire.http import Response


def test_the_refresh_token_goes_first(login: Login) -> None:
    transport = ScriptedTransport([Response(200, {}, b""), Response(200, {}, b"")])

    assert conversation.run(revoke(login), transport, FakeClock()) is True
    assert [request.form and request.form["token"] for request in transport.requests] == [
        Secret("rt-1"),
        Secret("at-1"),
    ]


def test_a_server_without_revocation_is_not_asked(login: Login) -> None:
    transport = ScriptedTransport()

    assert conversation.run(revoke(replace(login, revocation_endpoint=None)), transport, FakeClock()) is False
    assert transport.requests == []


@pytest.mark.parametrize("answer", [Response(503, {}, b""), json_response(400, {"error": "unsupported_token_type"})])
def test_an_unconfirmed_revocation_is_an_error(login: Login, answer: Response) -> None:
    with pytest.raises(ServerFailure):
        conversation.run(revoke(login), ScriptedTransport([answer]), FakeClock())
