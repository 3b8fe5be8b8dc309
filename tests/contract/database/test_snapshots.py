"""A process that hears of nothing, on both databases: its next look at the database finds what another one changed."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from secrets import token_bytes
from typing import Any

import pytest

from keystead.server import background
from keystead.server.changes import CHANGES, Changes
from keystead.server.directory import OVERLAP_SECONDS, SnapshotDirectory
from keystead.testing.clock import FakeClock
from keystead.wire import tokens


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def near(database: object, clock: FakeClock) -> Iterator[SnapshotDirectory]:
    """The snapshot of the process that changes something."""
    yield from directory(clock, CHANGES)


@pytest.fixture
def far(database: object, clock: FakeClock) -> Iterator[SnapshotDirectory]:
    """The snapshot of another process, to which no announcement comes."""
    yield from directory(clock, Changes())


def directory(clock: FakeClock, changes: Changes) -> Iterator[SnapshotDirectory]:
    made = SnapshotDirectory(background.truth(), clock, changes)
    yield made
    made.close()


@pytest.fixture
def member(administrator: Any) -> Any:
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations
    from keystead.server.organizations.roles import Role

    person = Person.objects.create_user("bo@example.com", None, created_at=long_ago())
    return operations.add_member(administrator.organization, person, Role.DEVELOPER, long_ago())


def long_ago() -> datetime:
    return moment(FakeClock()) - timedelta(days=300)


def moment(clock: FakeClock) -> datetime:
    return datetime.fromtimestamp(clock.now(), UTC)


def issue(member: Any, now: datetime) -> tuple[Any, bytes]:
    """Return a new key, and the digest it is known by."""
    from keystead.server.keys import operations

    key, secret = operations.issue(member, "laptop", now=now, random_bytes=token_bytes)
    return key, tokens.digest(secret.reveal())


def refresh(far: SnapshotDirectory, clock: FakeClock) -> None:
    clock.advance(15)
    far.refresh()


@pytest.mark.requirement("G-04 unheard")
def test_a_new_key_works_until_it_is_revoked(
    near: SnapshotDirectory, far: SnapshotDirectory, member: Any, clock: FakeClock
) -> None:
    from keystead.server.keys import operations

    key, digest = issue(member, moment(clock))
    assert near.by_key(digest) is not None
    assert far.by_key(digest) is None, "it has heard of nothing, or this test shows nothing"
    refresh(far, clock)
    assert far.by_key(digest) == near.by_key(digest)

    assert operations.revoke(key, member, moment(clock))
    assert near.by_key(digest) is None
    assert far.by_key(digest) is not None
    refresh(far, clock)
    assert far.by_key(digest) is None


@pytest.mark.requirement("G-04 unheard")
def test_a_suspension_is_found_and_its_end_too(administrator: Any, member: Any, clock: FakeClock) -> None:
    from keystead.server.allowed_models import AllowedModels, policy_truth
    from keystead.server.keys import operations as keys
    from keystead.server.permits import Permits, permit_truth
    from keystead.server.suspensions import operations as suspensions

    key, digest = issue(member, moment(clock))
    ((known, principal),) = keys.facts(key.wire_id)
    assert known == digest
    unheard = Changes()
    with (
        closing(AllowedModels(policy_truth(), unheard)) as models,
        closing(Permits(permit_truth(), models, unheard)) as far,
    ):
        assert suspensions.suspend(administrator, key.wire_id, "Leaked.", moment(clock))
        assert far.facts(principal).suspended is None, "it has heard of nothing, or this test shows nothing"
        far.refresh()
        assert far.facts(principal).suspended is not None
        assert suspensions.lift(administrator, key.wire_id, moment(clock))
        assert far.facts(principal).suspended is not None
        far.refresh()
        assert far.facts(principal).suspended is None


@pytest.mark.requirement("G-04 no write")
def test_what_remembers_keys_and_rights_reads_and_never_writes(
    near: SnapshotDirectory, far: SnapshotDirectory, member: Any, clock: FakeClock, django_queries: Any
) -> None:
    """So a request under way with a key that is revoked meanwhile can bring nothing back, whatever is known here."""
    from keystead.server.allowances import Allowances, limit_truth
    from keystead.server.allowed_models import AllowedModels, policy_truth
    from keystead.server.changes import Change
    from keystead.server.keys import operations
    from keystead.server.keys.models import ApiKey
    from keystead.server.permits import Permits, permit_truth
    from keystead.server.usage.price_list import SHIPPED

    key, digest = issue(member, moment(clock))
    refresh(far, clock)
    changes = Changes()
    with (
        closing(AllowedModels(policy_truth(), changes)) as models,
        closing(Permits(permit_truth(), models, changes)) as permits,
        closing(Allowances(limit_truth(), SHIPPED, clock, changes)) as allowances,
        closing(SnapshotDirectory(background.truth(), clock, changes)),
    ):
        assert operations.revoke(key, member, moment(clock))
        with django_queries() as asked:
            known = far.by_key(digest)
            assert known is not None, "the request under way"
            permits.of(known)
            allowances.reserve(known, "0" * 32, "claude-opus-4-5", (9, 9), ("", ""), clock.now())
            changes.publish(Change("api_key", key.wire_id))
            changes.publish(Change("member", known.member_id or ""))
            changes.publish(Change("limit", "spl_1"))
            for one in (far, permits, allowances):
                one.refresh()
        assert far.by_key(digest) is None
    statements = [one["sql"].split()[0].upper() for one in asked]
    assert {"SELECT"} <= {*statements} <= {"SELECT", "DECLARE", "BEGIN", "COMMIT", "SET"}
    assert ApiKey.objects.get(pk=key.pk).revoked_at == moment(clock)


def end(member: Any, now: datetime) -> None:
    from keystead.server.organizations import memberships

    assert memberships.deactivate(member, "mem_0", "test", now)


def end_and_return(member: Any, now: datetime) -> None:
    from keystead.server.organizations import memberships

    end(member, now)
    assert memberships.reactivate(member, "mem_0", now)


def take_models_away(member: Any, now: datetime) -> None:
    from keystead.server.organizations import memberships, roles
    from keystead.server.organizations.roles import Permission, Role

    without = next(role for role in Role if role not in roles.granting(Permission.MODELS_USE))
    memberships.change_role(member, without, "mem_0", now)


@pytest.mark.parametrize("change", [end, end_and_return, take_models_away])
def test_a_members_old_keys_end_with_their_right(
    near: SnapshotDirectory, member: Any, administrator: Any, clock: FakeClock, change: Any
) -> None:
    _, mine = issue(member, long_ago())
    _, other = issue(administrator, long_ago())
    for far in directory(clock, Changes()):
        assert far.by_key(mine) is not None
        change(member, moment(clock))
        assert near.by_key(mine) is None
        refresh(far, clock)
        assert far.by_key(mine) is None
        assert far.by_key(other) is not None


def test_a_role_that_comes_back_brings_the_keys_back(far: SnapshotDirectory, member: Any, clock: FakeClock) -> None:
    from keystead.server.organizations import memberships
    from keystead.server.organizations.roles import Role

    _, digest = issue(member, long_ago())
    take_models_away(member, moment(clock))
    refresh(far, clock)
    assert far.by_key(digest) is None
    memberships.change_role(member, Role.DEVELOPER, "mem_0", moment(clock))
    refresh(far, clock)
    assert far.by_key(digest) is not None


@pytest.mark.parametrize(("late", "found"), [(OVERLAP_SECONDS - 16, True), (OVERLAP_SECONDS + 1, False)])
def test_a_change_may_be_seen_some_minutes_after_its_time(
    far: SnapshotDirectory, member: Any, clock: FakeClock, late: float, found: bool
) -> None:
    """A clock that is behind, or a transaction that took long: both look like a change in the past."""
    refresh(far, clock)
    _, digest = issue(member, moment(clock) - timedelta(seconds=late))
    refresh(far, clock)
    assert (far.by_key(digest) is not None) is found


def test_a_clock_that_is_put_back_hides_nothing(far: SnapshotDirectory, member: Any, clock: FakeClock) -> None:
    from keystead.server.keys import operations

    key, digest = issue(member, moment(clock))
    clock.advance(86_400)
    far.refresh()
    clock.advance(-86_400)
    assert far.by_key(digest) is not None
    assert operations.revoke(key, member, moment(clock))
    far.refresh()
    assert far.by_key(digest) is None


def test_a_look_takes_as_many_questions_for_many_keys_as_for_none(
    far: SnapshotDirectory, member: Any, clock: FakeClock
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    def questions() -> int:
        with CaptureQueriesContext(connection) as asked:
            refresh(far, clock)
        return len(asked)

    questions()  # the first look makes the signing key
    none = questions()
    digests = [issue(member, moment(clock))[1] for _ in range(40)]
    assert questions() == none
    assert all(far.by_key(digest) for digest in digests)


def test_what_has_not_changed_is_not_read(far: SnapshotDirectory, member: Any, clock: FakeClock) -> None:
    from keystead.server.keys import operations

    issue(member, long_ago())
    key, new = issue(member, moment(clock))
    changed = [(name, [digest for digest, _ in secrets]) for name, secrets in operations.changed_since(clock.now())]
    assert changed == [(key.wire_id, [new])]
    assert list(operations.changed_since(clock.now() + 1)) == []
