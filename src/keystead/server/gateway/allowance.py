"""Holding callers to what is left of their limits."""

from typing import TYPE_CHECKING, Final

from keystead.server.gateway.ports import Upstream
from keystead.server.gateway.refusals import Refusal
from keystead.server.limits.line import Line
from keystead.server.limits.over import Denial
from keystead.server.policy import Principal
from keystead.server.usage.record import UsageRecord

if TYPE_CHECKING:
    from keystead.server.gateway import Gateway

_POINTLESS: Final = ("x-should-retry", "false")
_PATIENCE: Final = 60
"""Seconds that SDKs wait at most when they are told how long; told more, they try again at once and in vain."""


class Unlimited:
    """Nobody has any limits."""

    def reserve(self, *_: object) -> str:
        """Return that nothing stands against a request."""
        return ""

    def settle(self, record: UsageRecord) -> UsageRecord:
        """Count nothing."""
        return record

    def standing(self, *_: object) -> tuple[Line, ...]:
        """Return that nothing holds."""
        return ()


UNLIMITED: Final = Unlimited()


def reserve(
    gateway: "Gateway", principal: Principal, request_id: str, model: str, size: tuple[int, int | None], first: Upstream
) -> str | Refusal:
    """Hold what a request may use; returns what to tell the caller beside the answer, or why it is refused.

    Args:
        gateway: whose limits hold.
        principal: who asks.
        request_id: what the request is called.
        model: as it was asked for.
        size: bytes of the request's body, and the most tokens of an answer that it names.
        first: the upstream that is asked first.
    """
    seller = (first.name, first.kind._value_)
    found = gateway.allowances.reserve(principal, request_id[-32:], model, size, seller, gateway.now())
    if not isinstance(found, Denial):
        return found
    if gateway.observer is not None:
        gateway.observer.limited(found)
    return refusal(found)


def refusal(denial: Denial) -> Refusal:
    """Return what the caller is told of a denial."""
    after = denial.retry_after
    headers = [] if after is None else [("retry-after", str(after))]
    if after is None or after > _PATIENCE:
        headers.append(_POINTLESS)
    return Refusal(denial.status, denial.sentence, *headers, kind=denial.kind)
