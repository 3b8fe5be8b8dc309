"""Which upstreams a request may go to, or the refusal when there is none."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keystead.server.gateway import routing
from keystead.server.gateway.caller import unavailable
from keystead.server.gateway.ports import DirectoryUnavailable, Upstream
from keystead.server.gateway.refusals import Refusal
from keystead.server.gateway.request_head import RequestHead
from keystead.server.gateway.upstreams import ADAPTERS
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


def is_plain(upstream: Upstream, head: RequestHead) -> bool:
    """Return whether an upstream that is the only one can be asked without more ado."""
    adapter = ADAPTERS.get(upstream.kind)
    return head.metered and not upstream.serves and adapter is not None and adapter.format is head.format


def for_request(
    gateway: "Gateway", principal: Principal, upstreams: Sequence[Upstream], head: RequestHead, model: str
) -> list[Upstream]:
    """Return those of the caller's upstreams to try for a request, one after the other, at least one.

    Raises:
        Refusal: 404, none serves the model; 501, none that serves it counts tokens.
    """
    asked = [one for one in upstreams if one.kind in ADAPTERS and ADAPTERS[one.kind].format is head.format]
    if not asked:
        raise Refusal(
            404, f"No upstream of your organization speaks the {head.format.name} API. An administrator adds one."
        )
    session_at = gateway.sessions.of(principal.organization_id, head.session_id)
    found = routing.candidates(asked, model, session_at, gateway.health, gateway.monotonic())
    if not found:
        raise Refusal(404, f"No upstream of your organization serves the model {model}. An administrator adds one.")
    if head.metered:
        return found
    counting = [one for one in found if ADAPTERS[one.kind].counts_tokens]
    if not counting:
        raise Refusal(501, f"The upstream that serves the model {model} cannot count tokens.")
    return counting
