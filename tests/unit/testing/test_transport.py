import pytest

from keystead.errors import ServerUnreachable
from keystead.testing.transport import ScriptedTransport, StreamedScript, json_response
from keystead.wire.http import Request, Response

REQUEST = Request("GET", "https://example.com/a?b=c")


def test_answers_come_in_order_and_requests_are_remembered() -> None:
    transport = ScriptedTransport([json_response(200, {}), lambda request: Response(201, {}, request.url.encode())])

    assert [transport.send(REQUEST).status, transport.send(REQUEST).body] == [200, b"https://example.com/a?b=c"]
    assert transport.requests == [REQUEST, REQUEST]


def test_a_route_answers_before_the_script() -> None:
    transport = ScriptedTransport([json_response(500, {})], routes={"GET /a": json_response(204, {})})

    assert transport.send(REQUEST).status == 204


def test_an_exception_is_raised() -> None:
    transport = ScriptedTransport([ServerUnreachable("gone"), ServerUnreachable("gone")])

    with pytest.raises(ServerUnreachable):
        transport.send(REQUEST)
    with pytest.raises(ServerUnreachable), transport.stream(REQUEST):
        pass


def test_a_stream_breaks_where_the_script_says() -> None:
    transport = ScriptedTransport([StreamedScript(200, {}, (b"a", ServerUnreachable("gone")))])

    with transport.stream(REQUEST) as response:
        chunks = response.iter_bytes()

        assert next(chunks) == b"a"
        with pytest.raises(ServerUnreachable):
            next(chunks)


def test_an_unexpected_request_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="GET /a"):
        ScriptedTransport().send(REQUEST)
