"""Drive a flow over a transport: the one loop between the pure conversations and the network."""

from typing import TypeVar

from keystead.clock import Clock
from keystead.drivers.transport import Transport
from keystead.flows import Flow, Wait
from keystead.wire.http import Response

Result = TypeVar("Result")


def run(flow: Flow[Result], transport: Transport, clock: Clock) -> Result:
    """Return the flow's result; whatever the flow or the transport raises comes through."""
    answer: Response | None = None
    try:
        while True:
            step = flow.send(answer)
            if isinstance(step, Wait):
                clock.sleep(step.seconds)
                answer = None
            else:
                answer = transport.send(step)
    except StopIteration as done:
        result: Result = done.value
        return result
    finally:
        flow.close()
