"""Computing the cost of stored rows again, after prices changed or for rows that are older than prices."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from django.db import transaction

from keystead.server.audit import operations as audit
from keystead.server.audit.models import AuditEvent
from keystead.server.usage.models import UsageEntry
from keystead.server.usage.prices import Cost, PriceBook, Usage, amount

_ROWS: Final = 1_000
"""Rows per transaction: short enough for the ledger's own to pass in between."""
_STATEMENT: Final = 200
_ACTION: Final = "usage:reprice"


@dataclass(slots=True)
class Repriced:
    """What was found, and changed unless it was only looked at.

    Attributes:
        rows: looked at.
        changed: whose cost, price or mark is another now.
        unpriced: had no cost before.
        estimates: are estimates now.
        before_micro: the cost of all rows before; without one counts as nothing.
        after_micro: their cost now.
    """

    rows: int = 0
    changed: int = 0
    unpriced: int = 0
    estimates: int = 0
    before_micro: int = 0
    after_micro: int = 0

    def described(self) -> dict[str, Any]:
        """Return it as plain data, amounts also as decimal text."""
        return asdict(self) | {"before": amount(self.before_micro), "after": amount(self.after_micro)}


def reprice(since: datetime, now: datetime, book: PriceBook, *, dry_run: bool) -> Repriced:
    """Compute the cost of every row from ``since`` until ``now`` again with ``book``; a second time changes nothing.

    Args:
        since: the first moment whose requests are looked at.
        now: what the gateway writes after it is left alone.
        book: the prices that count.
        dry_run: only look.
    """
    done = Repriced()
    for rows in _batches(since, now):
        changed = [row for row in rows if _apply(row, book, done)]
        if changed and not dry_run:
            with transaction.atomic():
                UsageEntry.objects.bulk_update(
                    changed, ["cost_micro", "price", "cost_is_estimate", "covered_micro"], batch_size=_STATEMENT
                )
    if done.changed and not dry_run:
        details: audit.Details = {
            "since": since.isoformat(),
            "changed": done.changed,
            "before_micro": done.before_micro,
        }
        audit.record(
            organization=None,
            actor=audit.SYSTEM,
            action=_ACTION,
            target="usage",
            at=now,
            details={**details, "after_micro": done.after_micro},
        )
    return done


def times() -> int:
    """Return how many times costs were changed; another number than before means that sums of them are to be read anew.

    The event is stored after the rows, so whoever sees it sees them. Counted, since that reads its index alone.
    """
    return AuditEvent.objects.filter(action=_ACTION).count()


def _batches(since: datetime, now: datetime) -> Iterator[list[UsageEntry]]:
    """Give the rows in the order of their identifiers, a transaction's worth at a time."""
    entries = UsageEntry.objects.filter(started_at__gte=since, started_at__lt=now).order_by("id")
    rows = list(entries[:_ROWS])
    while rows:
        yield rows
        rows = list(entries.filter(id__gt=rows[-1].id)[:_ROWS])


def _apply(row: UsageEntry, book: PriceBook, done: Repriced) -> bool:
    """Give ``row`` its cost and count it; returns whether that changed it."""
    before = (row.cost_micro, row.price, row.cost_is_estimate)
    cost = _cost(row, book)
    row.cost_micro, row.price, row.cost_is_estimate = cost
    row.covered_micro = _covered(row.covered_micro, before[0], cost.micro)
    done.rows += 1
    done.changed += before != cost
    done.unpriced += before[0] is None
    done.estimates += cost.is_estimate
    done.before_micro += before[0] or 0
    done.after_micro += cost.micro
    return before != cost


def _covered(covered: int | None, before: int | None, after: int) -> int | None:
    """Return what an allowance covers of a new cost: all of it where it did, else no more than it did."""
    return after if covered is not None and covered == before else covered and min(covered, after)


def _cost(row: UsageEntry, book: PriceBook) -> Cost:
    """Return what ``row`` costs; for how long an old row's cache was written is not known, so that is an estimate."""
    unknown = row.cache_write_1h_tokens is None and row.cache_write_tokens > 0
    usage = Usage(
        row.input_tokens,
        row.output_tokens,
        row.cache_read_tokens,
        row.cache_write_tokens,
        row.cache_write_1h_tokens or 0,
        row.web_searches or 0,
    )
    day = int(row.started_at.timestamp()) // 86_400
    estimated = row.estimated or unknown
    return book.cost(
        row.upstream, row.model, day, usage, estimated=estimated, kind=row.upstream_kind, tariff=row.tariff
    )
