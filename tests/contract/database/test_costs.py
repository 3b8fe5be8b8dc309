"""Costs on both databases: rows of a release before prices stay, and are priced when somebody asks."""

from datetime import UTC, datetime
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
