"""Waiting for a credential that is being got for the first time, as after a start: bounded, and only where it must be.

A request goes to the next upstream rather than wait; one that has no other waits here instead of being refused. An
upstream whose credential is there never comes by.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from keystead.server.gateway import choice
from keystead.server.gateway.ports import COMING, Upstream
from keystead.server.gateway.refusals import Refusal
from keystead.server.policy import Principal

if TYPE_CHECKING:
    from keystead.server.gateway import Gateway

LONGEST: Final = 10.0
"""Seconds that a request waits."""
LISTS_WAIT: Final = 1.0
"""Seconds that a list of models waits: clients give it three."""
EVERY: Final = 0.05


def is_coming(upstream: Upstream) -> bool:
    """Return whether its first credential is not there yet."""
    return upstream.credential is COMING


def when_there(
    gateway: "Gateway",
    principal: Principal,
    upstream: Upstream,
    wanted: Callable[[], bool],
    then: Callable[[Upstream | None], None],
) -> None:
    """Call ``then`` with the upstream once it has a credential, or with None when it gets none in time.

    Args:
        gateway: knows the caller's upstreams as they are.
        principal: the caller.
        upstream: as it was.
        wanted: whether anybody still waits; afterwards nothing is called.
        then: what is done next, on the event loop.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + LONGEST

    def look() -> None:
        if not wanted():
            return
        found = _now(gateway, principal, upstream)
        if found is None or not is_coming(found):
            then(found)
        elif loop.time() < until:
            loop.call_later(EVERY, look)
        else:
            then(None)

    loop.call_later(EVERY, look)


def _now(gateway: "Gateway", principal: Principal, upstream: Upstream) -> Upstream | None:
    try:
        there = choice.of_caller(gateway, principal)
    except Refusal:
        return None
    return next((one for one in there if one.id == upstream.id), None)


async def settled(gateway: "Gateway", principal: Principal) -> Sequence[Upstream]:
    """Return the caller's upstreams, once each has a credential or the time of a list is over.

    Raises:
        Refusal: as :func:`~keystead.server.gateway.choice.of_caller`.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + LISTS_WAIT
    there = choice.of_caller(gateway, principal)
    while any(map(is_coming, there)) and loop.time() < until:
        await asyncio.sleep(EVERY)
        there = choice.of_caller(gateway, principal)
    return there
