"""``GET /v1/me/limits``: what is left of the caller's limits, from the counters that hold them; nothing is read."""

from typing import TYPE_CHECKING

from keystead.server.gateway import allowance, models
from keystead.server.limits import line
from keystead.server.limits.over import Denial
from keystead.server.policy import Principal
from keystead.wire import limits

if TYPE_CHECKING:
    from keystead.server.gateway import Gateway


def of_caller(gateway: "Gateway", principal: Principal) -> bytes:
    """Return every limit that holds for a caller, the nearest one first.

    Raises:
        Refusal: a rule lets them ask nothing at all, and which; or 503, what is left cannot be known now.
    """
    models.access_of(gateway, principal)
    now = gateway.now()
    found = gateway.allowances.standing(principal, now)
    if isinstance(found, Denial):
        raise allowance.refusal(found)
    return limits.dump(line.standing(one, now) for one in line.nearest_first(found))
