"""Which upstreams each organization's requests may go to, answered from memory, with their credentials at hand.

The gateway asks at every request and must not wait. What is kept lies in a snapshot, filled at start, corrected when
the control plane publishes a :class:`~keystead.server.changes.Change`, and read again every few seconds; so a file that
a credential refers to is read again too, and another key in it counts without a restart. What may take long, such as
a program that prints a key, is asked in a thread of its own.

An upstream whose credential cannot be read is left out and said so; nothing is ever sent without it. Until the first
answer of what takes long it is there, and the gateway waits for it or asks another. An organization
with upstreams of its own never falls back on the server's.
"""

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from keystead.clock import Clock
from keystead.errors import KeysteadError
from keystead.server.changes import CHANGES, Change, Changes
from keystead.server.housekeeping import Chore, Housekeeping
from keystead.server.outbound import upstream_reach
from keystead.server.policy import Principal
from keystead.server.settings import ServerSettings
from keystead.server.upstream_network import Guard
from keystead.server.upstream_shape import COMING, CredentialUnavailable, RenewedCredential, Upstream
from keystead.wire import ids

if TYPE_CHECKING:
    from keystead.server.upstreams import models
    from keystead.server.upstreams.credentials import Values

_LOG: Final = logging.getLogger("keystead.server")
REFRESH_SECONDS: Final = 15.0
"""How soon a change by another process, or of a file, is seen."""
ASKED_AGAIN_SECONDS: Final = 300.0
"""How long what took long to ask is used before it is asked again; a failure is asked again at the next look."""
TOGETHER: Final = 8
"""How many of those are asked at once."""


@dataclass(slots=True)
class _Held:
    """One upstream that is ready.

    Attributes:
        version: of the row it was made of.
        values: its credential's fields, to see whether one has changed.
        proven: whether it was asked once since.
    """

    version: int
    values: "Values" = field(repr=False)
    shape: Upstream
    proven: bool = False


@dataclass(frozen=True, slots=True)
class _Asked:
    """What took long to ask, of one version of a row, and when; without ``held`` there is an ``error``."""

    version: int
    at: float
    held: _Held | None
    error: str = ""


class _NotThere(Exception):
    """What took long to ask was not there; the message is the sentence that was said then."""


class UpstreamSnapshot:
    """The gateway's answer over the rows of the domain.

    Args:
        server: what the operator has opened and allowed.
        guard: where the upstreams' names may lead.
        clock: when an outcome was found, and how old what was asked is.
        changes: of this process.
    """

    def __init__(self, server: ServerSettings, guard: Guard, clock: Clock, changes: Changes = CHANGES) -> None:
        self._server = server
        self._guard = guard
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[UUID, _Held] = {}
        self._asked: dict[UUID, _Asked] = {}
        self._complaints: dict[UUID, str] = {}
        self._of: Mapping[str, tuple[Upstream, ...]] = {}
        self._unsubscribe = changes.subscribe(self._hear)
        self.refresh()

    def close(self) -> None:
        """Stop listening."""
        self._unsubscribe()

    def of(self, principal: Principal, otherwise: Sequence[Upstream]) -> Sequence[Upstream]:
        """Return the upstreams of a caller's organization in their order; ``otherwise`` when it has connected none."""
        return self._of.get(principal.organization_id, otherwise)

    def remark(self) -> str:
        """Return what ``/readyz`` says of upstreams that are left out; nothing when none is."""
        count = len(self._complaints)
        return f"; upstreams left out: {count} (see the log, or their page)" if count else ""

    def refresh(self) -> None:
        """Read everything again, but for what may take long."""
        from keystead.server.upstreams.models import Upstream as Row

        with self._lock:
            rows = list(Row.objects.select_related("organization").order_by("position", "id"))
            found: dict[str, list[Upstream]] = {}
            for row in rows:
                own = found.setdefault(ids.dump("organization", row.organization_id), [])
                shape = self._ready(row) if row.enabled else None
                if shape is not None:
                    own.append(shape)
            self._forget_all_but({row.pk for row in rows if row.enabled})
            self._of = {name: tuple(upstreams) for name, upstreams in found.items()}

    def _forget_all_but(self, there: set[UUID]) -> None:
        for kept in (self._held, self._asked, self._complaints):
            for key in kept.keys() - there:
                del kept[key]

    def _ready(self, row: "models.Upstream") -> Upstream | None:
        """Return the upstream with its credential, or that it is coming; None and the complaint without one."""
        from keystead.server.upstreams import credentials

        before = self._held.get(row.pk)
        try:
            held = self._asked_of(row) if credentials.is_slow(row) else self._made(row, before)
        except Exception as error:  # noqa: BLE001  one that cannot be read must not take the others down
            self._complain(row, _told(error))
            self._held.pop(row.pk, None)
            return None
        if held is None:  # the new one is being asked for in the background
            return self._coming(row) if before is None else before.shape
        self._held[row.pk] = held
        if self._complaints.pop(row.pk, None) is not None:
            _LOG.info("upstream %s of %s is used again", row.name, row.organization.name)
        return held.shape

    def _coming(self, row: "models.Upstream") -> Upstream:
        """Return the upstream as it is before its first credential: whoever has no other one waits for that."""
        from keystead.server.upstreams import credentials

        return credentials.shape(row, COMING, self._guard.of_organizations(row.base_url))

    def _made(self, row: "models.Upstream", before: _Held | None) -> _Held:
        """Return the upstream with what its credential is now; the same as before while nothing changed."""
        from keystead.server.upstreams import credentials

        values = credentials.read(row, self._server)
        if before is not None and (before.version, before.values) == (row.version, values):
            return before
        shown, addresses = credentials.made(row, values, self._server), self._guard.of_organizations(row.base_url)
        return _Held(row.version, values, credentials.shape(row, shown, addresses))

    def _asked_of(self, row: "models.Upstream") -> _Held | None:
        asked = self._asked.get(row.pk)
        if asked is None or asked.version != row.version:
            return None
        if asked.held is None:
            raise _NotThere(asked.error)
        return asked.held

    def _complain(self, row: "models.Upstream", sentence: str) -> None:
        before, self._complaints[row.pk] = self._complaints.get(row.pk), sentence
        if before != sentence:
            _LOG.warning("upstream %s of %s is left out: %s", row.name, row.organization.name, sentence)
            self._note(row, works=False, result=f"It is left out: {sentence}")

    def _note(self, row: "models.Upstream", *, works: bool, result: str) -> None:
        from django.db import DatabaseError

        from keystead.server.upstreams import operations

        try:
            operations.note(row, works=works, result=result, now=datetime.fromtimestamp(self._clock.now(), UTC))
        except DatabaseError as error:  # its page is the poorer; that must not keep the others from being read
            _LOG.warning("what was found of upstream %s was not written down: %s", row.name, type(error).__name__)

    def look(self) -> None:
        """Ask what takes long, read everything again, and prove what is new; in a thread that may wait."""
        self._ask_all(list(self._rows_to_ask()))
        self.refresh()
        for key, held in list(self._held.items()):
            _keep_fresh(held.shape)
            if not held.proven:
                self._prove(key, held)

    def _ask_all(self, rows: "list[models.Upstream]") -> None:
        """Ask them at the same time, so that none waits for a slower one; each is used as soon as it is there."""
        if not rows:
            return
        with ThreadPoolExecutor(min(len(rows), TOGETHER), "upstream-credential") as threads:
            for _ in as_completed([threads.submit(self._ask, row) for row in rows]):
                self.refresh()

    def _rows_to_ask(self) -> "Iterator[models.Upstream]":
        from keystead.server.upstreams import credentials
        from keystead.server.upstreams.models import Upstream as Row

        for row in Row.objects.filter(enabled=True).select_related("organization"):
            asked = self._asked.get(row.pk)
            fresh = asked is not None and asked.version == row.version and asked.held is not None
            if asked is not None and fresh and self._clock.monotonic() < asked.at + ASKED_AGAIN_SECONDS:
                continue
            with contextlib.suppress(KeysteadError):  # what cannot be opened is told by the reading of everything
                if credentials.is_slow(row):
                    yield row

    def _ask(self, row: "models.Upstream") -> None:
        before, held, error = self._held.get(row.pk), None, ""
        try:
            made = self._made(row, before)
            if made is not before:
                _renewed(made.shape)  # it takes the other's place with its first token
            held = made
        except Exception as failed:  # noqa: BLE001  told with the upstream's name, and asked again
            error = _told(failed)
        with self._lock:
            self._asked[row.pk] = _Asked(row.version, self._clock.monotonic(), held, error)

    def _prove(self, key: UUID, held: _Held) -> None:
        """Ask the upstream once, and write down what became of it."""
        from keystead.server.upstreams import trial
        from keystead.server.upstreams.models import Upstream as Row

        held.proven = True
        row = Row.objects.filter(pk=key, version=held.version).select_related("organization").first()
        if row is None:
            return
        outcome = trial.ask(held.shape, upstream_reach(self._server))
        level = logging.INFO if outcome.works else logging.WARNING
        _LOG.log(level, "upstream %s of %s: %s", row.name, row.organization.name, outcome.sentence)
        self._note(row, works=outcome.works, result=outcome.sentence)

    def _hear(self, change: Change) -> None:
        if change.subject != "upstream":
            return
        try:
            self.refresh()
        except Exception as error:  # noqa: BLE001  what was changed is stored; whoever did it need not hear of this
            _LOG.warning("upstreams are read again within seconds: %s", type(error).__name__)


def _renewed(upstream: Upstream) -> None:
    """Have a credential that ends renewed if it is time; raises what its cloud or vendor has against it."""
    if isinstance(upstream.credential, RenewedCredential):
        upstream.credential.refresh()


def _keep_fresh(upstream: Upstream) -> None:
    """Have it renewed in time; while it cannot be, the gateway hears so when it asks for it."""
    try:
        _renewed(upstream)
    except Exception as error:  # noqa: BLE001  the others are looked at too, and this one again
        _LOG.warning("the credential of upstream %s was not renewed: %s", upstream.name, _told(error))


def _told(error: Exception) -> str:
    """Return an error as a sentence, without what it might hold of a secret."""
    if isinstance(error, KeysteadError):
        return f"{error.message} {error.hint}" if error.hint else error.message
    return (
        str(error)
        if isinstance(error, (_NotThere, CredentialUnavailable))
        else f"It cannot be read: {type(error).__name__}."
    )


@contextlib.contextmanager
def looking(
    server: ServerSettings, clock: Clock, changes: Changes = CHANGES, more: Sequence[Chore] = ()
) -> Iterator[UpstreamSnapshot]:
    """Keep a snapshot during the block, in a thread of its own: at once, after each change, and again and again.

    ``more`` is done in the same thread, after it.
    """
    from django.db import connections

    snapshot = UpstreamSnapshot(server, Guard(upstream_reach(server)), clock, changes)
    chore = Chore("reading upstreams again", REFRESH_SECONDS, lambda _: snapshot.look())
    thread = Housekeeping([chore, *more], clock, finished=connections.close_all)

    def hear(change: Change) -> None:
        if change.subject == "upstream":
            thread.hurry()

    unsubscribe = changes.subscribe(hear)
    thread.start()
    try:
        yield snapshot
    finally:
        unsubscribe()
        thread.close()
        snapshot.close()
