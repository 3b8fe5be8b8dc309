"""What the ledger's rows cost, added up where they are stored: off the event loop, and by the same price book."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from keystead.server.telemetry.exposition import Labels
from keystead.server.telemetry.metrics import OTHERS
from keystead.server.usage.prices import PriceBook
from keystead.server.usage.record import UsageRecord, cost_of

MOST: Final = 64
"""Organizations, and names of upstreams, that are told apart; the rest are :data:`OTHERS`."""
_MICRO: Final = 1_000_000


class Costs:
    """Adds up micro-units by organization and upstream, and by whether an allowance covers them.

    Args:
        book: what requests cost.
    """

    def __init__(self, book: PriceBook) -> None:
        self._book = book
        self._lock = threading.Lock()
        self._organizations: set[str] = set()
        self._upstreams: set[str] = set()
        self._sums: Counter[tuple[str, str, bool]] = Counter()

    def add(self, batch: Sequence[UsageRecord]) -> None:
        """Add rows that have been stored; from any thread."""
        with self._lock:
            for record in batch:
                micro, covered = cost_of(record, self._book).micro, record.covered_micro or 0
                of = _bounded(record.organization_id, self._organizations), _bounded(record.upstream, self._upstreams)
                self._sums[*of, False] += micro - covered
                if covered:
                    self._sums[*of, True] += covered

    def samples(self) -> Iterator[tuple[Labels, float]]:
        """Give the sums in the currency's whole units, with the labels of a metric."""
        with self._lock:
            sums = dict(self._sums)
        for (organization, upstream, covered), micro in sums.items():
            labels = ("organization", organization), ("upstream", upstream), ("covered", "true" if covered else "false")
            yield labels, micro / _MICRO


def _bounded(name: str, known: set[str]) -> str:
    if name not in known:
        if len(known) >= MOST:
            return OTHERS
        known.add(name)
    return name
