"""Writing usage down without making a request wait for a disk.

The gateway appends to a queue; one thread moves the queue into the database in batches. A batch is stored in one
transaction and may be tried again whole: the record's identifier decides what is already there. What is in the queue
when the process is killed is lost, at most :data:`INTERVAL` of it; a clean stop loses nothing.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain, islice
from typing import Any, Final

from django.db import DatabaseError, OperationalError, connection, transaction

from keystead.server.usage.models import UsageEntry
from keystead.server.usage.price_list import SHIPPED
from keystead.server.usage.prices import PriceBook
from keystead.server.usage.record import UsageRecord, cost_of
from keystead.wire import ids

INTERVAL: Final = 0.1
"""Seconds between two batches."""

BATCH: Final = 2_000
"""Records per transaction."""

CAPACITY: Final = 100_000
"""Records that wait at most before :attr:`LedgerWriter.saturated` says so; about 60 MB."""

_UNSTORABLE: Final = (DatabaseError, ValueError, TypeError, OverflowError)

_log = logging.getLogger(__name__)


class LedgerWriter:
    """An append-only ledger over the database.

    Memory is bounded by refusal, not by forgetting: while :attr:`saturated` is true the gateway must answer 503
    instead of serving what it could not write down (G-01). ``append`` itself always keeps the record, because the
    upstream has already been paid for it.

    Args:
        capacity: how many records may wait while the database does not take them.
        write: stores one batch; the default writes to Django's database.
    """

    def __init__(
        self, *, capacity: int = CAPACITY, write: Callable[[Sequence[UsageRecord]], None] | None = None
    ) -> None:
        self._capacity = capacity
        self._write = write or store
        self._waiting: deque[UsageRecord] = deque()
        self._closing = threading.Event()
        self._given_up = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="usage-ledger", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many records are not yet stored."""
        return len(self._waiting)

    @property
    def saturated(self) -> bool:
        """Whether the database has not kept up for so long that new requests must be refused."""
        return len(self._waiting) >= self._capacity

    def append(self, record: UsageRecord) -> None:
        """Take one record, from any thread, in about a microsecond; it is stored within :data:`INTERVAL`."""
        self._waiting.append(record)

    def close(self, timeout: float = 10.0) -> int:
        """Store what waits and stop.

        Args:
            timeout: seconds to go on trying while the database refuses.

        Returns:
            How many records could not be stored.
        """
        self._closing.set()
        self._thread.join(timeout)
        self._given_up.set()
        if self._waiting:
            _log.error("the usage ledger lost %d records at shutdown", len(self._waiting))
        return len(self._waiting)

    def _run(self) -> None:
        try:
            while not self._closing.wait(INTERVAL):
                self._store_waiting()
            while not self._store_waiting() and not self._given_up.wait(INTERVAL):
                pass
        finally:
            connection.close()

    def _store_waiting(self) -> bool:
        """Store what waits now; what the database cannot take stays at the head, in order.

        What arrives meanwhile waits for the next round: chasing it would end in ever smaller transactions.

        Returns:
            Whether nothing waits any more.
        """
        due = len(self._waiting)
        while due > 0:
            batch = list(islice(self._waiting, min(due, BATCH)))
            due -= len(batch)
            try:
                self._store(batch)
            except OperationalError as error:
                self._note_failure(error)
                return False
            self._failing = False
            for _ in batch:
                self._waiting.popleft()
        return not self._waiting

    def _store(self, batch: Sequence[UsageRecord]) -> None:
        """Store ``batch``; a record the table refuses must not hold up the others for ever."""
        try:
            self._write(batch)
        except OperationalError:
            raise
        except _UNSTORABLE as error:
            if len(batch) == 1:
                _log.error("the usage ledger cannot store %s: %s", batch[0].request_id, type(error).__name__)
                return
            for record in batch:
                self._store([record])

    def _note_failure(self, error: OperationalError) -> None:
        """Say once per outage that the database does not answer, and start the next try on a new connection."""
        if not self._failing:
            _log.warning("the usage ledger waits for the database: %s", type(error).__name__)
        self._failing = True
        connection.close()


_COLUMNS: Final = [str(field.column) for field in UsageEntry._meta.concrete_fields]
_ROWS: Final = 50
"""Rows per statement: each one started lets another thread in, and the gateway's needs the time more."""


def store(batch: Sequence[UsageRecord], book: PriceBook = SHIPPED) -> None:
    """Write records and what they cost in one transaction; those that are there already stay as they are."""
    rows = [_row(record, book) for record in batch]
    single = len(rows) % _ROWS
    with transaction.atomic(), connection.cursor() as cursor:
        if single:
            cursor.executemany(_statement(1), rows[:single])
        if len(rows) > single:
            starts = range(single, len(rows), _ROWS)
            cursor.executemany(_statement(_ROWS), [list(chain(*rows[at : at + _ROWS])) for at in starts])


def _statement(rows: int) -> str:
    """Return the statement that adds so many rows."""
    table = connection.ops.quote_name(UsageEntry._meta.db_table)
    names = ", ".join(map(connection.ops.quote_name, _COLUMNS))
    places = ", ".join([f"({', '.join(['%s'] * len(_COLUMNS))})"] * rows)
    # The names are the model's own and every value is a parameter. Raw, because model instances cost ten times more.
    return f"INSERT INTO {table} ({names}) VALUES {places} ON CONFLICT (id) DO NOTHING"  # noqa: S608


@lru_cache(maxsize=4096)
def _hex(kind: str, wire_id: str) -> str:
    """Return an identifier as the table holds it; few owners stand behind many records."""
    return ids.parse(kind, wire_id).hex


@lru_cache(maxsize=1024)
def _moment(milliseconds: int) -> Any:
    """Return a Unix time as the table holds it; under load many records share a millisecond."""
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)
    return connection.ops.adapt_datetimefield_value(moment)


def _row(record: UsageRecord, book: PriceBook) -> tuple[Any, ...]:
    """Return ``record`` and its cost in the order of the model's fields."""
    return (
        record.id,
        record.request_id,
        _hex("organization", record.organization_id),
        _hex("workspace", record.workspace_id),
        _hex("membership", record.member_id) if record.member_id else None,
        record.principal_kind,
        record.principal_id,
        record.client[:200],
        record.session_id[:200],
        record.upstream[:32],
        record.model[:200],
        record.status,
        _moment(int(record.started_at * 1000)),
        *record[13:21],  # duration, tokens and flags: the table has them in the record's order
        _hex("service_account", record.service_account_id) if record.service_account_id else None,
        *record[22:24],
        *cost_of(record, book),
        *record[24:26],  # the upstream's kind, and what an allowance covers
        record.tariff[:64],
    )
