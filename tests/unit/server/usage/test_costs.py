"""Costs by person, key and model; the table for spreadsheets; and rows whose cost is computed again."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from uuid_utils.compat import uuid7

from keystead.server.usage.record import UsageRecord
from keystead.wire import ids

if TYPE_CHECKING:
    from pathlib import Path

    from django.test import Client

    from keystead.server.organizations.models import Membership

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)  # a Thursday
KEY = "claude-opus-4-5"


def use(member: "Membership", model: str = KEY, at: datetime = NOW, tokens: int = 1_000, **changes: Any) -> None:
    """Write down that ``member`` used ``tokens`` of input."""
    from keystead.server.organizations import operations
    from keystead.server.usage.ledger import store

    workspace = operations.default_workspace(member.organization)
    values: list[Any] = [uuid7().hex, "req_1", ids.dump("organization", member.organization_id)]
    values += [ids.dump("workspace", workspace.id), ids.dump("membership", member.id), "session", "gra_1", "sdk", ""]
    values += ["anthropic", model, 200, at.timestamp(), 5, tokens, 0, 0, 0, False, False, False]
    store([UsageRecord(*values)._replace(**changes)])


@pytest.fixture
def developer(administrator: "Membership") -> "Membership":
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations
    from keystead.server.organizations.roles import Role

    person = Person.objects.create_user("dev@example.com", None, created_at=NOW)
    return operations.add_member(administrator.organization, person, Role.DEVELOPER, NOW)


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_costs_are_summed_for_today_this_week_and_this_month(administrator: "Membership") -> None:
    from keystead.server.usage import operations

    use(administrator)
    use(administrator, at=NOW.replace(day=23, hour=0), tokens=2_000)
    use(administrator, at=NOW.replace(day=22, hour=23), tokens=4_000)
    use(administrator, at=NOW.replace(day=1, hour=0), tokens=8_000)
    use(administrator, at=NOW.replace(day=1, hour=0) - timedelta(seconds=1), tokens=16_000)
    costs = {one: operations.usage_of(administrator, NOW, one).total.cost_micro for one in operations.Period}
    assert costs == {"day": 5_000, "week": 15_000, "month": 75_000}


def test_every_list_adds_up_to_the_total_and_marks_estimates(
    administrator: "Membership", developer: "Membership"
) -> None:
    from keystead.server.usage import operations

    use(administrator)
    use(developer, model="unheard-of", tokens=500)
    use(developer, estimated=True)
    report = operations.usage_of(administrator, NOW)
    assert (report.total.cost_micro, report.total.estimates, report.total.unpriced) == (12_500, 2, 0)
    for lines in (report.by_model, report.by_key, report.by_member, report.by_workspace):
        assert sum(line.cost_micro for line in lines) == 12_500
        assert sum(line.estimates for line in lines) == 2
    assert [(line.label, line.cost_micro) for line in report.by_member] == [
        ("dev@example.com", 7_500),
        ("ada@example.com", 5_000),
    ]


def test_the_table_has_what_one_may_read(
    web: "Client", administrator: "Membership", developer: "Membership", monkeypatch: pytest.MonkeyPatch
) -> None:
    from keystead.server.console import views

    monkeypatch.setattr(views, "now", lambda: NOW)
    use(administrator, tokens=3)
    use(developer, cache_write_tokens=10, cache_write_1h_tokens=4, web_searches=2)
    use(developer, at=NOW - timedelta(days=2))
    seen = {}
    for member in (administrator, developer):
        web.force_login(member.person)
        answer = web.get("/usage.csv?period=week")
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="usage-week-2026-11-26.csv"'
        seen[member.person.email] = table(answer.content.decode())
    everything, own = seen["ada@example.com"], seen["dev@example.com"]
    assert [(row["day"], row["person"]) for row in everything] == [
        ("2026-11-24", "dev@example.com"),
        ("2026-11-26", "ada@example.com"),
        ("2026-11-26", "dev@example.com"),
    ]
    assert {row["person"] for row in own} == {"dev@example.com"}
    last = own[-1]
    assert (last["cost_usd"], last["key"], last["workspace"]) == ("0.025078", "Signed-in sessions", "Default")
    assert (last["cache_write_1h_tokens"], last["web_searches"], last["requests"]) == ("4", "2", "1")


@pytest.mark.parametrize("path", ["/usage", "/usage.csv"])
def test_a_period_that_is_none_is_not_found_and_strangers_sign_in(
    web: "Client", administrator: "Membership", path: str
) -> None:
    assert web.get(path).status_code == 302
    web.force_login(administrator.person)
    assert web.get(f"{path}?period=year").status_code == 404


@pytest.mark.parametrize("model", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", '=cmd|" /C calc"!A0'])
def test_no_cell_of_the_table_is_a_formula(administrator: "Membership", model: str) -> None:
    from keystead.server.usage import export, operations

    use(administrator, model=model)
    (row,) = table(export.as_csv(administrator, NOW, operations.Period.DAY))
    assert row["model"] == f"'{model}"


def test_the_page_shows_costs_and_where_an_estimate_is_in_them(
    web: "Client", administrator: "Membership", monkeypatch: pytest.MonkeyPatch
) -> None:
    from keystead.server.console import views
    from keystead.server.usage.models import UsageEntry

    monkeypatch.setattr(views, "now", lambda: NOW)
    web.force_login(administrator.person)
    use(administrator, tokens=2_000_000)
    assert "$10.00" in web.get("/usage").content.decode()
    use(administrator, model="unheard-of", tokens=1)
    page = web.get("/usage?period=month").content.decode()
    assert "≈ $10.00" in page
    assert "1 request used a model or mode without a price of its own" in page
    UsageEntry.objects.filter(model=KEY).update(cost_micro=None, price=None, cost_is_estimate=None)
    assert "1 request came before prices and counts as nothing" in web.get("/usage").content.decode()


def test_a_long_list_ends_with_all_others_in_one_line_and_still_adds_up(
    web: "Client", administrator: "Membership", monkeypatch: pytest.MonkeyPatch
) -> None:
    from keystead.server.console import usage, views
    from keystead.server.usage import operations

    monkeypatch.setattr(views, "now", lambda: NOW)
    monkeypatch.setattr(usage, "MOST_LINES", 2)
    for number in range(5):
        use(administrator, model=f"claude-opus-4-5-2025110{number}", tokens=1_000 * (number + 1))
    report = operations.usage_of(administrator, NOW)
    short = operations.shortened(report.by_model, 2)
    assert [line.label for line in short] == ["claude-opus-4-5-20251104", "claude-opus-4-5-20251103", "3 others"]
    assert sum(line.cost_micro for line in short) == report.total.cost_micro
    assert operations.shortened(report.by_model, 4) == report.by_model
    web.force_login(administrator.person)
    page = web.get("/usage").content.decode()
    assert "3 others" in page
    assert "claude-opus-4-5-20251102" not in page
    assert "claude-opus-4-5-20251102" in web.get("/usage.csv").content.decode()


def test_where_there_are_many_people_one_is_found_by_address(
    web: "Client", administrator: "Membership", developer: "Membership", monkeypatch: pytest.MonkeyPatch
) -> None:
    from keystead.server.console import usage, views

    monkeypatch.setattr(views, "now", lambda: NOW)
    monkeypatch.setattr(usage, "MOST_PEOPLE", 1)
    use(developer, tokens=3_000)
    use(administrator, tokens=1_000)
    web.force_login(administrator.person)
    assert 'name="member" type="email"' in web.get("/usage").content.decode()
    page = web.get("/usage", {"member": " DEV@example.com "}).content.decode()
    assert "requests of dev@example.com" in page
    assert 'value="dev@example.com"' in page
    assert "$0.0150" in page
    assert web.get("/usage", {"member": "nobody@example.com"}).status_code == 404
    web.force_login(developer.person)
    assert web.get("/usage", {"member": administrator.person.email}).status_code == 404


def old(member: "Membership") -> None:
    """Leave three rows as the release before prices left them, one of them with a cache of unknown time."""
    from keystead.server.usage.models import UsageEntry

    use(member, at=NOW - timedelta(days=9))
    use(member)
    use(member, cache_write_tokens=1_000)
    UsageEntry.objects.update(
        cost_micro=None, price=None, cost_is_estimate=None, cache_write_1h_tokens=None, web_searches=None
    )


def test_old_rows_are_priced_once_and_only_those_that_were_meant(administrator: "Membership") -> None:
    from keystead.server.audit.models import AuditEvent
    from keystead.server.usage.models import UsageEntry
    from keystead.server.usage.price_list import SHIPPED
    from keystead.server.usage.repricing import reprice

    old(administrator)
    since, until = NOW - timedelta(days=1), NOW + timedelta(seconds=1)
    looked = reprice(since, until, SHIPPED, dry_run=True)
    assert (looked.rows, looked.changed, looked.unpriced, looked.after_micro) == (2, 2, 2, 16_250)
    assert not UsageEntry.objects.exclude(cost_micro=None).exists()
    assert reprice(since, until, SHIPPED, dry_run=False) == looked
    rows = UsageEntry.objects.order_by("started_at", "cache_write_tokens")
    assert list(rows.values_list("cost_micro", "cost_is_estimate")) == [(None, None), (5_000, False), (11_250, True)]
    again = reprice(since, until, SHIPPED, dry_run=False)
    assert (again.changed, again.before_micro, again.after_micro) == (0, 16_250, 16_250)
    event = AuditEvent.objects.get(action="usage:reprice")
    assert (event.details["changed"], event.details["after_micro"]) == (2, 16_250)


def test_a_row_is_priced_again_with_what_changed_its_price(administrator: "Membership") -> None:
    from keystead.server.usage.models import UsageEntry
    from keystead.server.usage.price_list import SHIPPED
    from keystead.server.usage.repricing import reprice

    use(administrator, model="claude-opus-5")
    UsageEntry.objects.update(tariff="fast us")
    done = reprice(NOW, NOW + timedelta(seconds=1), SHIPPED, dry_run=False)
    assert (done.before_micro, done.after_micro, done.estimates) == (5_000, 11_000, 0)


def test_many_rows_are_priced_in_batches(administrator: "Membership", monkeypatch: pytest.MonkeyPatch) -> None:
    from keystead.server.usage import repricing
    from keystead.server.usage.models import UsageEntry
    from keystead.server.usage.price_list import SHIPPED

    monkeypatch.setattr(repricing, "_ROWS", 2)
    for _ in range(5):
        use(administrator)
    UsageEntry.objects.update(cost_micro=1)
    done = repricing.reprice(NOW, NOW + timedelta(seconds=1), SHIPPED, dry_run=False)
    assert (done.rows, done.changed, done.before_micro, done.after_micro) == (5, 5, 5, 25_000)
    assert set(UsageEntry.objects.values_list("cost_micro", flat=True)) == {5_000}


@pytest.mark.parametrize(
    ("covered", "before", "after"),
    [(None, 9_000, None), (9_000, 9_000, 5_000), (2_000, 2_000, 5_000), (7_000, 9_000, 5_000), (300, 9_000, 300)],
)
def test_a_cost_that_is_computed_again_is_covered_as_far_as_it_was(
    administrator: "Membership", covered: int | None, before: int, after: int | None
) -> None:
    from keystead.server.usage import repricing
    from keystead.server.usage.models import UsageEntry
    from keystead.server.usage.price_list import SHIPPED

    use(administrator, covered_micro=covered)
    UsageEntry.objects.update(cost_micro=before)
    repricing.reprice(NOW, NOW + timedelta(seconds=1), SHIPPED, dry_run=False)
    assert UsageEntry.objects.values_list("cost_micro", "covered_micro").get() == (5_000, after)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    from keystead.server import command, installation

    monkeypatch.setattr(installation, "open_database", lambda *_: None)  # the test's own is open
    done = CliRunner().invoke(command.server, [*arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_commands_say_it_to_people_and_programs(
    administrator: "Membership", monkeypatch: pytest.MonkeyPatch
) -> None:
    today = datetime.now(UTC)
    use(administrator, at=today, model="unheard\x1b[2J")
    shown = run(monkeypatch, "usage")
    assert "≈ 0.005000 USD" in shown
    assert "flat rates" not in shown
    use(administrator, at=today, covered_micro=1_000, session_id="one")
    shown = run(monkeypatch, "usage")
    assert "0.009000 USD are billed, flat rates cover 0.001000 USD; requests that went beyond one: 1." in shown
    assert "Agent sessions" in shown
    assert "\x1b" not in shown
    told = json.loads(run(monkeypatch, "usage", "--period", "month", "--json"))
    assert (told["schema"], told["organization"], told["period"]) == ("keystead.usage/1", "Example", "month")
    assert (told["total"]["cost"], told["total"]["cost_micro"], told["total"]["estimates"]) == ("0.010000", 10_000, 1)
    assert (told["total"]["billed"], told["total"]["billed_micro"], told["total"]["beyond"]) == ("0.009000", 9_000, 1)
    assert [one["label"] for one in told["sessions"]] == ["one (ada@example.com)"]
    assert sum(one["cost_micro"] for one in told["times"]) == 10_000
    assert [one["label"] for one in told["people"]] == ["ada@example.com"]
    day = f"{today - timedelta(days=1):%Y-%m-%d}"
    assert "0 of 2 requests would change." in run(monkeypatch, "usage-reprice", "--since", day, "--dry-run")
    told = json.loads(run(monkeypatch, "usage-reprice", "--since", day, "--json"))
    assert (told["schema"], told["rows"], told["changed"]) == ("keystead.usage-reprice/1", 2, 0)
    assert (told["since"], told["dry_run"], told["after"]) == (day, False, "0.010000")


def test_repricing_takes_the_prices_of_the_file(
    administrator: "Membership", monkeypatch: pytest.MonkeyPatch, tmp_path: "Path"
) -> None:
    use(administrator, at=datetime.now(UTC), model="unheard-of")
    file = tmp_path / "prices.toml"
    rates = "\n".join(f"{name} = 1" for name in ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h"))
    file.write_text(f'[[prices]]\nupstream = "anthropic"\nmodel = "unheard-of"\nsince = 2026-01-01\n{rates}\n')
    monkeypatch.setenv("KEYSTEAD_SERVER_PRICE_BOOK_FILE", str(file))
    told = json.loads(run(monkeypatch, "usage-reprice", "--since", "2026-01-01", "--json"))
    assert (told["changed"], told["before"], told["after"], told["estimates"]) == (1, "0.005000", "0.001000", 0)


def test_a_running_server_writes_costs_by_its_book(
    administrator: "Membership", monkeypatch: pytest.MonkeyPatch
) -> None:
    from keystead.server import background
    from keystead.server.errands import Errands
    from keystead.server.organizations import operations
    from keystead.server.usage.models import UsageEntry
    from keystead.server.usage.prices import Price, PriceBook, Rates
    from keystead.testing.clock import FakeClock

    workspace = operations.default_workspace(administrator.organization)
    owner = [ids.dump("organization", administrator.organization_id), ids.dump("workspace", workspace.id), ""]
    values: list[Any] = [
        uuid7().hex,
        "req_1",
        *owner,
        "session",
        "gra_1",
        "sdk",
        "",
        "anthropic",
        KEY,
        200,
        NOW.timestamp(),
        5,
    ]
    values += [7, 0, 0, 0, False, False, False]
    rates = Rates(*[10**6] * 5)
    book = PriceBook([Price("anthropic", KEY, NOW.date(), rates)], Price("default", "*", NOW.date(), rates))
    monkeypatch.setattr(background, "ERRANDS", Errands())  # its end is final, and this process goes on
    with background.at_work(FakeClock(NOW.timestamp()), book) as running:
        running.ledger.append(UsageRecord(*values))
    assert UsageEntry.objects.values_list("cost_micro", "price").get() == (7, f"anthropic/{KEY}@2026-11-26#")
