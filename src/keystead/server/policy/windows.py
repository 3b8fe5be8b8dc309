"""How much of something was used in a period that ends now. Pure: the clock is an argument (Unix seconds).

Days, weeks and months are those of the UTC calendar. A window that reaches back from now is kept in buckets; a bucket
counts until all of it is out of the window, so that nothing is forgotten early, and at most one bucket's width late.
"""

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from keystead.server.policy.limits import Period

INFINITY: Final = float("inf")
WIDTHS: Final = {Period.MINUTE: (60, 1), Period.FIVE_HOURS: (18_000, 60), Period.SEVEN_DAYS: (604_800, 3_600)}
"""Length and width of a bucket of each window that reaches back from now, in seconds."""


def bounds(period: Period, now: float) -> tuple[float, float]:
    """Return when a calendar period that ``now`` is in begins and ends; what is not of the calendar never does."""
    day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case Period.DAILY:
            begin, end = day, day + timedelta(days=1)
        case Period.WEEKLY:
            begin = day - timedelta(days=day.weekday())
            end = begin + timedelta(days=7)
        case Period.MONTHLY:
            begin = day.replace(day=1)
            end = (begin + timedelta(days=32)).replace(day=1)
        case _:
            return 0.0, INFINITY
    return begin.timestamp(), end.timestamp()


def reaches_back_to(period: Period, now: float) -> float:
    """Return since when what was used counts."""
    if period not in WIDTHS:
        return bounds(period, now)[0]
    length, width = WIDTHS[period]
    return (now - length) // width * width


class Counter:
    """What was used in one period, and what is held for requests that are under way.

    Attributes:
        used: of what is settled; look at it after :meth:`look`.
        held: by reservations.
        added: whether anything was added since it was counted anew.
    """

    __slots__ = ("_buckets", "_period", "_since", "_until", "_width", "added", "held", "used")

    def __init__(self, period: Period, now: float) -> None:
        self._period = period
        self._width = WIDTHS.get(period, (0, 0))[1]
        self._buckets: deque[list[int]] = deque()
        self.used = 0
        self.held = 0
        self.added = False
        self._turn(now)

    def look(self, now: float) -> int:
        """Return what is used and held at ``now``."""
        if not self._since <= now < self._until:
            self._turn(now)
        return self.used + self.held

    def add(self, amount: int, when: float, now: float) -> None:
        """Count what a request used that began at ``when``; what is of an earlier period counts no more."""
        if not self._since <= now < self._until:
            self._turn(now)
        self.added = True
        if not self._width:
            if when >= self._since:
                self.used += amount
            return
        bucket = when // self._width
        if self._buckets and self._buckets[-1][0] == bucket:  # most requests: the newest is not out of the window
            self._buckets[-1][1] += amount
        elif when >= reaches_back_to(self._period, now):
            self._put(int(bucket), amount)
        else:
            return
        self.used += amount

    def reset(self, used: Iterable[tuple[float, int]], now: float) -> None:
        """Count anew from (when, how much); what is held stays."""
        self.used = 0
        self._buckets.clear()
        self._turn(now)
        for when, amount in sorted(used):
            self.add(amount, when, now)
        self.added = False

    def room_at(self, most: int, now: float) -> float | None:
        """Return when no more than ``most`` is used, as far as that is known; None if never in this period."""
        used = self.used
        if used <= most:
            return now
        if not self._width:
            return self._until if most >= 0 else None
        for bucket, amount in self._buckets:
            used -= amount
            if used <= most:
                return self._out_at(bucket)
        return None

    def _put(self, bucket: int, amount: int) -> None:
        """Add to a bucket that is not the newest, or a new one."""
        buckets = self._buckets
        place = len(buckets)
        while place and buckets[place - 1][0] > bucket:
            place -= 1
        if place and buckets[place - 1][0] == bucket:
            buckets[place - 1][1] += amount
        else:
            buckets.insert(place, [bucket, amount])
            self._until = self._out_at(buckets[0][0])

    def _turn(self, now: float) -> None:
        """Forget what is of an earlier period, and set between which times :attr:`used` is right as it stands."""
        if not self._width:
            self._since, self._until = bounds(self._period, now)
            self.used = 0
            return
        buckets = self._buckets
        while buckets and self._out_at(buckets[0][0]) <= now:
            self.used -= buckets.popleft()[1]
        self._since, self._until = -INFINITY, self._out_at(buckets[0][0]) if buckets else INFINITY

    def _out_at(self, bucket: int) -> float:
        """Return when a bucket is out of the window."""
        return float((bucket + 1) * self._width + WIDTHS[self._period][0])
