"""The ledger stores every record once, waits out a busy database, and says when it cannot keep up."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from keystead.server.usage.record import UsageRecord
from keystead.wire import ids

if TYPE_CHECKING:
    from keystead.server.organizations.models import Membership

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def record(**changes: Any) -> UsageRecord:
    given: dict[str, Any] = {
        "id": uuid7().hex,
        "request_id": "req_1",
        "organization_id": ids.dump("organization", UUID(int=1)),
        "workspace_id": ids.dump("workspace", UUID(int=2)),
        "member_id": ids.dump("membership", UUID(int=3)),
        "principal_kind": "api_key",
        "principal_id": ids.dump("api_key", UUID(int=4)),
        "client": "sdk",
        "session_id": "",
        "upstream": "test",
        "model": "example-model",
        "status": 200,
        "started_at": NOW.timestamp(),
        "duration_ms": 12,
        "input_tokens": 3,
        "output_tokens": 5,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "streamed": False,
        "aborted": False,
        "estimated": False,
    }
    return UsageRecord(**(given | changes))


def stored_requests() -> list[str]:
    from keystead.server.usage.models import UsageEntry

    return list(UsageEntry.objects.order_by("request_id").values_list("request_id", flat=True))


def test_what_was_appended_is_stored_when_the_ledger_closes(database: Path) -> None:
    from keystead.server.usage.ledger import LedgerWriter
    from keystead.server.usage.models import UsageEntry

    ledger = LedgerWriter()
    original = record(started_at=NOW.timestamp() + 0.25, model="m" * 300, streamed=True)
    ledger.append(original)
    assert ledger.close() == 0
    entry = UsageEntry.objects.get()
    assert entry.id.hex == original.id
    assert entry.organization_id == UUID(int=1)
    assert entry.started_at.timestamp() == original.started_at
    assert (entry.input_tokens, entry.output_tokens, entry.streamed, entry.aborted) == (3, 5, True, False)
    assert entry.model == "m" * 200


def test_each_row_holds_its_cost_the_price_and_whether_it_is_an_estimate(database: Path) -> None:
    from keystead.server.usage.ledger import store
    from keystead.server.usage.models import UsageEntry

    used: dict[str, Any] = {"upstream": "anthropic", "input_tokens": 1_000, "output_tokens": 0}
    store(
        [
            record(request_id="req_1", model="claude-opus-4-5", **used),
            record(request_id="req_2", model="claude-opus-4-5", estimated=True, aborted=True, **used),
            record(request_id="req_3", model="unheard-of", **used),
            record(request_id="req_4", upstream="", model="refused", status=400, input_tokens=0, output_tokens=0),
            record(
                request_id="req_5", model="claude-sonnet-4-5", **used | {"input_tokens": 0}, cache_write_tokens=1_000
            )._replace(cache_write_1h_tokens=400, web_searches=2),
            record(request_id="req_6", model="claude-opus-4-5", **used | {"upstream": "x" * 40})._replace(
                upstream_kind="anthropic"
            ),
            record(request_id="req_7", model="claude-opus-5", **used)._replace(tariff="fast us"),
        ]
    )
    kept = UsageEntry.objects.order_by("request_id").values_list("cost_micro", "price", "cost_is_estimate")
    known = "anthropic/claude-opus-4-5@2025-11-01#"
    assert [(cost, str(price).startswith(known), flag) for cost, price, flag in kept] == [
        (5_000, True, False),
        (5_000, True, True),
        (5_000, False, True),
        (0, False, False),
        (600 * 375 // 100 + 400 * 6 + 20_000, False, False),
        (5_000, True, False),
        (11_000, False, False),
    ]
    last = UsageEntry.objects.get(request_id="req_5")
    assert (last.cache_write_1h_tokens, last.web_searches, last.upstream_kind) == (400, 2, "")
    assert UsageEntry.objects.get(request_id="req_7").tariff == "fast us"
    named = UsageEntry.objects.get(request_id="req_6")
    assert (named.upstream, named.upstream_kind) == ("x" * 32, "anthropic")


def test_the_same_record_twice_counts_once(database: Path) -> None:
    from keystead.server.usage.ledger import store

    one, two = record(), record(request_id="req_2")
    store([one, one])
    store([one, two])
    assert stored_requests() == ["req_1", "req_2"]


def test_a_batch_of_any_size_is_stored_whole(database: Path) -> None:
    from keystead.server.usage.ledger import store
    from keystead.server.usage.models import UsageEntry

    for size in (0, 1, 49, 50, 51, 137):
        batch = [record() for _ in range(size)]
        store(batch)
        store(batch)
        stored = UsageEntry.objects.values_list("id", flat=True)
        assert {one.hex for one in stored} == {one.id for one in batch}
        UsageEntry.objects.all().delete()


def test_a_busy_database_loses_nothing_and_keeps_the_order(database: Path, caplog: pytest.LogCaptureFixture) -> None:
    from django.db import OperationalError

    from keystead.server.usage.ledger import LedgerWriter, store

    refusals = iter([True, True, False])
    batches: list[Sequence[UsageRecord]] = []

    def sometimes_busy(batch: Sequence[UsageRecord]) -> None:
        if next(refusals, False):
            raise OperationalError("database is locked")
        batches.append(batch)
        store(batch)

    ledger = LedgerWriter(write=sometimes_busy)
    for number in range(5):
        ledger.append(record(request_id=f"req_{number}"))
    assert ledger.close() == 0
    assert [one.request_id for batch in batches for one in batch] == [f"req_{number}" for number in range(5)]


def test_a_record_the_table_refuses_does_not_hold_up_the_others(database: Path) -> None:
    from keystead.server.usage.ledger import LedgerWriter

    ledger = LedgerWriter()
    ledger.append(record(request_id="req_1"))
    ledger.append(record(request_id="req_2", organization_id="not an identifier"))
    ledger.append(record(request_id="req_3", input_tokens=-1))
    ledger.append(record(request_id="req_4"))
    assert ledger.close() == 0
    assert stored_requests() == ["req_1", "req_4"]


def test_it_says_when_requests_must_be_refused_and_how_many_were_lost() -> None:
    from django.db import OperationalError

    from keystead.server.usage.ledger import LedgerWriter

    def down(_: Sequence[UsageRecord]) -> None:
        raise OperationalError("disk I/O error")

    ledger = LedgerWriter(capacity=2, write=down)
    assert not ledger.saturated
    ledger.append(record())
    ledger.append(record())
    assert ledger.saturated
    assert ledger.close(timeout=0) == 2


def test_the_report_adds_up_and_covers_what_the_member_may_see(administrator: "Membership") -> None:
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations as organizations
    from keystead.server.organizations.roles import Role
    from keystead.server.usage import operations
    from keystead.server.usage.ledger import store

    organization = administrator.organization
    person = Person.objects.create_user("dev@example.com", None, created_at=NOW)
    developer = organizations.add_member(organization, person, Role.DEVELOPER, NOW)
    common = {
        "organization_id": ids.dump("organization", organization.id),
        "workspace_id": ids.dump("workspace", organizations.default_workspace(organization).id),
    }
    mine = common | {"member_id": ids.dump("membership", administrator.id)}
    theirs = common | {"member_id": ids.dump("membership", developer.id)}
    midnight = NOW.replace(hour=0).timestamp()
    store(
        [
            record(**mine, model="small", input_tokens=10, output_tokens=0),
            record(**theirs, model="large", input_tokens=100, output_tokens=20, started_at=midnight),
            record(**theirs, model="large", principal_id=ids.dump("grant", UUID(int=7)), input_tokens=1),
            record(**theirs, model="yesterday", started_at=midnight - 0.001),
            record(**theirs, model="tomorrow", started_at=midnight + 86_400),
            record(model="another organization"),
        ]
    )
    everything = operations.usage_of(administrator, NOW)
    assert everything.whole_organization
    assert [(line.label, line.requests, line.input_tokens) for line in everything.by_model] == [
        ("large", 2, 101),
        ("small", 1, 10),
    ]
    assert [line.label for line in everything.by_member] == ["dev@example.com", "ada@example.com"]
    assert [line.label for line in everything.by_workspace] == ["Default"]
    assert operations.SIGNED_IN in [line.label for line in everything.by_key]
    for lines in (everything.by_model, everything.by_key, everything.by_member, everything.by_workspace):
        assert sum(line.tokens for line in lines) == everything.total.tokens
    own = operations.usage_of(developer, NOW)
    assert not own.whole_organization
    assert [line.label for line in own.by_model] == ["large"]


def test_a_day_without_requests_is_all_zero(administrator: "Membership") -> None:
    from keystead.server.usage import operations

    report = operations.usage_of(administrator, NOW)
    assert (report.total.requests, report.total.tokens, report.by_model) == (0, 0, ())
