"""What is counted of the gateway. All of it happens on the event loop, so that nothing needs a lock.

No label holds what a client or a member chose: upstreams are named by administrators, and of those no more than
:data:`MOST_UPSTREAMS`; everything else is from a table of ours.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from keystead.server.limits.over import Denial
from keystead.server.telemetry.exposition import Family, Histogram, Labels, Sample
from keystead.server.usage.record import UsageRecord

MOST_UPSTREAMS: Final = 64
"""Names of upstreams that are told apart; the rest are :data:`OTHERS`."""
OTHERS: Final = "(others)"
_MOST_KEYS: Final = 4096

SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Bounds of the times of requests: from a refusal to the longest answer that a client waits for."""
LAG_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

TOKENS: Final = ("input", "output", "cache_read", "cache_write")


class _Times:
    """How long the requests of one kind of upstream took."""

    __slots__ = ("duration", "first_byte")

    def __init__(self) -> None:
        self.duration = Histogram(SECONDS)
        self.first_byte = Histogram(SECONDS)


class _Row:
    """What is counted of requests that have their labels in common."""

    __slots__ = (
        "aborted",
        "cache_read",
        "cache_write",
        "estimated",
        "input",
        "output",
        "requests",
        "searches",
        "times",
    )

    def __init__(self, times: _Times) -> None:
        self.requests = self.aborted = self.estimated = self.searches = 0
        self.input = self.output = self.cache_read = self.cache_write = 0
        self.times = times


class _Key(NamedTuple):
    """By what requests are told apart; the first digit of a status is its class."""

    upstream: str
    kind: str
    status: int
    streamed: bool


class State(NamedTuple):
    """What is asked when a scrape comes.

    Attributes:
        open: requests that are being answered.
        circuits: upstreams in trouble, by name, and whether they are left alone now.
        waiting: rows of the ledger that are not stored yet.
        carried: of telemetry for collectors, how many bodies came to which end.
        counters: whether servers can tell one another what they count, and how many others are heard; None where they
            are not told to.
        counted_at: when the ledger was last counted for limits, in Unix seconds.
        costs: what stored rows cost, in dollars.
    """

    open: Callable[[], int]
    circuits: Callable[[], Iterable[tuple[str, bool]]]
    waiting: Callable[[], int]
    carried: Callable[[], Iterable[tuple[Labels, int]]]
    counters: Callable[[], tuple[bool, int] | None] = lambda: None
    counted_at: Callable[[], float] = lambda: 0.0
    costs: Callable[[], Iterable[tuple[Labels, float]]] = lambda: ()


class Metrics:
    """Counts what the gateway tells; implements :class:`~keystead.server.gateway.ports.Observer`.

    Attributes:
        lag: how late the event loop was for what was due.
    """

    def __init__(self) -> None:
        self.lag = Histogram(LAG_SECONDS)
        self._names: set[str] = set()
        self._known: dict[tuple[str, str, int, bool], _Row] = {}
        self._rows: dict[_Key, _Row] = {}
        self._times: dict[tuple[str, bool], _Times] = {}
        self._refused: Counter[tuple[int, str]] = Counter()
        self._denied: Counter[str] = Counter()
        self._limited: Counter[Labels] = Counter()
        self._failed: Counter[str] = Counter()
        self._passed_by: Counter[str] = Counter()

    def finished(self, record: UsageRecord, seconds: float, first_byte: float) -> None:
        """Count a request that has ended."""
        key = record.upstream, record.upstream_kind, record.status // 100, record.streamed
        row = self._known.get(key) or self._row(key)
        row.requests += 1
        row.aborted += record.aborted
        row.estimated += record.estimated
        row.searches += record.web_searches
        row.input += record.input_tokens
        row.output += record.output_tokens
        row.cache_read += record.cache_read_tokens
        row.cache_write += record.cache_write_tokens
        times = row.times
        times.duration.observe(seconds)
        if first_byte:
            times.first_byte.observe(first_byte)

    def refused(self, status: int, kind: str) -> None:
        """Count an answer of the gateway itself."""
        self._refused[status, kind] += 1

    def denied(self, rule: str) -> None:
        """Count a rule that objected."""
        self._denied[rule] += 1

    def limited(self, denial: Denial) -> None:
        """Count a limit that stood against a request, by what it is of; that it is not known is of nothing."""
        limit = denial.limit
        known = ("", "", "") if limit is None else (limit.scope.value, limit.measure.value, limit.period.value)
        self._limited[tuple(zip(("scope", "measure", "period"), known, strict=True))] += 1

    def failed(self, upstream: str) -> None:
        """Count a failure that is an upstream's own."""
        self._failed[self._name(upstream)] += 1

    def passed_by(self, upstream: str) -> None:
        """Count a request that went on to another upstream."""
        self._passed_by[self._name(upstream)] += 1

    def _row(self, key: tuple[str, str, int, bool]) -> _Row:
        upstream, kind, status, streamed = key
        named = _Key(self._name(upstream), kind, status, streamed)
        row = self._rows.get(named)
        if row is None:
            row = self._rows[named] = _Row(self._times.setdefault((kind, streamed), _Times()))
        if len(self._known) < _MOST_KEYS:
            self._known[key] = row
        return row

    def _name(self, upstream: str) -> str:
        if upstream not in self._names:
            if len(self._names) >= MOST_UPSTREAMS:
                return OTHERS
            self._names.add(upstream)
        return upstream

    def families(self, state: State, version: str) -> Iterator[Family]:
        """Give everything that is counted, and the state of now."""
        yield Family("keystead_build_info", "gauge", "Which server this is.", [Sample("", (("version", version),), 1)])
        yield from self._of_requests()
        yield from self._of_trouble(state)
        yield Family(
            "keystead_gateway_open_requests", "gauge", "Requests being answered.", [Sample("", (), state.open())]
        )
        yield Family(
            "keystead_ledger_waiting", "gauge", "Usage rows not yet stored.", [Sample("", (), state.waiting())]
        )
        yield Family(
            "keystead_ledger_cost_usd_total",
            "counter",
            "What stored usage rows cost, in US dollars by the price book.",
            [Sample("", labels, value) for labels, value in state.costs()],
        )
        yield Family(
            "keystead_limits_counted_timestamp_seconds",
            "gauge",
            "When the ledger was last counted for limits, in Unix seconds.",
            [Sample("", (), state.counted_at())],
        )
        yield from _of_counters(state.counters())
        yield Family(
            "keystead_event_loop_lag_seconds",
            "histogram",
            "How late the event loop was for what was due.",
            [*self.lag.samples(())],
        )
        yield Family(
            "keystead_telemetry_bodies_total",
            "counter",
            "Telemetry for collectors, by signal and what became of it.",
            [Sample("", labels, count) for labels, count in state.carried()],
        )

    def _of_requests(self) -> Iterator[Family]:
        rows = [(_labels(key), row) for key, row in self._rows.items()]
        counts: tuple[tuple[str, str, Callable[[_Row], int]], ...] = (
            ("requests", "Requests that ended, as the ledger has them.", lambda row: row.requests),
            ("aborted", "Of them, those that either side ended early.", lambda row: row.aborted),
            ("estimated", "Of them, those whose tokens are an estimate.", lambda row: row.estimated),
            ("web_searches", "Searches that upstreams made.", lambda row: row.searches),
        )
        for name, about, count in counts:
            samples = [Sample("", labels, count(row)) for labels, row in rows]
            yield Family(f"keystead_gateway_{name}_total", "counter", about, samples)
        tokens = [Sample("", (*labels, ("type", name)), getattr(row, name)) for labels, row in rows for name in TOKENS]
        yield Family("keystead_gateway_tokens_total", "counter", "Tokens as the upstreams counted them.", tokens)
        times = [((("kind", kind), ("stream", _word(one))), times) for (kind, one), times in self._times.items()]
        yield Family(
            "keystead_gateway_request_seconds",
            "histogram",
            "From a request's head to the last byte of its answer.",
            [sample for labels, one in times for sample in one.duration.samples(labels)],
        )
        yield Family(
            "keystead_gateway_first_byte_seconds",
            "histogram",
            "From a request's head to the first byte of its answer.",
            [sample for labels, one in times for sample in one.first_byte.samples(labels)],
        )

    def _of_trouble(self, state: State) -> Iterator[Family]:
        counters: tuple[tuple[str, str, str, Counter[str]], ...] = (
            ("keystead_gateway_denials_total", "rule", "Requests that a rule objected to.", self._denied),
            ("keystead_upstream_failures_total", "upstream", "Failures that were the upstream's own.", self._failed),
            (
                "keystead_upstream_failovers_total",
                "upstream",
                "Requests that went on from it to another.",
                self._passed_by,
            ),
        )
        refused = [
            Sample("", (("status", str(status)), ("type", kind)), count)
            for (status, kind), count in self._refused.items()
        ]
        yield Family("keystead_gateway_refusals_total", "counter", "Answers of the gateway itself.", refused)
        limited = [Sample("", labels, count) for labels, count in self._limited.items()]
        about = "Requests that a limit stood against."
        yield Family("keystead_gateway_limit_refusals_total", "counter", about, limited)
        for name, label, about, counter in counters:
            samples = [Sample("", ((label, value),), count) for value, count in counter.items()]
            yield Family(name, "counter", about, samples)
        left_alone: dict[str, int] = {}
        for upstream, is_open in state.circuits():
            name = self._name(upstream)
            left_alone[name] = left_alone.get(name, 0) + is_open
        yield Family(
            "keystead_upstream_circuit_open",
            "gauge",
            "Whether an upstream that failed is left alone now; of one that is well there is no line.",
            [Sample("", (("upstream", name),), count) for name, count in left_alone.items()],
        )


def _of_counters(state: tuple[bool, int] | None) -> Iterator[Family]:
    if state is not None:
        for name, about, value in (
            ("reachable", "1 while servers can tell one another what they count for limits.", state[0]),
            ("servers", "Other servers that are heard.", state[1]),
        ):
            yield Family(f"keystead_counters_{name}", "gauge", about, [Sample("", (), int(value))])


def _labels(key: _Key) -> Labels:
    status = f"{key.status}xx" if key.status else "none"
    return ("upstream", key.upstream), ("kind", key.kind), ("status", status), ("stream", _word(key.streamed))


def _word(flag: bool) -> str:
    return "true" if flag else "false"
