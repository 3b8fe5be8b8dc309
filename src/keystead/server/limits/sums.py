"""What the ledger says was spent, read such that what was read before is not read again. Pure: the reading is given.

A sum has two parts. What began more than an hour before (``until``) is read once and kept; what began since is read
every time, for that is where rows still arrive. Once in an hour the border moves. All of it is read again after
:data:`WHOLE`, and at once when somebody knows of a row that arrived late, on the wrong side of the border.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from keystead.server.limits.counted import Count, Counted, Spent

OVERLAP: Final = 3_600.0
"""Seconds that are read every time, at least; twice as many at most."""
WHOLE: Final = 900.0
"""Seconds after which everything is read again, whatever was heard."""
LATE: Final = OVERLAP / 2
"""A row that is stored so many seconds after its request began is told to the other servers: some may have read on."""

Amounts = Mapping[float, int]
"""Micro-units by when."""


class Ledger(NamedTuple):
    """What was read, all of it at one moment.

    Attributes:
        parts: one for each border that was given: what began from it on and before the next one.
        stored: up to which of its settlements each server's are in it; see :mod:`keystead.server.limits.shared`.
    """

    parts: Sequence[Spent]
    stored: Mapping[str, int]


Read = Callable[[frozenset[Counted], float, tuple[float, ...]], Ledger]
"""Reads sums for periods that end at a time, between borders in ascending order (Unix seconds); the last is open."""


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums as they were read last.

    Attributes:
        asked: which.
        closed: of what began before ``until``.
        open: of what began since.
        until: the border, in Unix seconds.
        whole_at: when everything was read.
        stored: as in :class:`Ledger`.
    """

    asked: frozenset[Counted] = frozenset()
    closed: Mapping[Count, Amounts] | None = None
    open: Spent | None = None
    until: float = 0.0
    whole_at: float = 0.0
    stored: Mapping[str, int] = field(default_factory=dict)

    def amounts(self, key: Count) -> list[tuple[float, int]]:
        """Return (when, micro-units) of one sum, in no order."""
        return [*((self.closed or {}).get(key) or {}).items(), *((self.open or {}).get(key) or ())]


def read(
    read: Read, before: Sums, asked: frozenset[Counted], now: float, *, whole: bool
) -> tuple[Sums, set[Count] | None]:
    """Return the sums at ``now``, and which of them may differ from before; None when any may.

    Args:
        read: what reads the ledger.
        before: what was read last.
        asked: which sums.
        now: Unix seconds.
        whole: whether everything is to be read again.
    """
    if whole or before.open is None or not asked <= before.asked or not 0 <= now - before.whole_at < WHOLE:
        until = now - OVERLAP
        ledger = read(asked, now, (0.0, until))
        closed = _closed({}, ledger.parts[0])
        return Sums(asked, closed, ledger.parts[1], until, now, ledger.stored), None
    if now - before.until < 2 * OVERLAP:
        ledger = read(asked, now, (before.until,))
        after = replace(before, asked=asked, open=ledger.parts[0], stored=ledger.stored)
    else:
        until = now - OVERLAP
        ledger = read(asked, now, (before.until, until))
        closed = _closed(before.closed or {}, ledger.parts[0])
        after = replace(before, asked=asked, closed=closed, open=ledger.parts[1], until=until, stored=ledger.stored)
    return after, {key for part in (before.open, *ledger.parts) for key in part}


def _closed(before: Mapping[Count, Amounts], more: Spent) -> dict[Count, Amounts]:
    after = dict(before)
    for key, amounts in more.items():
        kept = dict(after.get(key, ()))
        for when, amount in amounts:
            kept[when] = kept.get(when, 0) + amount
        after[key] = kept
    return after
