"""Which upstreams a request may go to, or the refusal when there is none."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keystead.server.gateway.caller import unavailable
from keystead.server.gateway.ports import DirectoryUnavailable, Upstream
from keystead.server.gateway.refusals import Refusal
from keystead.server.policy import Principal

if TYPE_CHECKING:
    from keystead.server.gateway import Gateway


def of_caller(gateway: "Gateway", principal: Principal) -> Sequence[Upstream]:
    """Return the caller's upstreams in the order of preference, at least one.

    Raises:
        Refusal: 503, there is none, or which ones there are cannot be known now.
    """
    try:
        upstreams = gateway.upstreams(principal)
    except DirectoryUnavailable as error:
        raise unavailable(str(error)) from error
    if not upstreams:
        raise Refusal(
            503,
            "Your organization has no upstream that model requests could go to. An administrator adds one.",
            log=f"{principal.organization_id} has no upstream",
        )
    return upstreams
