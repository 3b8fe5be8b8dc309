import pytest

from keystead.drivers import conversation
from keystead.errors import ServerUnreachable
from keystead.flows import Flow, Wait
from keystead.testing.clock import FakeClock
from keystead.testing.transport import ScriptedTransport, json_response
from keystead.wire.http import Request


def flow(closed: list[str]) -> Flow[list[int]]:
    statuses = []
    try:
        for number in (1, 2):
            yield Wait(number)
            response = yield Request("GET", f"https://example.com/{number}")
            assert response is not None
            statuses.append(response.status)
    finally:
        closed.append("closed")
    return statuses


def test_requests_are_carried_and_waits_are_waited() -> None:
    clock, transport = FakeClock(), ScriptedTransport([json_response(200, {}), json_response(201, {})])

    assert conversation.run(flow([]), transport, clock) == [200, 201]
    assert clock.slept == [1, 2]
    assert [request.url for request in transport.requests] == ["https://example.com/1", "https://example.com/2"]


def test_what_the_transport_raises_comes_through_and_the_flow_is_closed() -> None:
    closed: list[str] = []

    with pytest.raises(ServerUnreachable):
        conversation.run(flow(closed), ScriptedTransport([ServerUnreachable("gone")]), FakeClock())

    assert closed == ["closed"]
