"""Costs on both databases: rows of a release before prices stay, and are priced when somebody asks."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from keystead.wire import ids

pytestmark = pytest.mark.usefixtures("database")
THEN = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def row(number: int, **changes: Any) -> dict[str, Any]:
    """Return a row as the release before prices stored it."""
    common = {"organization_id": UUID(int=1), "workspace_id": UUID(int=2), "member_id": UUID(int=3)}
    counts = {"input_tokens": 1_000, "output_tokens": 100, "cache_read_tokens": 0, "cache_write_tokens": 0}
    flags = {"streamed": True, "aborted": False, "estimated": False}
    texts = {"principal_kind": "api_key", "principal_id": "key_1", "client": "sdk", "session_id": ""}
    rest = {"upstream": "anthropic", "model": "claude-opus-4-5", "status": 200, "started_at": THEN, "duration_ms": 1}
    named = {"id": UUID(int=number), "request_id": f"req_{number}"}
    return named | common | counts | flags | texts | rest | changes


@pytest.fixture
def before_prices(database: None) -> Any:
    """Take the schema back to the release before, store rows there, and come forward again."""
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    executor.migrate([("usage", "0002_service_accounts")])
    old = executor.loader.project_state([("usage", "0002_service_accounts")]).apps.get_model("usage", "UsageEntry")
    old.objects.bulk_create([old(**row(number)) for number in range(3)])
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes("usage"))


@pytest.mark.usefixtures("before_prices")
def test_rows_of_the_release_before_stay_without_a_cost() -> None:
    from keystead.server.usage.models import UsageEntry

    kept = UsageEntry.objects.values_list("input_tokens", "cost_micro", "price", "cost_is_estimate", "web_searches")
    assert list(kept) == [(1_000, None, None, None, None)] * 3


@pytest.mark.usefixtures("before_prices")
def test_rows_of_the_release_before_are_priced_when_somebody_asks() -> None:
    from keystead.server.usage.models import UsageEntry
    from keystead.server.usage.price_list import SHIPPED, VERSION
    from keystead.server.usage.repricing import reprice

    until = THEN + timedelta(days=1)
    done = reprice(THEN, until, SHIPPED, dry_run=False)
    assert (done.rows, done.changed, done.unpriced, done.after_micro) == (3, 3, 3, 3 * 7_500)
    kept = UsageEntry.objects.values_list("cost_micro", "price", "cost_is_estimate").distinct()
    assert list(kept) == [(7_500, f"anthropic/claude-opus-4-5@2025-11-01#{VERSION}", False)]
    assert reprice(THEN, until, SHIPPED, dry_run=False).changed == 0


def test_reports_and_the_table_count_alike(administrator: Any) -> None:
    from keystead.server.usage import export, operations
    from keystead.server.usage.models import UsageEntry

    owner = {"organization_id": administrator.organization_id, "member_id": administrator.id}
    UsageEntry.objects.bulk_create(
        [UsageEntry(**row(n, **owner), cost_micro=7_500, price="p", cost_is_estimate=n == 0) for n in range(3)]
    )
    report = operations.usage_of(administrator, THEN)
    assert (report.total.cost_micro, report.total.estimates, report.total.requests) == (22_500, 1, 3)
    assert type(report.total.cost_micro) is int
    lines = export.as_csv(administrator, THEN, operations.Period.WEEK).splitlines()
    assert len(lines) == 2
    assert '"2026-11-20","ada@example.com"' in lines[1]
    assert '"0.022500","1","0"' in lines[1]


def test_sessions_and_hours_are_told_apart_and_add_up(administrator: Any) -> None:
    from keystead.server.usage import export, operations
    from keystead.server.usage.models import UsageEntry

    owner = {"organization_id": administrator.organization_id, "member_id": administrator.id}
    used = [("a", 0, 1, 1), ("b", 0, 5, 1), ("b", 11, 7, 1), ("", 12, 9, 1), ("c", 12, None, None)]
    for number, (session, hour, cost, covered) in enumerate(used):
        priced = {"cost_micro": cost, "covered_micro": covered, "session_id": session}
        at = {"started_at": THEN.replace(hour=hour)}
        UsageEntry.objects.create(**row(number, **owner) | priced | at)
    report = operations.usage_of(administrator, THEN)
    sessions = [(one.label, one.cost_micro, one.covered_micro, one.beyond) for one in report.by_session]
    email = "ada@example.com"
    assert sessions == [(f"b ({email})", 12, 2, 2), (f"a ({email})", 1, 1, 0), (f"c ({email})", 0, 0, 0)]
    assert report.sessions == 3
    hours = {one.label: one.cost_micro for one in report.by_time if one.requests}
    assert hours == {"00:00": 6, "11:00": 7, "12:00": 9}
    assert len(report.by_time) == 13
    assert len(export.sessions_as_csv(administrator, THEN, operations.Period.DAY).splitlines()) == 4


def test_a_cost_as_large_as_the_ledger_holds_is_stored() -> None:
    from keystead.server.usage.ledger import store
    from keystead.server.usage.models import UsageEntry
    from keystead.server.usage.prices import LARGEST
    from keystead.server.usage.record import UsageRecord

    values: list[Any] = [UUID(int=9).hex, "req_9", ids.dump("organization", UUID(int=1))]
    values += [ids.dump("workspace", UUID(int=2)), "", "session", "gra_1", "sdk", "", "anthropic", "claude-opus-5", 200]
    values += [THEN.timestamp(), 5, 2**62, 1, 0, 0, False, False, False]
    store([UsageRecord(*values)])
    assert UsageEntry.objects.get().cost_micro == LARGEST
