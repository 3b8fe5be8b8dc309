"""Upstreams on both databases: their order under many hands, one name each, and what another process changed."""

import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from races import together

from keystead.errors import UsageError
from keystead.server.changes import Changes
from keystead.server.outbound import Reach
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.settings import ServerSettings
from keystead.server.upstream_network import Guard
from keystead.server.upstream_shape import Kind
from keystead.server.upstream_snapshot import UpstreamSnapshot
from keystead.testing.clock import FakeClock
from keystead.wire import ids

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
SERVER = ServerSettings(data_dir=Path("/"))


def add(member: Any, name: str) -> Any:
    from keystead.server.upstreams import operations

    return operations.create(member, Kind.ANTHROPIC, operations.Draft(name), SERVER, NOW)


def test_of_many_with_one_name_one_is_kept(administrator: Any) -> None:
    from keystead.server.upstreams.models import Upstream

    def attempt(_: object) -> bool:
        try:
            add(administrator, "Claude")
        except UsageError:
            return False
        return True

    assert sorted(together(attempt)).count(True) == 1
    assert Upstream.objects.count() == 1


def test_many_who_change_the_order_at_once_leave_an_order(administrator: Any) -> None:
    from keystead.server.upstreams import operations

    rows = [add(administrator, name) for name in "ABCD"]
    numbers = itertools.count()

    def attempt(_: object) -> None:
        number = next(numbers)
        operations.move(administrator, rows[number % 4], number % 3 == 0, NOW)

    together(attempt)
    places = list(operations.all_of(administrator).values_list("position", flat=True))
    assert places == [0, 1, 2, 3]


def test_of_two_changes_of_one_version_one_counts(administrator: Any) -> None:
    from keystead.server.upstreams import operations

    row, numbers = add(administrator, "Claude"), itertools.count()

    def attempt(_: object) -> bool:
        mine = operations.find(administrator, row.wire_id)
        assert mine is not None
        try:
            operations.change(administrator, mine, operations.Draft(f"Claude {next(numbers)}"), 1, SERVER, NOW)
        except UsageError:
            return False
        return True

    assert together(attempt).count(True) == 1
    row.refresh_from_db()
    assert row.version == 2


def test_a_process_that_hears_of_nothing_finds_it_at_its_next_look(administrator: Any) -> None:
    from keystead.server.upstreams import operations

    far = UpstreamSnapshot(SERVER, Guard(Reach()), FakeClock(NOW.timestamp()), Changes())
    organization = ids.dump("organization", administrator.organization_id)
    caller = Principal(PrincipalKind.API_KEY, "key_1", organization, "wrk_1", None)
    row = add(administrator, "Claude")
    operations.set_credential(administrator, row, "api_key", {"key": "k"}, SERVER, NOW)
    assert far.of(caller, ()) == ()
    far.refresh()
    assert [one.name for one in far.of(caller, ())] == ["Claude"]
    far.close()
