"""Limits at the gateway's address: who is over one gets its words, no upstream is asked, and everything is settled."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from cloud_models import FORMATS
from upstreams import upstream

from keystead.clock import SYSTEM_CLOCK
from keystead.server.allowances import Allowances, LimitTruth
from keystead.server.changes import Changes
from keystead.server.limits.sums import Ledger
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.policy.limits import Beyond, Limit, Measure, Period, Scope
from keystead.server.telemetry.exposition import text
from keystead.server.telemetry.metrics import Metrics, State
from keystead.server.usage.price_list import SHIPPED
from keystead.server.usage.prices import Price, PriceBook, Rates
from keystead.server.usage.record import cost_of
from keystead.testing.messages_api import MessagesApi

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

BOOK = PriceBook((), SHIPPED.default)
"""In which the test upstream is not free."""
CALLER = Principal(PrincipalKind.API_KEY, "key_1", "org_1", "wrk_1", "mem_1")


@pytest.fixture
def under(serve: "Callable[..., Running]") -> "Iterator[Callable[..., tuple[Running, Allowances]]]":
    """Return a function that starts a gateway where the member has a limit."""
    made: list[Allowances] = []

    def start(
        amount: int, measure: Measure, period: Period, spent: int = 0, beyond: Beyond = Beyond.STOPPED, **more: Any
    ) -> "tuple[Running, Allowances]":
        row = Limit("spl_1", Scope.USER, "mem_1", False, measure, period, amount, beyond)

        def ledger(_: object, now: float, borders: tuple[float, ...]) -> Ledger:
            return Ledger([{}] * (len(borders) - 1) + [{("mem_1", measure, period): [(now, spent)]}], {})

        truth = LimitTruth(lambda: {"org_1": [row]}, lambda _: {}, ledger)
        made.append(Allowances(truth, more.pop("book", BOOK), SYSTEM_CLOCK, Changes()))
        return serve(allowances=made[-1], **more), made[-1]

    yield start
    for one in made:
        one.close()


def used(allowances: Allowances) -> int:
    ((_, amount),) = allowances.used(CALLER)
    return amount


@pytest.mark.requirement("G-02 enforced")
def test_who_has_nothing_left_is_told_so_in_every_format(
    under: "Callable[..., tuple[Running, Allowances]]",
) -> None:
    running, allowances = under(0, Measure.SPEND, Period.DAILY)
    for number, spoken in enumerate(FORMATS.values()):
        target, body = spoken.question(stream=True, model="claude-x-1")
        answer = running.ask(body, target=target)
        assert (answer.status, answer.error["type"]) == (429, "billing_error")
        assert answer.headers.get("x-amzn-errortype") == ("ServiceQuotaExceededException" if number == 1 else None)
        assert running.ledger.wait(number + 1)[number].status == 429
    assert running.api.requests == []
    assert used(allowances) == 0


@pytest.mark.requirement("G-02 enforced")
def test_who_has_nothing_left_is_told_so_and_no_upstream_is_asked(
    under: "Callable[..., tuple[Running, Allowances]]",
) -> None:
    running, allowances = under(0, Measure.SPEND, Period.DAILY)
    answer = running.ask()
    assert (answer.status, answer.error["type"]) == (429, "billing_error")
    assert answer.error["message"].startswith("Your daily spend limit of 0.00 USD is used up: wait until ")
    assert answer.headers["x-should-retry"] == "false"
    assert "retry-after" not in answer.headers
    (row,) = running.ledger.wait()
    assert (row.status, row.model, row.upstream, row.output_tokens) == (429, "keystead-test-1", "", 0)
    assert running.api.requests == []
    assert used(allowances) == 0
    assert running.ask(target="/v1/messages/count_tokens").status == 200


@pytest.mark.requirement("G-02 enforced")
def test_a_rate_is_refused_with_a_time_to_try_again(under: "Callable[..., tuple[Running, Allowances]]") -> None:
    running, _ = under(1, Measure.REQUESTS, Period.MINUTE)
    assert running.ask().status == 200
    answer = running.ask()
    assert (answer.status, answer.error["type"]) == (429, "rate_limit_error")
    assert 1 <= int(answer.headers["retry-after"]) <= 61


@pytest.mark.requirement("S-25 allowance")
def test_a_flat_rate_that_stops_says_when_it_opens_again_and_is_counted(
    under: "Callable[..., tuple[Running, Allowances]]",
) -> None:
    metrics = Metrics()
    running, _ = under(1_000_000, Measure.ALLOWANCE, Period.FIVE_HOURS, 1_000_000, observer=metrics)
    signed_in = f"authorization: Bearer {running.bearer}"
    answer = running.ask(None, signed_in, key=None)
    assert (answer.status, answer.error["type"]) == (429, "rate_limit_error")
    assert answer.error["message"].startswith("Your allowance for 5 hours of 1.00 USD is used up: wait until ")
    assert 17_900 <= int(answer.headers["retry-after"]) <= 18_060
    assert answer.headers["x-should-retry"] == "false"
    assert running.api.requests == []
    (row,) = running.ledger.wait()
    assert (row.status, row.covered_micro) == (429, None)
    told = text(metrics.families(State(int, tuple, int, tuple), "0")).decode()
    labels = 'scope="user",measure="allowance",period="five_hours"'
    assert f"keystead_gateway_limit_refusals_total{{{labels}}} 1" in told


@pytest.mark.requirement("S-25 allowance")
def test_beyond_a_metered_flat_rate_the_ledger_says_what_is_covered_and_keys_are_billed(
    under: "Callable[..., tuple[Running, Allowances]]",
) -> None:
    running, _ = under(1_000_000, Measure.ALLOWANCE, Period.FIVE_HOURS, 999_999, Beyond.METERED)
    signed_in = f"authorization: Bearer {running.bearer}"
    for _ in range(2):
        answer = running.ask(None, signed_in, key=None)
        assert answer.status == 200
    assert answer.headers["x-keystead-warning"].endswith("percent, and what goes beyond it is billed (spl_1)")
    assert running.ask().status == 200
    rows = running.ledger.wait(3)
    assert [row.covered_micro for row in rows] == [1, 0, None]
    assert all(cost_of(row, BOOK).micro > 1 for row in rows)


@pytest.mark.requirement("G-02 reservation")
def test_a_request_holds_what_it_may_cost_at_the_upstream_that_is_asked_first(
    under: "Callable[..., tuple[Running, Allowances]]", api: MessagesApi
) -> None:
    """Which need not be the first there is: that one may not serve the model."""
    dear, cheap = (Rates(*[dollars * 10**6] * 5) for dollars in (900_000, 1))
    rows = [Price("dear", "*", date(2024, 1, 1), dear), Price("cheap", "*", date(2024, 1, 1), cheap)]
    upstreams = [upstream(api.base_url, "dear", serves=("opus",)), upstream(api.base_url, "cheap")]
    running, allowances = under(
        1_000_000, Measure.SPEND, Period.MONTHLY, upstreams=upstreams, book=PriceBook(rows, SHIPPED.default)
    )
    assert running.ask().status == 200
    (row,) = running.ledger.wait()
    assert row.upstream == "cheap"
    assert 0 < used(allowances) < 1_000


@pytest.mark.requirement("G-03 once")
@pytest.mark.parametrize("stream", [False, True])
def test_what_was_held_is_replaced_by_what_the_ledger_says_it_cost(
    under: "Callable[..., tuple[Running, Allowances]]", stream: bool
) -> None:
    from tests.contract.upstreams.conftest import question

    running, allowances = under(10**9, Measure.SPEND, Period.MONTHLY)
    for _ in range(3):
        assert running.ask(question(stream=stream, max_tokens=4_000)).status == 200
    rows = running.ledger.wait(3)
    assert used(allowances) == sum(cost_of(row, BOOK).micro for row in rows)
    assert allowances.used(CALLER)[0][1] > 0


@pytest.mark.requirement("G-02 enforced")
def test_a_request_that_its_client_gave_up_holds_nothing_any_more(
    under: "Callable[..., tuple[Running, Allowances]]",
) -> None:
    from tests.contract.upstreams.conftest import question

    running, allowances = under(1, Measure.CONCURRENT, Period.NOW)
    body = question("wait", stream=True)
    with closing(running.connect()) as connection:
        connection.sendall(running.head(length=len(body)) + body)
        assert connection.recv(16)
    running.ledger.wait()
    assert used(allowances) == 0
    assert running.ask().status == 200


def test_from_80_percent_on_the_answer_has_a_warning(under: "Callable[..., tuple[Running, Allowances]]") -> None:
    running, _ = under(1_000_000, Measure.SPEND, Period.DAILY, spent=790_000)
    assert "x-keystead-warning" not in running.ask().headers
    running, _ = under(1_000_000, Measure.SPEND, Period.DAILY, spent=810_000)
    said = running.ask().headers["x-keystead-warning"]
    assert said == "Your daily spend limit of 1.00 USD is used up to 81 percent (spl_1)"
