"""What a request cost, from what it used and a book of prices. Pure, and in whole numbers only.

A rate is a whole number of pico-units (10⁻¹²) of the currency for one token or one search, so that a list price such
as 2.50 per million tokens is exact. The parts of one request are added up exactly and rounded once, to the nearest
micro-unit (10⁻⁶), a half up. What else changes a price, as a faster mode does, is a whole percentage of what the tokens
cost, and part of the exact sum. The cost of many requests is the sum of their rounded costs.
"""

import re
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

CURRENCY: Final = "USD"
"""What all amounts are in."""

PICO: Final = 10**12
MICRO: Final = 10**6
"""Parts of one unit of the currency."""

LARGEST: Final = 10**15
"""The largest cost of one request, in micro-units; beyond it is cut, so that no count breaks a sum in the database."""

_STEP: Final = PICO // MICRO
_HALF: Final = _STEP // 2
_EPOCH: Final = date(1970, 1, 1)
_OTHERWISE: Final = {"fast": 200, "us": 110}
"""Percentages where the row has none: better too much, and marked as an estimate."""
_SAME_MODEL: Final = re.compile(r"(?:\[1m\]|-0|[-@](?:latest|\d{8})(?:[-:].*)?)?", re.DOTALL)
"""How a model's name goes on without becoming another model's: a date, ``latest``, a revision."""


Counts = tuple[int, int, int, int, int, int]
"""The numbers of a :class:`Usage`, in its order."""


class Usage(NamedTuple):
    """What one request used.

    Attributes:
        input: tokens, and so are the next four.
        cache_write: written to the cache, for whatever time.
        cache_write_1h: those of them that are kept for an hour; the others are kept for five minutes.
        web_searches: searches that the upstream made for it.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    web_searches: int = 0


class Rates(NamedTuple):
    """Pico-units for one token of each sort, and for one web search."""

    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    web_search: int = 0


class Price(NamedTuple):
    """One row of the book.

    Attributes:
        upstream: whose price it is: an upstream's name in the ledger, or a kind of upstreams.
        model: how the names of its models begin; with ``*`` at the end, however they go on.
        since: the first day (UTC) on which it holds, until a later row of the same upstream and model does.
        rates: what is paid.
        prompt_over: holds only for prompts of more tokens than this, cache reads and writes included.
        version: of the table the row is from.
        factors: (word of a tariff, percent of these rates for tokens) for what changes the price.
    """

    upstream: str
    model: str
    since: date
    rates: Rates
    prompt_over: int = 0
    version: str = ""
    factors: tuple[tuple[str, int], ...] = ()

    @property
    def id(self) -> str:
        """What the ledger keeps: enough to find the row again, in the table it was in."""
        over = f">{self.prompt_over}" if self.prompt_over else ""
        return f"{self.upstream}/{self.model}{over}@{self.since.isoformat()}#{self.version}"


class Cost(NamedTuple):
    """What one request cost.

    Attributes:
        micro: micro-units of :data:`CURRENCY`.
        price: :attr:`Price.id` of the row it was computed with; empty when nothing was used.
        is_estimate: the tokens were estimated, or the model has no row of its own.
    """

    micro: int
    price: str
    is_estimate: bool


_NOTHING: Final = Cost(0, "", is_estimate=False)


class _Candidate(NamedTuple):
    """A row whose name matches a model, with what is needed of it for every request."""

    since: int
    prompt_over: int
    rates: Rates
    id: str
    is_own: bool
    price: Price


class PriceBook:
    """Prices by upstream, model and day.

    Args:
        prices: the rows, in any order.
        default: what a model costs that no row is for.
    """

    def __init__(self, prices: Iterable[Price], default: Price) -> None:
        self.prices = tuple(sorted(prices, key=_specific, reverse=True))
        self.default = default
        self._last = _candidate(default, is_own=False)._replace(since=-LARGEST, prompt_over=0)
        self._candidates = lru_cache(maxsize=1024)(self._matching)  # few models stand behind many records

    def find(self, upstream: str, model: str, day: int, prompt: int, kind: str = "") -> tuple[Price, bool]:
        """Return the row with the longest matching name that holds on ``day``, and whether it is the model's own.

        A row for the upstream's name comes before every row for its kind.

        Args:
            upstream: that answered.
            model: as it was asked for.
            day: since 1970-01-01 (UTC).
            prompt: tokens of the prompt, cached ones included.
            kind: of that upstream, if it is known.
        """
        found = self._find((upstream, kind), model, day, prompt)
        return found.price, found.is_own

    def _find(self, sellers: tuple[str, str], model: str, day: int, prompt: int) -> _Candidate:
        for row in self._candidates(sellers, model):
            if row.since <= day and (not row.prompt_over or prompt > row.prompt_over):
                return row
        return self._last

    def _matching(self, sellers: tuple[str, str], model: str) -> tuple[_Candidate, ...]:
        return tuple(
            _candidate(price, is_own=_is_own(price, model))
            for seller in dict.fromkeys(sellers)
            for price in self.prices
            if price.upstream == seller and model.startswith(price.model.removesuffix("*"))
        )

    def cost(
        self, upstream: str, model: str, day: int, usage: Counts, *,
        estimated: bool = False, kind: str = "", tariff: str = "",
    ) -> Cost:  # fmt: skip
        """Return what one request cost; about a microsecond, for the ledger asks it for every row.

        Args:
            upstream: that answered.
            model: as it was asked for.
            day: since 1970-01-01 (UTC).
            usage: what the request used, as in :class:`Usage`.
            estimated: the counts in ``usage`` are an estimate, so the cost is one.
            kind: of that upstream, if it is known; its prices count where the upstream itself has none.
            tariff: words for what else changes the price; one that the row has no percentage for makes an estimate.
        """
        if not any(usage):
            return _NOTHING
        row = self._find((upstream, kind), model, day, usage[0] + usage[2] + usage[3])
        if not tariff:
            return Cost(min(rounded(pico(row.rates, usage)), LARGEST), row.id, estimated or not row.is_own)
        micro, is_known = _by_tariff(row.price, usage, tariff.split())
        return Cost(min(micro, LARGEST), row.id, estimated or not row.is_own or not is_known)


def pico(rates: Rates, usage: Counts) -> int:
    """Return the exact cost in pico-units."""
    fresh, output, cache_read, cache_write, cache_write_1h, web_searches = usage
    for_fresh, for_output, for_read, for_5m, for_1h, for_search = rates
    exact = fresh * for_fresh + output * for_output + cache_read * for_read
    if cache_write > cache_write_1h:
        exact += (cache_write - cache_write_1h) * for_5m
    return exact + cache_write_1h * for_1h + web_searches * for_search


def _by_tariff(price: Price, usage: Counts, words: Iterable[str]) -> tuple[int, bool]:
    """Return micro-units, and whether the row knows every word of the tariff; searches cost what they cost."""
    factors, whole, is_known = dict(price.factors), 1, True
    searches = usage[5] * price.rates.web_search
    tokens = pico(price.rates, usage) - searches
    for word in words:
        is_known = is_known and word in factors
        tokens *= factors.get(word, _OTHERWISE.get(word, 100))
        whole *= 100
    return (tokens + (searches + _HALF) * whole) // (_STEP * whole), is_known


def rounded(pico_units: int) -> int:
    """Return micro-units: the nearest, of two equally near ones the larger."""
    return (pico_units + _HALF) // _STEP


def amount(micro: int, places: int = 6) -> str:
    """Return micro-units as a decimal number of the currency, such as ``0.004200``.

    Args:
        micro: not negative.
        places: digits after the point, 1 to 6; rounded to the nearest, a half up.
    """
    step = 10 ** (6 - places)
    whole, rest = divmod((micro * 2 + step) // (2 * step), 10**places)
    return f"{whole}.{rest:0{places}d}"


def merged(shipped: PriceBook, own: Iterable[Price], default: Price | None) -> PriceBook:
    """Return ``shipped`` with an operator's rows: for an upstream and model that has such a row, only those hold."""
    rows = tuple(own)
    replaced = {(row.upstream, row.model) for row in rows}
    kept = [row for row in shipped.prices if (row.upstream, row.model) not in replaced]
    return PriceBook([*kept, *rows], default or shipped.default)


def _specific(price: Price) -> tuple[int, date, int]:
    return len(price.model.removesuffix("*")), price.since, price.prompt_over


def _candidate(price: Price, *, is_own: bool) -> _Candidate:
    return _Candidate((price.since - _EPOCH).days, price.prompt_over, price.rates, price.id, is_own, price)


def _is_own(price: Price, model: str) -> bool:
    """Return whether the name, beyond what the row says of it, is still that of the model the row is for."""
    return price.model.endswith("*") or _SAME_MODEL.fullmatch(model[len(price.model) :]) is not None
