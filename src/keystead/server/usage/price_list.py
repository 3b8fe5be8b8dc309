"""The prices that Keystead ships: public list prices, without anybody's discount.

Each row names where it was read. Models whose price was not certain there are left out on purpose: they are counted
at the default tier and marked as estimates until the operator's file names them (docs/usage.md). There are no rows
for the clouds: their prices differ by region and contract.
"""

from datetime import date
from typing import Final

from keystead.server.usage.prices import Price, PriceBook, Rates

VERSION: Final = "2026-11-26.3"
"""Names the state of the table in every row of the ledger that was computed with it; changed with every row."""

_SEARCH: Final = 10 * 10**9
"""10 USD per 1,000, as the vendor's documentation of the tool has had it; the edition of [P] could not be checked."""
_ALWAYS: Final = date(2024, 1, 1)
_US: Final = (("us", 110),)
_FAST: Final = (("fast", 200), ("us", 110))
_FAST_ONCE: Final = (("fast", 600), ("us", 110))
"""What else changes prices of Claude 4.6 and later [D] [F]; the fast mode of Opus 4.6 and 4.7 has ended."""


def _row(model: str, since: date, *cents: int, factors: tuple[tuple[str, int], ...] = ()) -> Price:
    """Return a row of Anthropic's list.

    Args:
        model: how the model's names begin.
        since: when the price began. Where the source does not say, the day in the model's name or the first of
            its year: no request can be older.
        cents: US cents per million tokens of input, output, cache read, cache write for 5 minutes, for 1 hour.
        factors: as in :class:`Price`.
    """
    return _exact(model, since, 0, *(each * 10**4 for each in cents), factors=factors)


def _exact(model: str, since: date, over: int, *micro: int, factors: tuple[tuple[str, int], ...] = ()) -> Price:
    """Return a row for prompts of more than ``over`` tokens, in 10⁻⁶ USD per million tokens."""
    rates = Rates(*micro)._replace(web_search=_SEARCH)
    return Price("anthropic", model, since, rates, over, VERSION, factors)


# [P] platform.claude.com/docs/en/about-claude/pricing, table "Model pricing", as published between 2026-07-24 and
#     2026-09-22 (it lists Claude Opus 5 and not yet 5.5); read 2026-11-26.
# [E] the same table in its edition of early 2026, which goes on to the older models; read 2026-11-26.
# [Q] the same table as published between 2026-09-01 and 2026-09-22 (it lists Claude Fable 5.1); read 2026-11-26.
# [O] platform.claude.com/docs/…/models/MODEL/overview, "Pricing"; read 2026-11-26.
# [R] platform.claude.com/docs/…/release-notes/overview, entry of that day: input and output; read 2026-11-26. What of
#     the cache is not there agrees in two price tables of others that name the vendor's as their source.
# [D] the same, "Data residency pricing": 1.1 times all tokens for inference in the US only, from Claude 4.6 on.
# [F] the same, "Fast mode pricing", in its editions of early 2026 (Opus 4.6 and 4.7) and of after 2026-09-22.
# [A] www.anthropic.com/claude-haiku-5-5, the announcement of that day, by which reads from the cache of Sonnet 5.5 cost
#     half; the overview of Haiku 5.5 says so too.
_ANTHROPIC: Final = (
    _row("claude-fable-5-2", date(2026, 11, 9), 800, 4000, 20, 1000, 1600, factors=_US),  # [R]
    _row("claude-fable-5-1", date(2026, 9, 1), 1000, 5000, 25, 1250, 2000, factors=_US),  # [Q], [O] fable-5-1
    _row("claude-mythos-5-1", date(2026, 9, 1), 1000, 5000, 25, 1250, 2000, factors=_US),  # [Q]
    _row("claude-mythos-5", date(2026, 6, 9), 1000, 5000, 100, 1250, 2000, factors=_US),  # [Q], [O] mythos-5
    _row("claude-fable-5", date(2026, 1, 1), 1000, 5000, 100, 1250, 2000, factors=_US),  # [P]
    _row("claude-opus-5-5", date(2026, 9, 1), 400, 2000, 20, 500, 800, factors=_FAST),  # [O] opus-5-5
    _row("claude-opus-5", date(2026, 7, 24), 500, 2500, 50, 625, 1000, factors=_FAST),  # [P], [O]
    _row("claude-opus-4-8", date(2026, 1, 1), 500, 2500, 50, 625, 1000, factors=_FAST),  # [P]
    _row("claude-opus-4-7", date(2026, 1, 1), 500, 2500, 50, 625, 1000, factors=_FAST_ONCE),  # [P]
    _row("claude-opus-4-6", date(2026, 1, 1), 500, 2500, 50, 625, 1000, factors=_FAST_ONCE),  # [P], [E]
    _row("claude-opus-4-5", date(2025, 11, 1), 500, 2500, 50, 625, 1000),  # [P], [E]
    _row("claude-opus-4-1", date(2025, 8, 5), 1500, 7500, 150, 1875, 3000),  # [P], [E]
    _row("claude-opus-4", date(2025, 5, 14), 1500, 7500, 150, 1875, 3000),  # [E]
    _row("claude-3-opus", _ALWAYS, 1500, 7500, 150, 1875, 3000),  # [E]
    _row("claude-sonnet-5-5", date(2026, 10, 7), 200, 1000, 10, 250, 400, factors=_US),  # [A]
    _row("claude-sonnet-5-5", date(2026, 9, 28), 200, 1000, 20, 250, 400, factors=_US),  # [O]
    _row("claude-sonnet-5", date(2026, 6, 30), 200, 1000, 20, 250, 400, factors=_US),  # [O] sonnet-5: released that day
    _row("claude-sonnet-4-6", date(2026, 1, 1), 300, 1500, 30, 375, 600, factors=_US),  # [E]
    _row("claude-sonnet-4-5", date(2025, 9, 29), 300, 1500, 30, 375, 600),  # [E]
    _row("claude-sonnet-4", date(2025, 5, 14), 300, 1500, 30, 375, 600),  # [E]
    _row("claude-3-7-sonnet", date(2025, 2, 19), 300, 1500, 30, 375, 600),  # [E]
    _exact(
        "claude-haiku-5-5", date(2026, 10, 7), 0, 100_000, 500_000, 10_000, 125_000, 200_000, factors=_US
    ),  # [O] haiku-5-5
    _exact(
        "claude-haiku-5-5", date(2026, 10, 7), 100_000, 500_000, 2_500_000, 50_000, 625_000, 1_000_000, factors=_US
    ),  # [O]
    _row("claude-haiku-4-5", date(2025, 10, 1), 100, 500, 10, 125, 200),  # [E]
    _row("claude-3-5-haiku", date(2024, 10, 22), 80, 400, 8, 100, 160),  # [E]
    _row("claude-3-haiku", _ALWAYS, 25, 125, 3, 30, 50),  # [E]
)

_NOTHING: Final = Price("test", "*", _ALWAYS, Rates(0, 0, 0, 0, 0), 0, VERSION)
"""The built-in test upstream is not a model and costs nothing."""

_DEFAULT: Final = _row("*", _ALWAYS, 500, 2500, 50, 625, 1000, factors=_FAST)._replace(upstream="default")
"""What an unknown model counts as: a large one, so that a bill does not come as a surprise."""

SHIPPED: Final = PriceBook([*_ANTHROPIC, _NOTHING], _DEFAULT)
