"""What a running server does beside answering: it keeps its snapshots fresh, carries changes, sweeps and writes.

All of it begins and ends in one place, in the order in which one part needs another.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from keystead.clock import Clock
from keystead.secret import Secret
from keystead.server import remembered
from keystead.server.allowances import Allowances, limit_truth
from keystead.server.allowed_models import AllowedModels, policy_truth
from keystead.server.announcements import Announcements
from keystead.server.changes import CHANGES
from keystead.server.denials import Denials, record
from keystead.server.directory import SnapshotDirectory, Truth
from keystead.server.errands import ERRANDS
from keystead.server.housekeeping import Chore, Housekeeping
from keystead.server.permits import Permits, permit_truth
from keystead.server.shared_counters import RedisLink, SharedCounters
from keystead.server.telling import telling
from keystead.server.usage.prices import PriceBook
from keystead.server.usage.record import UsageRecord

if TYPE_CHECKING:
    from keystead.server.usage.ledger import LedgerWriter

REFRESH_SECONDS: Final = 15.0
"""How soon a server hears of what another process on its database changed, such as a rotated signing key."""
SWEEP_SECONDS: Final = 3600.0
_Write = Callable[[Sequence[UsageRecord]], None]


@dataclass(frozen=True, slots=True)
class Running:
    """What the gateway asks while the work goes on."""

    directory: SnapshotDirectory
    permits: Permits
    denials: Denials
    allowances: Allowances
    ledger: "LedgerWriter"
    counters: SharedCounters | None = None


def truth() -> Truth:
    """Return the control plane's answers for the gateway's directory."""
    from keystead.server.authorization import operations as authorization
    from keystead.server.keys import operations as keys

    return Truth(
        all_keys=keys.active_facts,
        key=keys.facts,
        keys_of=keys.facts_of,
        keys_changed_since=keys.changed_since,
        public_keys=authorization.verification_keys,
        verify=authorization.verify_access_token,
        ended_grants=authorization.revoked_grants,
        grant_is_live=authorization.grant_is_live,
    )


def chores(directory: SnapshotDirectory, permits: Permits, denials: Denials, allowances: Allowances) -> list[Chore]:
    """Return what a running server does from time to time."""
    from keystead.server.authorization.sweep import sweep
    from keystead.server.keys import rotation

    return [
        Chore("reading keys and ended sign-ins again", REFRESH_SECONDS, lambda _: _look_again(directory)),
        Chore("reading again what callers may do", REFRESH_SECONDS, lambda _: permits.refresh()),
        Chore("counting what is left of limits", REFRESH_SECONDS, lambda _: allowances.refresh()),
        Chore("writing down what was refused", REFRESH_SECONDS, denials.write),
        Chore("noting which secrets are used", REFRESH_SECONDS, lambda _: rotation.note_uses(directory.take_used())),
        Chore("forgetting replaced secrets", SWEEP_SECONDS, lambda now: rotation.forget_ended(_moment(now))),
        Chore("removing what has ended", SWEEP_SECONDS, lambda now: sweep(_moment(now))),
        Chore("forgetting servers that have gone", SWEEP_SECONDS, _forget_servers),
    ]


def _forget_servers(now: float) -> None:
    from keystead.server.limits import facts

    facts.forget_servers(_moment(now) - timedelta(days=1))


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)


def _close_connections() -> None:
    from django.db import connections

    connections.close_all()


@contextlib.contextmanager
def at_work(
    clock: Clock,
    book: PriceBook,
    more: Iterable[Chore] = (),
    *,
    limits_fail: str = "open",
    counters_url: Secret | None = None,
    stored: _Write | None = None,
) -> Iterator[Running]:
    """Do the work for the block, and at its end finish what is under way and write the ledger out.

    Args:
        clock: wall-clock time, for expiry and for what is due.
        book: what requests cost.
        more: what else is to be done from time to time.
        limits_fail: as the setting of that name, and so is the next.
        counters_url: through which servers tell one another what they count.
        stored: called with rows of the ledger once they are stored, in its thread.
    """
    from keystead.server.authorization import operations as authorization
    from keystead.server.usage.ledger import LedgerWriter

    authorization.make_signing_key(clock.now())
    directory = SnapshotDirectory(truth(), clock, CHANGES)
    models = AllowedModels(policy_truth(), CHANGES)
    permits = Permits(permit_truth(), models, CHANGES)
    denials = Denials(record)
    origin = uuid4().hex if counters_url is not None else ""
    allowances = Allowances(limit_truth(), book, clock, CHANGES, closed=limits_fail == "closed", origin=origin)
    write = allowances.storing(partial(_store, book=book, origin=origin, clock=clock))
    ledger = LedgerWriter(write=write if stored is None else partial(_both, write, stored))
    due = [*chores(directory, permits, denials, allowances), *more]
    housekeeping = Housekeeping(due, clock, finished=_close_connections)
    announcements = _announcements(directory, permits, allowances)
    counters = _counters(counters_url, allowances, housekeeping, clock)
    try:
        housekeeping.start()
        with telling(clock), remembered.remembering(CHANGES):
            yield Running(directory, permits, denials, allowances, ledger, counters)
    finally:
        housekeeping.close()
        if announcements is not None:
            announcements.close()
        ERRANDS.close()
        ledger.close()
        if counters is not None:
            counters.close()
        allowances.close()
        denials.close()
        permits.close()
        models.close()
        directory.close()


def _both(write: _Write, stored: _Write, batch: Sequence[UsageRecord]) -> None:
    write(batch)
    stored(batch)


def _store(batch: Sequence[UsageRecord], settlement: int, *, book: PriceBook, origin: str, clock: Clock) -> None:
    """Store a batch of the ledger and, where servers tell one another, up to which settlement it has this one's."""
    from keystead.server.usage.ledger import store

    if not settlement:
        store(batch, book)
        return
    from django.db import transaction

    from keystead.server.limits import facts

    with transaction.atomic():
        store(batch, book)
        facts.store_up_to(origin, settlement, datetime.fromtimestamp(clock.now(), UTC))


def _counters(
    url: Secret | None, allowances: Allowances, housekeeping: Housekeeping, clock: Clock
) -> SharedCounters | None:
    if url is None:
        return None
    from keystead.server.sealing import derived_keys

    keys = derived_keys("counters of limits")
    return SharedCounters(allowances, partial(RedisLink, url), keys, housekeeping.hurry, clock)


def _look_again(directory: SnapshotDirectory) -> None:
    """Read again, or when it is next asked, what other processes may have changed unheard."""
    remembered.forget()
    directory.refresh()


def _announcements(directory: SnapshotDirectory, permits: Permits, allowances: Allowances) -> Announcements | None:
    """Carry changes to and from other processes where the database can; on SQLite there are none."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return None

    def connect() -> Any:
        import psycopg

        given = connection.get_connection_params()
        return psycopg.connect(
            **{name: value for name, value in given.items() if name not in {"cursor_factory", "context"}},
            autocommit=True,
        )

    def missed() -> None:
        _look_again(directory)
        permits.refresh()
        allowances.refresh()

    return Announcements(CHANGES, connect, missed)
