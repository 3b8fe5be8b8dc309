"""What holds for a caller, laid out once so that each request only compares and adds. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from keystead.server.policy import Principal
from keystead.server.policy.limits import MONEY, Cap, Measure
from keystead.server.policy.windows import Counter


class Check(NamedTuple):
    """A cap of a caller, and what counts towards it."""

    cap: Cap
    measure: Measure
    counter: Counter


class Plan(NamedTuple):
    """The caps of a caller, and the same by what is done with them.

    Attributes:
        checks: every cap.
        money: those of money, of which a caller is told when they are nearly used up.
        allowances: those of money that cover what would be billed otherwise.
        counters: each of the counters once, though two caps may count the same.
        by_measure: those of one measure.
    """

    checks: tuple[Check, ...]
    money: tuple[Check, ...]
    allowances: tuple[Check, ...]
    counters: tuple[tuple[Measure, Counter], ...]
    by_measure: Mapping[Measure, tuple[Counter, ...]]

    def add(self, measure: Measure, amount: int, when: float, now: float) -> None:
        """Add to every counter of one measure."""
        for counter in self.by_measure[measure]:
            counter.add(amount, when, now)


Plans = Callable[[Principal, float], Plan]
"""What holds for a caller at a time (Unix seconds)."""


def laid_out(checks: Iterable[Check]) -> Plan:
    """Lay out what must hold for a caller."""
    every = tuple(checks)
    once = tuple({id(one.counter): (one.measure, one.counter) for one in every}.values())
    return Plan(
        every,
        tuple(one for one in every if one.measure in MONEY),
        tuple(one for one in every if one.measure is Measure.ALLOWANCE),
        once,
        {measure: tuple(counter for counts, counter in once if counts is measure) for measure in Measure},
    )
