"""What is left of everybody's limits, answered from memory, and how it is kept true.

At every request the gateway asks :meth:`Allowances.reserve` and, when it has ended, tells :meth:`Allowances.settle`;
neither waits for anything. A request holds what it may cost at most (as far as that can be known before) until it is
settled with what it did cost, so that requests under way together do not spend the same money.

The ledger is the truth. What the counters say is counted anew from it at start, whenever limits or groups change, and
every few seconds; so a server learns what others on its database have spent. How much of it is read for that is said in
:mod:`keystead.server.limits.sums`. A request is settled once, by its identifier, and a count of the ledger replaces
what was counted before, so nothing is ever counted twice (G-03).
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from keystead.clock import Clock
from keystead.server.changes import Change, Changes
from keystead.server.limits import counted, line, sums
from keystead.server.limits.counted import Count
from keystead.server.limits.others import Heard, Others
from keystead.server.limits.over import STALE, Denial, near, over
from keystead.server.limits.plan import Check, Plan, laid_out
from keystead.server.limits.shared import News, Outbox, Settled
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.policy.limits import MONEY, Beyond, Caller, Cap, Limit, Measure, Scope, caps
from keystead.server.policy.windows import Counter
from keystead.server.usage.prices import PriceBook
from keystead.server.usage.record import UsageRecord, cost_of

_LOG: Final = logging.getLogger("keystead.server")
_AT_MOST: Final = 65_536
"""Callers whose caps are kept; when there are more, all are made anew."""
UNSAID: Final = 8_192
"""Tokens of an answer whose request names no limit of them."""
STALE_SECONDS: Final = 120.0
"""For how long counters are believed that could not be counted anew, where limits fail closed."""
AWAY_SECONDS: Final = 5.0
"""The same for servers that cannot tell one another what they count, though they should."""


@dataclass(frozen=True, slots=True)
class LimitTruth:
    """The control plane's answers, as functions that read the database.

    Attributes:
        limits: every limit, by its organization.
        groups: the members of these groups, each with those they are in.
        ledger: what it says was billed and covered.
        repriced: how many times costs that are in it were computed again.
    """

    limits: Callable[[], Mapping[str, Sequence[Limit]]]
    groups: Callable[[frozenset[str]], Mapping[str, frozenset[str]]]
    ledger: sums.Read
    repriced: Callable[[], int] = lambda: 0


def limit_truth() -> LimitTruth:
    """Return the answers of this server's database."""
    from keystead.server.limits import facts
    from keystead.server.usage import repricing

    return LimitTruth(facts.by_organization, facts.groups_of_members, facts.ledger, repricing.times)


class _Open(NamedTuple):
    """A request under way; ``wanted`` is what other servers were told of it."""

    principal: Principal
    held: Sequence[tuple[Counter, int]]
    wanted: Mapping[Measure, int] | None = None


class Allowances:
    """The gateway's answer over :class:`LimitTruth`.

    Args:
        truth: the database.
        book: what requests cost.
        clock: for when something was counted.
        changes: of limits, groups and members.
        closed: whether nothing is served by counters that are too old to be believed.
        origin: what other servers know this one by, where servers tell one another what they count; or empty.
    """

    def __init__(
        self,
        truth: LimitTruth,
        book: PriceBook,
        clock: Clock,
        changes: Changes,
        *,
        closed: bool = False,
        origin: str = "",
    ) -> None:
        self._truth = truth
        self._book = book
        self._clock = clock
        self._changes = changes
        self._closed = closed
        self._lock = threading.Lock()
        self._storing = threading.Lock()
        self._limits: Mapping[str, Sequence[Limit]] = {}
        self._groups: Mapping[str, frozenset[str]] = {}
        self._plans: dict[str, Plan] = {}
        self._counters: dict[Count, Counter] = {}
        self._sums = sums.Sums()
        self._late = False
        self._repriced = 0
        self._open: dict[str, _Open] = {}
        self._unsaved: dict[str, Settled] = {}
        self._outbox = Outbox(origin) if origin else None
        self._others = Others(self._plan_of)
        self._counted_at = self._told_at = clock.now()
        self._unsubscribe = changes.subscribe(self._apply)
        self.refresh()

    @property
    def counted_at(self) -> float:
        """When the ledger was last counted, in Unix seconds."""
        return self._counted_at

    def close(self) -> None:
        """Stop listening."""
        self._unsubscribe()

    def reserve(
        self,
        principal: Principal,
        request_id: str,
        model: str,
        size: tuple[int, int | None],
        seller: tuple[str, str],
        now: float,
    ) -> Denial | str:
        """Hold what a request may use, or return why it is refused.

        Args:
            principal: who asks.
            request_id: the 32 hex digits that its record will have.
            model: as it was asked for.
            size: bytes of the request's body, and the most tokens of an answer that it names.
            seller: name and kind of the upstream that is asked first.
            now: Unix seconds.

        Returns:
            The denial; or what to tell the caller beside the answer, most often nothing.
        """
        if not self._limits:
            return ""
        with self._lock:
            plan = self._plans.get(principal.id) or self._plan(principal, now)
            if not plan.checks:
                self._open[request_id] = _Open(principal, ())
                return ""
            if self._closed and self._is_stale(now):
                return STALE
            wanted = self._wanted(model, size, seller, now)
            part = _covered(plan, wanted[Measure.SPEND], now)
            wanted[Measure.SPEND] -= part or 0
            is_free = part is not None and not wanted[Measure.SPEND]
            for cap, measure, counter in plan.checks:
                is_over = counter.look(now) + wanted[measure] > cap.amount
                if is_over and cap.limit.beyond is Beyond.STOPPED and not (is_free and measure is Measure.SPEND):
                    return over(cap, counter, wanted[measure], now)
            wanted[Measure.ALLOWANCE] = part or 0
            self._open[request_id] = _Open(principal, _hold(plan, wanted, now), wanted)
            if self._outbox is not None:
                self._outbox.hold(principal, wanted)
            for cap, _, counter in plan.money:
                if said := near(cap, counter):
                    return said
            return ""

    def settle(self, record: UsageRecord) -> UsageRecord:
        """Count what a request used and give back what it held; a request that is not under way changes nothing.

        Returns:
            The record, with what the caller's allowance covers of its cost.
        """
        now = self._clock.now()
        with self._lock:
            request = self._open.pop(record.id, None)
            if request is None:
                return record
            for counter, amount in request.held:
                counter.held -= amount
            cost = cost_of(record, self._book).micro
            plan = self._plan_of(request.principal, now)
            part = _covered(plan, cost, now)
            tokens = record.input_tokens + record.output_tokens + record.cache_write_tokens
            settled = Settled(request.principal, 0, record.started_at, cost - (part or 0), part or 0, tokens)
            if self._outbox is not None and request.wanted is not None:
                settled = self._outbox.settle(request.principal, request.wanted, record.started_at, settled[3:])
            self._unsaved[record.id] = settled
            self._spend(settled, now)
            plan.add(Measure.TOKENS, tokens, record.started_at, now)
        return record if part is None else record._replace(covered_micro=part)

    def storing(self, write: Callable[[Sequence[UsageRecord], int], None]) -> Callable[[Sequence[UsageRecord]], None]:
        """Return what stores records such that it is known here, and to other servers, what the ledger has.

        Args:
            write: stores records and, in the same transaction, up to which settlement the ledger has this server's; 0
                is none.
        """

        def stored(batch: Sequence[UsageRecord]) -> None:
            with self._storing:
                with self._lock:
                    unsaved = [self._unsaved[record.id] for record in batch if record.id in self._unsaved]
                write(batch, max((one.number for one in unsaved), default=0))
                with self._lock:
                    for record in batch:
                        self._unsaved.pop(record.id, None)
            oldest = min((record.started_at for record in batch), default=0.0)
            if self._limits and oldest < self._clock.now() - sums.LATE:
                self._changes.publish(Change("ledger", str(oldest)))

        return stored

    def refresh(self) -> None:
        """Read the limits and count the ledger anew. The ledger takes nothing of this server's until that is done."""
        with self._storing:
            limits = self._truth.limits()
            groups = self._truth.groups(counted.groups(limits))
            asked = counted.asked(limits)
            other_people = groups != self._groups and any(one.by is Scope.GROUP for one in asked)
            late, self._late = self._late, False
            repriced = self._truth.repriced() if asked else self._repriced
            try:
                found, changed = self._read(asked, whole=late or other_people or repriced != self._repriced)
            except BaseException:
                self._late = self._late or late
                raise
            with self._lock:
                now = self._clock.now()
                self._limits, self._groups, self._plans, self._sums = limits, groups, {}, found
                self._repriced = repriced
                # Before plans are made anew: of two that count the same, each must find the same counter.
                self._counters = {key: one for key, one in self._counters.items() if one.look(now)}
                self._count(changed, now)
                self._counted_at = now

    def _read(self, asked: frozenset[counted.Counted], *, whole: bool) -> tuple[sums.Sums, set[Count] | None]:
        if not asked:
            return sums.Sums(), None
        return sums.read(self._truth.ledger, self._sums, asked, self._clock.now(), whole=whole)

    def hear(self, news: News, monotonic: float) -> bool:
        """Take in what another server says; returns whether the ledger is to be counted.

        Args:
            news: of a server other than this one.
            monotonic: seconds of the clock that does not jump.
        """
        with self._lock:
            heard = self._others.hear(news, self._clock.now(), monotonic)
            self._answer(heard)
            return heard.recount

    def _answer(self, heard: Heard) -> None:
        if self._outbox is not None and heard.ask:
            self._outbox.ask()
        elif self._outbox is not None and heard.answer:
            self._outbox.answer()

    def news(self, *, anyhow: bool, leaves: bool = False) -> News | None:
        """Return what is to be told to the other servers, if anything; see :meth:`Outbox.news`."""
        with self._lock:
            if self._outbox is None:
                return None
            return self._outbox.news([*self._unsaved.values()], anyhow=anyhow, leaves=leaves)

    def ask(self) -> None:
        """Have every other server tell all it has, because messages may have been lost."""
        with self._lock:
            self._answer(Heard(ask=True))

    def reached(self) -> None:
        """Note that messages pass between the servers."""
        self._told_at = self._clock.now()

    def leave_silent(self, monotonic: float) -> bool:
        """Give up servers that have fallen silent; returns whether the ledger is to be counted for that."""
        with self._lock:
            return self._others.leave_silent(monotonic)

    @property
    def origin(self) -> str:
        """What other servers know this one by."""
        return "" if self._outbox is None else self._outbox.origin

    def others(self) -> int:
        """Return how many other servers are known."""
        with self._lock:
            return len(self._others)

    def used(self, principal: Principal) -> list[tuple[Cap, int]]:
        """Return every cap that a caller has, with what is used of it."""
        now = self._clock.now()
        with self._lock:
            return [(cap, counter.look(now)) for cap, _, counter in self._plan_of(principal, now).checks]

    def standing(self, principal: Principal, now: float) -> Denial | tuple[line.Line, ...]:
        """Return every cap of a caller with what is used of it, or why that cannot be known."""
        with self._lock:
            checks = self._plan_of(principal, now).checks
            if checks and self._closed and self._is_stale(now):
                return STALE
            return tuple(line.counted(cap, counter, now) for cap, _, counter in checks)

    def _is_stale(self, now: float) -> bool:
        """Return whether the counters are too old to be believed."""
        if now - self._counted_at > STALE_SECONDS:
            return True
        return self._outbox is not None and now - self._told_at > AWAY_SECONDS

    def _count(self, changed: set[Count] | None, now: float) -> None:
        """Take the ledger's sums over where they or what was added here may differ; None is everywhere."""
        for key, counter in self._counters.items():
            if key[1] in MONEY and (changed is None or counter.added or key in changed):
                counter.reset(self._sums.amounts(key), now)
        self._others.counted(self._sums.stored)
        if not self._sums.asked:
            self._others.forget_settled()
        for settled in (*self._unsaved.values(), *self._others.settled()):
            self._spend(settled, now)

    def _spend(self, settled: Settled, now: float) -> None:
        plan = self._plan_of(settled.principal, now)
        for measure in MONEY:
            plan.add(measure, settled.of(measure), settled.when, now)

    def _plan_of(self, principal: Principal, now: float) -> Plan:
        return self._plans.get(principal.id) or self._plan(principal, now)

    def _plan(self, principal: Principal, now: float) -> Plan:
        found = caps(self._limits.get(principal.organization_id, ()), self._caller(principal))
        if len(self._plans) >= _AT_MOST:
            self._plans.clear()
        made = self._plans[principal.id] = laid_out(self._check(cap, now) for cap in found)
        return made

    def _check(self, cap: Cap, now: float) -> Check:
        measure = cap.limit.measure
        return Check(cap, measure, self._counter((cap.counted, measure, cap.limit.period), now))

    def _caller(self, principal: Principal) -> Caller:
        key = principal.id if principal.kind is PrincipalKind.API_KEY else ""
        seat = principal.member_id or principal.service_account_id or principal.id
        groups = self._groups.get(principal.member_id or "", frozenset())
        signed_in = principal.member_id is not None and principal.kind is PrincipalKind.SESSION
        return Caller(principal.organization_id, principal.workspace_id, seat, key, groups, signed_in)

    def _counter(self, key: Count, now: float) -> Counter:
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = Counter(key[2], now)
            if key[1] in MONEY:
                counter.reset(self._sums.amounts(key), now)
        return counter

    def _wanted(
        self, model: str, size: tuple[int, int | None], seller: tuple[str, str], now: float
    ) -> dict[Measure, int]:
        """Return how much of each measure a request may use, as far as it can be known before it is sent."""
        asked, answered = size[0] // 4, UNSAID if size[1] is None else size[1]
        usage = (asked, answered, 0, 0, 0, 0)
        cost = self._book.cost(seller[0], model, int(now) // 86_400, usage, kind=seller[1])
        return {
            Measure.SPEND: cost.micro,
            Measure.ALLOWANCE: cost.micro,
            Measure.REQUESTS: 1,
            Measure.TOKENS: asked + answered,
            Measure.CONCURRENT: 1,
        }

    def _apply(self, change: Change) -> None:
        if change.subject == "ledger":
            self._late = self._late or not _is_at_least(change.id, self._sums.until)
            return
        about_limits = change.subject == "limit"
        about_people = change.subject in {"group", "member"} and counted.groups(self._limits)
        if not about_limits and not about_people:
            return
        try:
            self.refresh()
        except Exception as error:  # noqa: BLE001  what was changed is stored; whoever did it need not hear of this
            _LOG.warning("limits are read again within seconds: %s", type(error).__name__)


def _covered(plan: Plan, cost: int, now: float) -> int | None:
    """Return how much of a cost the caller's allowances cover; None when they have none.

    What is held for other requests is theirs, so that what one is billed does not depend on which ends first. Windows
    whose requests stop cover whatever they let in.
    """
    if not plan.allowances:
        return None
    part = cost
    for cap, _, counter in plan.allowances:
        if cap.limit.beyond is Beyond.METERED:
            part = min(part, max(cap.amount - counter.look(now), 0))
    return part


def _is_at_least(time: str, least: float) -> bool:
    try:
        return float(time) >= least
    except ValueError:
        return False


def _hold(plan: Plan, wanted: Mapping[Measure, int], now: float) -> list[tuple[Counter, int]]:
    """Hold what is wanted, once for each counter; requests count at once."""
    held: list[tuple[Counter, int]] = []
    for measure, counter in plan.counters:
        if measure is Measure.REQUESTS:
            counter.add(1, now, now)
        elif amount := wanted[measure]:
            counter.held += amount
            held.append((counter, amount))
    return held
