"""The page about usage: what is left of one's limits, of what it is made up, over time, and as tables."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.test import override_settings
from uuid_utils.compat import uuid7

from keystead.server.policy.limits import Beyond, Measure, Period, Scope
from keystead.server.usage.record import UsageRecord
from keystead.testing.clock import FakeClock
from keystead.wire import ids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.test import Client

    from keystead.server.organizations.models import Membership

NOW = datetime(2026, 11, 26, 12, 30, tzinfo=UTC)  # a Thursday
COST = 5_000
"""Of one record."""


def use(member: "Membership", at: datetime = NOW, **changes: Any) -> None:
    """Write down that ``member`` used a thousand tokens of input."""
    from keystead.server.organizations import operations
    from keystead.server.usage.ledger import store

    workspace = operations.default_workspace(member.organization)
    values: list[Any] = [uuid7().hex, "req_1", ids.dump("organization", member.organization_id)]
    values += [ids.dump("workspace", workspace.id), ids.dump("membership", member.id), "session", "gra_1", "sdk", ""]
    values += ["anthropic", "claude-opus-4-5", 200, at.timestamp(), 5, 1_000, 0, 0, 0, False, False, False]
    store([UsageRecord(*values)._replace(**changes)])


def limit(administrator: "Membership", amount: int, measure: Measure, period: Period, **more: Any) -> None:
    from keystead.server.limits import operations
    from keystead.server.limits.operations import Draft

    scope, subject = more.pop("scope", Scope.ORGANIZATION), more.pop("subject", "")
    operations.put(administrator, Draft(scope, subject, measure, period, amount, **more), NOW)


@pytest.fixture
def ada(web: "Client", administrator: "Membership") -> "Iterator[Client]":
    web.force_login(administrator.person)
    with override_settings(KEYSTEAD_CLOCK=FakeClock(NOW.timestamp())):
        yield web


@pytest.fixture
def developer(administrator: "Membership") -> "Membership":
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations
    from keystead.server.organizations.roles import Role

    person = Person.objects.create_user("dev@example.com", None, created_at=NOW)
    return operations.add_member(administrator.organization, person, Role.DEVELOPER, NOW)


@pytest.mark.requirement("S-25 what is left")
def test_a_member_sees_what_is_left_of_each_limit_when_it_resets_and_which_is_nearest(
    administrator: "Membership", developer: "Membership"
) -> None:
    from keystead.server.console.usage import left

    use(developer, NOW - timedelta(hours=2), covered_micro=COST)
    use(developer, NOW - timedelta(hours=1), covered_micro=0)
    use(administrator, NOW)
    limit(administrator, 4 * COST, Measure.ALLOWANCE, Period.FIVE_HOURS, beyond=Beyond.METERED)
    limit(administrator, 100 * COST, Measure.SPEND, Period.MONTHLY)
    limit(administrator, 4 * COST, Measure.SPEND, Period.DAILY, shared=True)
    limit(administrator, 60, Measure.REQUESTS, Period.MINUTE)
    shown = [(one.what, one.line.used, one.line.left, one.resets, one.is_nearest) for one in left(developer, NOW)]
    assert shown == [
        ("USD a day, of all together", 2 * COST, 2 * COST, "00:00 UTC", True),
        ("USD of a flat rate in 5 hours, then metered", COST, 3 * COST, "little by little from 15:31 UTC", False),
        ("USD a month", COST, 99 * COST, "1 December, 00:00 UTC", False),
        ("requests a minute", None, None, "", False),
    ]


def test_a_limit_of_ones_own_key_is_among_them_and_those_of_others_are_not(
    administrator: "Membership", developer: "Membership"
) -> None:
    from keystead.server.console.usage import left
    from keystead.server.keys import operations as keys
    from keystead.server.keys.models import Purpose

    key, _ = keys.issue(developer, "ci", purpose=Purpose.AGENT, now=NOW, random_bytes=lambda n: b"1" * n)
    limit(administrator, COST, Measure.SPEND, Period.DAILY, scope=Scope.KEY, subject=key.wire_id, shared=True)
    assert [one.what for one in left(developer, NOW)] == ["USD a day, of the key ci"]
    assert [one.is_nearest for one in left(developer, NOW)] == [False]
    assert left(administrator, NOW) == []


@pytest.mark.requirement("S-25 breakdowns")
def test_the_page_says_what_is_billed_and_breaks_it_down(ada: "Client", administrator: "Membership") -> None:
    use(administrator, covered_micro=COST - 1_000, session_id="session-one")
    use(administrator, NOW - timedelta(hours=3), session_id="session-two")
    page = ada.get("/usage").content.decode()
    assert "<dt>Billed</dt><dd>$0.0060</dd>" in page
    assert "<dt>Covered by flat rates</dt><dd>$0.0040</dd>" in page
    assert "1 request went beyond a flat rate" in page
    for words in ("session-one (ada@example.com)", "By agent session", "By member", "By model", "By key"):
        assert words in page
    assert "Cost by hour (UTC); the most is $0.0050, at 09:00" in page
    assert page.count('<rect class="covered"') == 1


def test_without_limits_and_flat_rates_the_page_speaks_of_neither(ada: "Client", administrator: "Membership") -> None:
    use(administrator)
    page = ada.get("/usage?period=week").content.decode()
    assert "<dt>Cost</dt>" in page
    for words in ("What is left", "Billed", "flat rate", "By agent session"):
        assert words not in page


@pytest.mark.requirement("S-25 breakdowns")
def test_a_developer_sees_only_what_is_their_own(
    web: "Client", administrator: "Membership", developer: "Membership"
) -> None:
    use(administrator, session_id="of ada")
    use(developer, session_id="of dev")
    web.force_login(developer.person)
    with override_settings(KEYSTEAD_CLOCK=FakeClock(NOW.timestamp())):
        page = web.get("/usage").content.decode()
        table = web.get("/usage-sessions.csv").content.decode()
    assert "of dev" in page
    assert "of dev" in table
    assert "of ada" not in page + table


@pytest.mark.requirement("S-25 breakdowns")
def test_an_administrator_looks_at_one_member_and_nobody_else_does(
    ada: "Client", administrator: "Membership", developer: "Membership"
) -> None:
    limit(administrator, 4 * COST, Measure.SPEND, Period.DAILY)
    use(administrator, session_id="of ada")
    use(developer, session_id="of dev")
    one = f"member={ids.dump('membership', developer.pk)}"
    page = ada.get(f"/usage?{one}").content.decode()
    assert "requests of dev@example.com" in page
    assert "What dev@example.com has left" in page
    assert "of dev" in page
    assert "of ada" not in page
    assert f'"?period=week&amp;{one}"' in page
    for path in ("/usage.csv", "/usage-sessions.csv"):
        table = ada.get(f"{path}?{one}").content.decode()
        assert "dev@example.com" in table
        assert "ada@example.com" not in table
    for unknown in ("mem_1", ids.dump("membership", uuid7())):
        assert ada.get(f"/usage?member={unknown}").status_code == 404
    ada.force_login(developer.person)
    for path in ("/usage", "/usage.csv", "/usage-sessions.csv"):
        for whose in (administrator, developer):
            assert ada.get(f"{path}?member={ids.dump('membership', whose.pk)}").status_code == 404


@pytest.mark.requirement("S-25 breakdowns")
def test_the_tables_say_what_is_billed_and_know_every_session(ada: "Client", administrator: "Membership") -> None:
    use(administrator, covered_micro=COST - 1_000, session_id="=session-one")
    use(administrator, NOW + timedelta(seconds=9), session_id="=session-one")
    use(administrator)
    rows = list(csv.DictReader(io.StringIO(ada.get("/usage.csv").content.decode(), newline="")))
    numbers = [
        (row["cost_usd"], row["billed_usd"], row["covered_usd"], row["beyond_allowance_requests"]) for row in rows
    ]
    assert numbers == [("0.015000", "0.011000", "0.004000", "1")]
    answer = ada.get("/usage-sessions.csv?period=week")
    assert answer["content-disposition"] == 'attachment; filename="sessions-week-2026-11-26.csv"'
    (row,) = csv.DictReader(io.StringIO(answer.content.decode(), newline=""))
    assert (row["session"], row["requests"], row["person"]) == ("'=session-one", "2", "ada@example.com")
    assert (row["first_request"], row["last_request"]) == ("2026-11-26T12:30:00Z", "2026-11-26T12:30:09Z")
    assert (row["cost_usd"], row["billed_usd"]) == ("0.010000", "0.006000")
    assert ada.get("/usage-sessions.csv?period=year").status_code == 404


def test_what_was_used_over_time_has_every_hour_and_day_and_adds_up(administrator: "Membership") -> None:
    from keystead.server.usage import operations

    for at in (NOW, NOW.replace(hour=0), NOW.replace(day=23), NOW.replace(day=2)):
        use(administrator, at)
    for period, count, first, last in [
        (operations.Period.DAY, 13, "00:00", "12:00"),
        (operations.Period.WEEK, 4, "2026-11-23", "2026-11-26"),
        (operations.Period.MONTH, 26, "2026-11-01", "2026-11-26"),
    ]:
        report = operations.usage_of(administrator, NOW, period)
        labels = [one.label for one in report.by_time]
        assert (len(labels), labels[0], labels[-1]) == (count, first, last)
        assert sum(one.cost_micro for one in report.by_time) == report.total.cost_micro


def test_more_sessions_than_a_page_takes_are_counted(
    ada: "Client", administrator: "Membership", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keystead.server.usage.operations.SESSIONS", 2)
    for number in range(3):
        use(administrator, session_id=f"session-{number}", input_tokens=1_000 * (number + 1))
    page = ada.get("/usage").content.decode()
    assert "session-0 (" not in page
    assert "session-2 (" in page
    assert "These are the most expensive of 3" in page
