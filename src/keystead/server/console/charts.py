"""What was used over time, as the rectangles of a picture. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

WIDTH: Final = 720
HEIGHT: Final = 120
_GAP: Final = 0.2
"""Of a column's width."""


class Costs(Protocol):
    """What was used at one time, such as a :class:`keystead.server.usage.operations.Tally`; in micro-units."""

    @property
    def cost_micro(self) -> int:
        """All of it."""

    @property
    def billed_micro(self) -> int:
        """The part that is billed."""

    @property
    def covered_micro(self) -> int:
        """The part that flat rates cover."""


@dataclass(frozen=True, slots=True)
class Column:
    """One hour or day; lengths are in the picture's units, from its upper left corner.

    Attributes:
        top: where what is billed begins, which stands on the ground.
        covered_top: where what flat rates cover begins, which stands on that.
    """

    costs: Costs
    x: float
    width: float
    top: float
    height: float
    covered_top: float
    covered_height: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Columns of cost.

    Attributes:
        peak: the highest one; None when nothing cost anything.
    """

    columns: tuple[Column, ...]
    peak: Costs | None
    width: int = WIDTH
    height: int = HEIGHT


def chart(all_costs: Sequence[Costs]) -> Chart:
    """Return the columns of what was used, in the order in which it comes; the highest one fills the picture."""
    peak = max(all_costs, key=lambda one: one.cost_micro, default=None)
    if peak is None or not peak.cost_micro:
        return Chart((), None)
    unit, step = HEIGHT / peak.cost_micro, WIDTH / len(all_costs)
    return Chart(tuple(_column(one, number * step, step, unit) for number, one in enumerate(all_costs)), peak)


def _column(costs: Costs, left: float, step: float, unit: float) -> Column:
    billed, covered = costs.billed_micro * unit, costs.covered_micro * unit
    x, width = round(left + step * _GAP / 2, 2), round(step * (1 - _GAP), 2)
    top, covered_top = HEIGHT - billed, HEIGHT - billed - covered
    return Column(costs, x, width, round(top, 2), round(billed, 2), round(covered_top, 2), round(covered, 2))
