"""One limit that holds for somebody, with what is used of it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from keystead.server.limits.over import WARN_AT
from keystead.server.policy.limits import MICRO_PER_CENT, MONEY, Cap, source_of
from keystead.server.policy.windows import INFINITY, WIDTHS, Counter, bounds
from keystead.server.usage.prices import CURRENCY
from keystead.wire.limits import Standing


@dataclass(frozen=True, slots=True)
class Line:
    """One cap and what is used of it.

    Attributes:
        used: micro-units or a number; None where it is not known, as of requests per minute in the ledger.
        resets_at: Unix seconds at which some of what is used counts no more; None when nothing is used.
    """

    cap: Cap
    used: int | None
    resets_at: float | None = None

    @property
    def left(self) -> int | None:
        """How much is left of it; None where it is not known what is used."""
        return None if self.used is None else max(self.cap.amount - self.used, 0)

    @property
    def percent(self) -> int:
        """How much of it is used, of a hundred; all, where there is nothing to use."""
        if self.used is None:
            return 0
        return self.used * 100 // self.cap.amount if self.cap.amount else 100

    @property
    def is_window(self) -> bool:
        """Whether its period reaches back from now, so that what is used leaves it little by little."""
        return self.cap.limit.period in WIDTHS

    def resets(self, now: float) -> float | None:
        """Return when its calendar period ends, or when the first of what is used leaves its window."""
        if self.used is None or self.is_window:
            return self.resets_at
        end = bounds(self.cap.limit.period, now)[1]
        return None if end == INFINITY else end


def counted(cap: Cap, counter: Counter, now: float) -> Line:
    """Return a cap with what a counter has of it: money as it is settled, the rest with what is under way."""
    seen = counter.look(now)
    resets_at = counter.room_at(counter.used - 1, now) if counter.used else None
    return Line(cap, counter.used if cap.limit.measure in MONEY else seen, resets_at)


def nearest_first(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Return them by how much is used; money before what is none, such as requests per minute."""
    return tuple(sorted(lines, key=lambda line: (line.cap.limit.measure not in MONEY, -line.percent)))


def standing(line: Line, now: float) -> Standing:
    """Return a line as its caller is told of it.

    Args:
        line: of which it is known what is used.
        now: Unix seconds.
    """
    limit, used = line.cap.limit, line.used or 0
    is_money = limit.measure in MONEY
    unit = MICRO_PER_CENT if is_money else 1
    return Standing(
        limit_id=limit.id,
        measure=limit.measure.value,
        period=limit.period.value,
        source=source_of(limit.scope, limit.subject),
        shared=limit.shared,
        beyond=limit.beyond.value,
        amount=line.cap.amount // unit,
        used=used // unit,
        remaining=(line.left or 0) // unit,
        percent=line.percent,
        currency=CURRENCY if is_money else None,
        resets_at=line.resets(now),
        is_gradual=line.is_window,
        is_warning=is_money and line.percent >= WARN_AT,
    )
