"""A key with two secrets, on both databases: one identity everywhere, and the old secret ends on time (G-05)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from secrets import token_bytes
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from keystead.errors import UsageError
from keystead.server.changes import CHANGES, Changes
from keystead.server.directory import SnapshotDirectory
from keystead.testing.clock import FakeClock
from keystead.wire import tokens

if TYPE_CHECKING:
    from keystead.server.keys.models import ApiKey
    from keystead.server.organizations.models import Membership

HOUR = timedelta(hours=1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def directory(clock: FakeClock, changes: Changes) -> Iterator[SnapshotDirectory]:
    from keystead.server.background import truth

    made = SnapshotDirectory(truth(), clock, changes)
    yield made
    made.close()


@pytest.fixture
def near(administrator: "Membership", clock: FakeClock) -> Iterator[SnapshotDirectory]:
    """The snapshot of the process that changes something."""
    yield from directory(clock, CHANGES)


@pytest.fixture
def far(administrator: "Membership", clock: FakeClock) -> Iterator[SnapshotDirectory]:
    """The snapshot of another process, to which no announcement comes."""
    yield from directory(clock, Changes())


def developer(administrator: "Membership", clock: FakeClock) -> "Membership":
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations
    from keystead.server.organizations.roles import Role

    person = Person.objects.create_user("dev@example.com", None, created_at=moment(clock))
    return operations.add_member(administrator.organization, person, Role.DEVELOPER, moment(clock))


def moment(clock: FakeClock) -> datetime:
    return datetime.fromtimestamp(clock.now(), UTC)


def issue(owner: "Membership", clock: FakeClock, **more: Any) -> "tuple[ApiKey, bytes]":
    from keystead.server.keys import operations

    key, secret = operations.issue(owner, "laptop", now=moment(clock), random_bytes=token_bytes, **more)
    return key, tokens.digest(secret.reveal())


def rotate(key: "ApiKey", clock: FakeClock, overlap: timedelta) -> bytes:
    from keystead.server.keys import rotation

    secret = rotation.rotate(key, key.member, overlap, now=moment(clock), random_bytes=token_bytes)
    return tokens.digest(secret.reveal())


def names(where: SnapshotDirectory, *digests: bytes) -> list[str | None]:
    found = [where.by_key(digest) for digest in digests]
    return [None if one is None else one.id for one in found]


@pytest.mark.requirement("G-05 overlap", "G-05 replicas")
def test_both_secrets_are_one_key_and_the_old_one_ends_on_time_everywhere(
    near: SnapshotDirectory, far: SnapshotDirectory, administrator: "Membership", clock: FakeClock
) -> None:
    key, old = issue(administrator, clock)
    far.refresh()
    new = rotate(key, clock, HOUR)
    assert names(near, old, new) == [key.wire_id] * 2, "at the next request"
    assert names(far, old, new) == [key.wire_id, None], "it has heard of nothing, or this test shows nothing"
    far.refresh()
    assert names(far, old, new) == [key.wire_id] * 2
    both = [near.by_key(old), near.by_key(new)]
    assert {(one.organization_id, one.workspace_id, one.member_id) for one in both if one} == {
        (both[0].organization_id, both[0].workspace_id, both[0].member_id) for one in both if both[0]
    }
    clock.advance(HOUR.total_seconds() - 1)
    assert names(near, old, new) == names(far, old, new) == [key.wire_id] * 2
    clock.advance(1)
    assert names(near, old, new) == names(far, old, new) == [None, key.wire_id], "without any message"
    for fresh in directory(clock, Changes()):
        assert names(fresh, old, new) == [None, key.wire_id]


@pytest.mark.requirement("G-05 ended")
@pytest.mark.parametrize("end", ["revoke", "end_old", "no overlap", "owner"])
def test_what_ends_reaches_every_process(
    near: SnapshotDirectory, far: SnapshotDirectory, administrator: "Membership", clock: FakeClock, end: str
) -> None:
    from keystead.server.keys import operations, rotation
    from keystead.server.organizations import memberships

    owner = developer(administrator, clock)
    key, old = issue(owner, clock)
    new = rotate(key, clock, HOUR)
    far.refresh()
    assert names(near, old, new) == names(far, old, new) == [key.wire_id] * 2
    left: list[str | None] = [None, None]
    if end == "revoke":
        operations.revoke(key, owner, moment(clock))
    elif end == "end_old":
        assert rotation.end_old(key, owner, moment(clock))
        assert not rotation.end_old(key, owner, moment(clock))
        left = [None, key.wire_id]
    elif end == "owner":
        memberships.deactivate(owner, "mem_0", "test", moment(clock))
    else:
        third = rotate(key, clock, timedelta(0))
        assert names(near, third) == [key.wire_id]
    assert names(near, old, new) == left
    clock.advance(15)
    far.refresh()
    assert names(far, old, new) == left


@pytest.mark.requirement("G-05 visible")
def test_which_secret_is_still_used_is_written_down(
    near: SnapshotDirectory, administrator: "Membership", clock: FakeClock
) -> None:
    from keystead.server.keys import rotation
    from keystead.server.keys.models import ApiKey

    key, old = issue(administrator, clock)
    assert near.by_key(old)
    assert near.take_used() == {}, "where there is one secret, nothing is noted"
    new = rotate(key, clock, HOUR)
    began = clock.now()
    near.by_key(old)
    clock.advance(60)
    near.by_key(new)
    rotation.note_uses(near.take_used())
    rotation.note_uses({old: began - 5})
    key.refresh_from_db()
    assert key.old_used_at == datetime.fromtimestamp(began, UTC)
    assert key.used_at == datetime.fromtimestamp(began + 60, UTC)

    clock.advance(HOUR.total_seconds())
    assert rotation.forget_ended(moment(clock)) == 1
    assert ApiKey.objects.filter(pk=key.pk, old_digest=None, old_until=None, old_used_at=None).exists()
    assert names(near, old, new) == [None, key.wire_id]


@pytest.mark.requirement("G-05 overlap")
def test_of_many_rotations_at_once_one_wins(administrator: "Membership", clock: FakeClock) -> None:
    from django.db import connections

    from keystead.server.keys import operations
    from keystead.server.keys.models import ApiKey

    key, old = issue(administrator, clock)
    start = Barrier(8)

    def one(_: int) -> bytes | None:
        mine = ApiKey.objects.select_related("member__person", "organization").get(pk=key.pk)
        start.wait()
        try:
            return rotate(mine, clock, HOUR)
        except UsageError:
            return None
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        won = [digest for digest in pool.map(one, range(8)) if digest]
    assert len(won) == 1
    assert [digest for digest, _ in operations.active_facts()] == [won[0], old]


@pytest.mark.requirement("G-05 overlap")
def test_keys_of_the_release_before_work_and_can_be_rotated(administrator: "Membership", clock: FakeClock) -> None:
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    from keystead.server.keys import operations
    from keystead.server.keys.models import ApiKey

    before = [("keys", "0004_changes")]
    executor = MigrationExecutor(connection)
    executor.migrate(before)
    old = executor.loader.project_state(before).apps.get_model("keys", "ApiKey")
    workspace = administrator.organization.workspaces.get()
    owned = {"organization_id": administrator.organization_id, "workspace_id": workspace.pk}
    named = {"name": "laptop", "purpose": "agent", "hint": "kst_1234", "created_at": moment(clock)}
    kept = old.objects.create(**owned, **named, member_id=administrator.pk, digest=b"d" * 32)
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes("keys"))

    key = ApiKey.objects.get(pk=kept.pk)
    assert [digest for digest, _ in operations.active_facts()] == [b"d" * 32]
    new = rotate(key, clock, HOUR)
    assert [digest for digest, _ in operations.active_facts()] == [new, b"d" * 32]
