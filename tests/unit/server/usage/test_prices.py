"""What a request costs: exact, in whole numbers, by the row with the longest name that holds on the day."""

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.server.usage.price_list import SHIPPED, VERSION
from keystead.server.usage.prices import LARGEST, Price, PriceBook, Rates, Usage, amount, merged, pico, rounded

DAY = (date(2026, 11, 21) - date(1970, 1, 1)).days
USD = 10**6
ONE = Usage(input=1_000_000)

counts = st.integers(0, 10**12)
usages = st.builds(Usage, counts, counts, counts, counts, counts, st.integers(0, 10**6))
rates = st.builds(Rates, *(st.integers(0, 10**9) for _ in range(5)), st.integers(0, 10**13))
fields = st.sampled_from([name for name in Usage._fields if name != "cache_write_1h"])


def price(model: str, dollars: int, since: date = date(2026, 1, 1), over: int = 0, upstream: str = "u") -> Price:
    return Price(upstream, model, since, Rates(*[dollars * 10**6] * 5), over, "t")


def book(*rows: Price) -> PriceBook:
    return PriceBook(rows, price("*", 9, upstream="default"))


@pytest.mark.parametrize(
    ("model", "usage", "dollars"),
    [
        ("claude-opus-5", Usage(1_000_000), "5.000000"),
        ("claude-opus-5-5", Usage(output=1_000_000), "20.000000"),
        ("claude-opus-4-1-20250805", Usage(output=1_000_000), "75.000000"),
        ("claude-opus-4-20250514", Usage(cache_write=1_000_000), "18.750000"),
        ("claude-sonnet-4-5-20250929", Usage(cache_read=1_000_000), "0.300000"),
        ("claude-sonnet-4-5", Usage(cache_write=1_000_000, cache_write_1h=400_000), "4.650000"),
        ("claude-sonnet-5", Usage(1_000, 500, 20_000, 3_000, 1_000, 2), "0.040000"),
        ("claude-haiku-4-5-20251001", Usage(1), "0.000001"),
        ("claude-3-haiku-20240307", Usage(1), "0.000000"),
        ("claude-3-haiku-20240307", Usage(2), "0.000001"),
        ("claude-opus-4-6", Usage(web_searches=1), "0.010000"),
        ("claude-fable-5", Usage(cache_read=1_000_000), "1.000000"),
        ("claude-fable-5-1", Usage(cache_read=1_000_000), "0.250000"),
        ("claude-fable-5-2", Usage(1_000_000, 1_000_000, 1_000_000, 2_000_000, 1_000_000), "74.200000"),
        ("claude-mythos-5-1", Usage(cache_read=1_000_000), "0.250000"),
        ("claude-sonnet-5-5", Usage(cache_read=1_000_000, output=1_000_000), "10.100000"),
        ("claude-haiku-5-5", Usage(60_000, 10_000, 20_000, 20_000, 10_000), "0.014450"),
        ("claude-haiku-5-5", Usage(60_001, 10_000, 20_000, 20_000, 10_000), "0.072251"),
    ],
)
def test_the_shipped_list_gives_these_costs(model: str, usage: Usage, dollars: str) -> None:
    cost = SHIPPED.cost("anthropic", model, DAY, usage)
    assert amount(cost.micro) == dollars
    assert not cost.is_estimate
    assert cost.price.endswith(f"#{VERSION}")


def test_every_shipped_row_is_whole_numbers_and_finds_itself() -> None:
    for row in SHIPPED.prices:
        assert all(type(rate) is int and rate >= 0 for rate in row.rates)
        day = (row.since - date(1970, 1, 1)).days
        assert SHIPPED.find(row.upstream, row.model.removesuffix("*"), day, row.prompt_over + 1) == (row, True)


def test_a_price_that_fell_is_another_from_that_day_on() -> None:
    days = [(day - date(1970, 1, 1)).days for day in (date(2026, 10, 6), date(2026, 10, 7))]
    costs = [SHIPPED.cost("anthropic", "claude-sonnet-5-5", day, Usage(cache_read=1_000_000)).micro for day in days]
    assert costs == [200_000, 100_000]


@pytest.mark.parametrize("model", ["claude-opus-4-9", "claude-opus-50", "claude-sonnet-5-6", "gpt-x", "", "=1+1"])
def test_a_model_without_a_row_of_its_own_is_an_estimate(model: str) -> None:
    cost = SHIPPED.cost("anthropic", model, DAY, ONE)
    assert cost.is_estimate
    assert cost.micro > 0


def test_an_unknown_upstream_counts_at_the_default_tier_and_the_test_upstream_costs_nothing() -> None:
    cost = SHIPPED.cost("elsewhere", "claude-opus-5", DAY, ONE)
    assert (cost.micro, cost.is_estimate) == (5 * USD, True)
    assert cost.price.startswith("default/*@")
    assert SHIPPED.cost("test", "whatever", DAY, ONE)[::2] == (0, False)


def test_nothing_used_costs_nothing_for_certain() -> None:
    assert SHIPPED.cost("", "unknown", DAY, Usage(), estimated=True) == (0, "", False)


def test_counts_that_are_an_estimate_make_the_cost_one() -> None:
    assert SHIPPED.cost("anthropic", "claude-opus-5", DAY, ONE, estimated=True).is_estimate


def test_the_longest_name_wins_and_a_star_takes_every_ending() -> None:
    prices = book(price("m", 1), price("m-large", 2), price("wild-*", 3))
    found = {name: prices.cost("u", name, DAY, ONE) for name in ("m", "m-20261001", "m-large-latest", "wild-x", "m-z")}
    assert {name: cost.micro // USD for name, cost in found.items()} == {
        "m": 1,
        "m-20261001": 1,
        "m-large-latest": 2,
        "wild-x": 3,
        "m-z": 1,
    }
    assert [name for name, cost in found.items() if cost.is_estimate] == ["m-z"]


def test_a_price_holds_from_its_day_until_the_next_and_not_before() -> None:
    prices = book(price("m", 2, date(2026, 11, 21)), price("m", 3, date(2026, 12, 1)))
    days = [date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 30), date(2026, 12, 1)]
    paid = [prices.cost("u", "m", (day - date(1970, 1, 1)).days, ONE) for day in days]
    assert [(cost.micro // USD, cost.is_estimate) for cost in paid] == [(9, True), (2, False), (2, False), (3, False)]


def test_a_longer_prompt_may_cost_more_and_the_cache_counts_as_prompt() -> None:
    prices = book(price("m", 1), price("m", 5, over=100_000))
    assert prices.cost("u", "m", DAY, Usage(100_000)).micro == 100_000
    long = prices.cost("u", "m", DAY, Usage(1, 0, 99_999, 1))
    assert long.micro == 5 * 100_001
    assert ">100000@" in long.price


@pytest.mark.parametrize(
    ("model", "tariff", "dollars", "is_estimate"),
    [
        ("claude-opus-5-5", "", "4.010000", False),
        ("claude-opus-5-5", "fast", "8.010000", False),
        ("claude-opus-5-5", "us", "4.410000", False),
        ("claude-opus-5-5", "fast us", "8.810000", False),
        ("claude-opus-4-6", "fast", "30.010000", False),
        ("claude-opus-5", "fast", "10.010000", False),
        ("claude-haiku-5-5", "us", "0.560000", False),
        ("claude-fable-5-2", "fast", "16.010000", True),  # no price could be read for certain
        ("claude-sonnet-4-5", "us", "3.310000", True),
        ("claude-opus-5-5", "priority us", "4.410000", True),
        ("unheard-of", "fast", "10.010000", True),
    ],
)
def test_a_tariff_changes_what_tokens_cost_and_not_what_searches_do(
    model: str, tariff: str, dollars: str, is_estimate: bool
) -> None:
    cost = SHIPPED.cost("anthropic", model, DAY, Usage(1_000_000, web_searches=1), tariff=tariff)
    assert (amount(cost.micro), cost.is_estimate) == (dollars, is_estimate)


@given(rates, usages, st.lists(st.tuples(st.text("abc", min_size=1, max_size=2), st.integers(0, 10_000)), max_size=3))
def test_a_tariff_is_part_of_the_exact_sum(given_rates: Rates, usage: Usage, factors: list[tuple[str, int]]) -> None:
    known = dict(factors)
    row = price("m", 1)._replace(rates=given_rates, factors=tuple(known.items()))
    searches = Fraction(usage.web_searches * given_rates.web_search)
    tokens = Fraction(pico(given_rates, usage)) - searches
    for percent in known.values():
        tokens = tokens * percent / 100
    exact = (tokens + searches) / 10**6
    cost = book(row).cost("u", "m", DAY, usage, tariff=" ".join(known))
    assert cost.micro == min(LARGEST, (exact + Fraction(1, 2)).__floor__())
    assert not cost.is_estimate


def test_own_rows_replace_the_shipped_ones_of_their_model_whatever_their_day() -> None:
    own = price("claude-opus-5", 1, date(2020, 1, 1), upstream="anthropic")
    both = merged(SHIPPED, [own], price("*", 7, upstream="default"))
    assert both.cost("anthropic", "claude-opus-5", DAY, ONE).micro == USD
    assert both.cost("anthropic", "claude-opus-4-5", DAY, ONE).micro == 5 * USD
    assert both.cost("anthropic", "new", DAY, ONE).micro == 7 * USD


def test_a_row_for_the_upstreams_name_comes_before_every_row_for_its_kind() -> None:
    prices = book(price("m-9", 1, upstream="kind"), price("m", 2, upstream="mine"), price("other", 3, upstream="kind"))
    assert prices.cost("mine", "m-9", DAY, ONE, kind="kind").micro == 2 * USD
    assert prices.cost("mine", "other", DAY, ONE, kind="kind").micro == 3 * USD
    assert prices.cost("mine", "other", DAY, ONE).micro == 9 * USD
    assert prices.cost("kind", "m-9", DAY, ONE, kind="kind").micro == USD


@given(rates, usages)
def test_a_cost_is_the_exact_sum_of_its_parts_rounded_once(given_rates: Rates, usage: Usage) -> None:
    long = min(usage.cache_write_1h, usage.cache_write)
    usage = usage._replace(cache_write_1h=long)
    parts = [Usage()._replace(**{name: getattr(usage, name)}) for name in ("input", "output", "cache_read")]
    parts += [Usage(cache_write=usage.cache_write - long), Usage(cache_write=long, cache_write_1h=long)]
    parts.append(Usage(web_searches=usage.web_searches))
    whole = pico(given_rates, usage)
    assert type(whole) is int
    assert whole == sum(pico(given_rates, part) for part in parts)
    assert 2 * abs(rounded(whole) * 10**6 - whole) <= 10**6
    assert abs(rounded(whole) - sum(rounded(pico(given_rates, part)) for part in parts)) <= len(parts) / 2


@given(rates, usages, fields, st.integers(0, 10**9))
def test_more_never_costs_less(given_rates: Rates, usage: Usage, field: str, more: int) -> None:
    usage = usage._replace(cache_write_1h=min(usage.cache_write_1h, usage.cache_write))
    larger = usage._replace(**{field: getattr(usage, field) + more})
    assert rounded(pico(given_rates, larger)) >= rounded(pico(given_rates, usage))


@given(st.text(), st.text(), st.integers(0, 40_000), usages)
def test_every_request_has_a_cost_that_the_ledger_can_hold(upstream: str, model: str, day: int, usage: Usage) -> None:
    for name in (upstream, "anthropic"):
        cost = SHIPPED.cost(name, model, day, usage)
        assert type(cost.micro) is int
        assert 0 <= cost.micro <= LARGEST
        assert len(cost.price) <= 200


def test_an_absurd_count_is_cut_to_what_the_ledger_holds() -> None:
    assert SHIPPED.cost("anthropic", "claude-opus-5", DAY, Usage(2**62)).micro == LARGEST


@pytest.mark.parametrize(
    ("micro", "places", "text"),
    [(0, 2, "0.00"), (4_999, 2, "0.00"), (5_000, 2, "0.01"), (1_995_000, 2, "2.00"), (1, 6, "0.000001")],
)
def test_amounts_are_written_exactly(micro: int, places: int, text: str) -> None:
    assert amount(micro, places) == text
