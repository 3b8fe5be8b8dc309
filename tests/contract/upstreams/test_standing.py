"""What is left of a caller's limits, as the gateway tells the caller."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from keystead.credentials.rules import Program
from keystead.server.allowances import STALE_SECONDS, Allowances, LimitTruth
from keystead.server.changes import Changes
from keystead.server.limits.sums import Ledger
from keystead.server.policy.decide import Credential, Facts, Permit, Proof, Suspension
from keystead.server.policy.limits import Beyond, Limit, Measure, Period, Scope
from keystead.server.usage.price_list import SHIPPED
from keystead.server.usage.prices import PriceBook
from keystead.testing.clock import FakeClock
from keystead.wire import limits as wire

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Answer, Running

NOW = 1_795_694_400.0  # 2026-11-26 12:00 UTC
USD = 1_000_000
BOOK = PriceBook((), SHIPPED.default)
MONTHLY = Limit("spl_month", Scope.ORGANIZATION, "org_1", False, Measure.SPEND, Period.MONTHLY, 50 * USD)
WINDOW = Limit(
    "spl_window", Scope.GROUP, "grp_1", False, Measure.ALLOWANCE, Period.FIVE_HOURS, 20 * USD, Beyond.METERED
)
RATE = Limit("spl_rate", Scope.USER, "mem_1", False, Measure.REQUESTS, Period.MINUTE, 60)
OF_KEY = Limit("spl_key", Scope.KEY, "key_1", True, Measure.SPEND, Period.DAILY, USD)
USED = {
    ("mem_1", Measure.SPEND, Period.MONTHLY): [(NOW - 60, 5 * USD)],
    ("mem_1", Measure.ALLOWANCE, Period.FIVE_HOURS): [(NOW - 3600, 12 * USD), (NOW - 60, 400_000)],
}


@pytest.fixture
def under(serve: "Callable[..., Running]") -> "Iterator[Callable[..., tuple[Running, FakeClock]]]":
    """Return a function that starts a gateway at noon where these limits hold."""
    made: list[Allowances] = []

    def start(
        *rows: Limit, closed: bool = False, reads: list[object] | None = None, **more: Any
    ) -> "tuple[Running, FakeClock]":
        clock, seen = FakeClock(NOW), [] if reads is None else reads

        def ledger(asked: object, _: float, borders: tuple[float, ...]) -> Ledger:
            seen.append(asked)
            return Ledger([{}] * (len(borders) - 1) + [USED], {})

        truth = LimitTruth(lambda: {"org_1": rows}, lambda _: {"mem_1": frozenset({"grp_1"})}, ledger)
        made.append(Allowances(truth, BOOK, clock, Changes(), closed=closed))
        return serve(allowances=made[-1], clock=clock, **more), clock

    yield start
    for one in made:
        one.close()


def told(running: "Running", *lines: str, method: str = "GET") -> "Answer":
    head = "\r\n".join([f"{method} {wire.PATH} HTTP/1.1", "host: gateway", "connection: close", *lines, "", ""])
    return running.send(head.encode())


def test_a_sign_in_is_told_each_limit_the_nearest_first(
    under: "Callable[..., tuple[Running, FakeClock]]",
) -> None:
    running, _ = under(RATE, MONTHLY, WINDOW, OF_KEY)
    answer = told(running, f"authorization: Bearer {running.bearer}")

    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    window, monthly, rate = json.loads(answer.body)["data"]
    assert window == {
        "type": "limit",
        "limit_id": "spl_window",
        "measure": "allowance",
        "period": "five_hours",
        "source": {"type": "rbac_group", "rbac_group_id": "grp_1"},
        "shared": False,
        "beyond": "metered",
        "amount": "2000",
        "used": "1240",
        "remaining": "760",
        "percent_used": 62,
        "currency": "USD",
        "resets_at": "2026-11-26T16:01:00Z",
        "is_gradual": True,
        "is_warning": False,
    }
    assert (monthly["percent_used"], monthly["resets_at"]) == (10, "2026-12-01T00:00:00Z")
    assert (rate["amount"], rate["used"], rate["currency"], rate["resets_at"]) == ("60", "0", None, None)
    assert len(running.api.requests) == 0


def test_a_key_is_told_of_its_own_limit_and_of_no_flat_rate(
    under: "Callable[..., tuple[Running, FakeClock]]",
) -> None:
    running, _ = under(MONTHLY, WINDOW, OF_KEY)
    found = wire.parse(told(running, f"x-api-key: {running.key}").body)
    assert {one.limit_id for one in found} == {"spl_month", "spl_key"}


def test_what_was_used_since_counts_at_once(under: "Callable[..., tuple[Running, FakeClock]]") -> None:
    running, _ = under(RATE)
    assert running.ask().status == 200
    running.ledger.wait()
    (rate,) = wire.parse(told(running, f"x-api-key: {running.key}").body)
    assert (rate.used, rate.remaining, rate.resets_at) == (1, 59, NOW + 61)


def test_asking_reads_nothing(under: "Callable[..., tuple[Running, FakeClock]]") -> None:
    reads: list[object] = []
    running, _ = under(MONTHLY, RATE, reads=reads)
    before = len(reads)
    for _ in range(5):
        assert told(running, f"x-api-key: {running.key}").status == 200
    assert before > 0
    assert len(reads) == before


def test_of_a_limit_of_nothing_all_is_used(under: "Callable[..., tuple[Running, FakeClock]]") -> None:
    running, _ = under(replace(MONTHLY, amount=0), replace(RATE, amount=0))
    found = wire.parse(told(running, f"x-api-key: {running.key}").body)
    assert [one.is_used_up for one in found] == [True, True]


def test_without_limits_the_list_is_empty(running: "Running") -> None:
    answer = told(running, f"authorization: Bearer {running.bearer}")
    assert json.loads(answer.body) == {"type": "limits", "data": []}


def test_nobody_is_told_without_a_credential_and_by_no_other_method(running: "Running") -> None:
    assert told(running).error["type"] == "authentication_error"
    refused = told(running, f"x-api-key: {running.key}", method="POST")
    assert (refused.status, refused.headers["allow"]) == (405, "GET")


def test_two_credentials_are_named_as_on_the_other_addresses(running: "Running") -> None:
    answer = told(running, f"x-api-key: {running.key}", f"authorization: Bearer {running.bearer}")
    assert "two different credentials" in answer.headers["x-keystead-warning"]


def test_who_is_suspended_is_told_why(under: "Callable[..., tuple[Running, FakeClock]]") -> None:
    facts = Facts(
        Credential.API_KEY, Program.OTHER, Proof.NONE, access=None, suspended=Suspension("This API key", "lost laptop")
    )
    running, _ = under(MONTHLY, permits=lambda _: Permit(facts))
    answer = told(running, f"x-api-key: {running.key}")
    assert answer.status == 403
    assert "lost laptop" in answer.error["message"]


def test_counters_that_are_too_old_tell_nothing_where_limits_fail_closed(
    under: "Callable[..., tuple[Running, FakeClock]]",
) -> None:
    running, clock = under(MONTHLY, closed=True)
    clock.advance(STALE_SECONDS + 1)
    answer = told(running, f"x-api-key: {running.key}")
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
