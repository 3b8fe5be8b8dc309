"""The snapshot answers from memory and follows every change."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from keystead.server.changes import Change, Changes
from keystead.server.directory import UNSURE_SECONDS, SnapshotDirectory, Truth
from keystead.server.gateway import DirectoryUnavailable
from keystead.server.policy import Principal, PrincipalKind

KEY = Principal(PrincipalKind.API_KEY, "key_1", "org_1", "wrk_1", "mem_1")
SESSION = Principal(PrincipalKind.SESSION, "gra_1", "org_1", "wrk_1", "mem_1", expires_at=200.0)


@dataclass
class Database:
    """What the control plane would read; counts how often it was asked to verify."""

    keys: dict[bytes, Principal] = field(default_factory=lambda: {b"digest": KEY})
    tokens: dict[str, Principal] = field(default_factory=lambda: {"jwt": SESSION})
    ended: set[str] = field(default_factory=set)
    public_keys: dict[str, Any] = field(default_factory=lambda: {"kid": "public"})
    verified: int = 0
    fails: bool = False

    def all_keys(self) -> Iterable[tuple[bytes, Principal]]:
        yield from list(self.keys.items())[:1]
        if self.fails:
            raise ConnectionError
        yield from list(self.keys.items())[1:]

    def keys_of(self, member: str) -> list[tuple[bytes, Principal]]:
        if self.fails:
            raise ConnectionError
        return [(digest, one) for digest, one in self.keys.items() if one.member_id == member]

    def verify(self, token: str, now: float, public_keys: Mapping[str, str]) -> Principal | None:
        self.verified += 1
        return self.tokens.get(token) if self.public_keys == public_keys else None

    def truth(self) -> Truth:
        return Truth(
            all_keys=self.all_keys,
            key=lambda wanted: [(d, p) for d, p in self.keys.items() if p.id == wanted],
            public_keys=lambda now: dict(self.public_keys),
            keys_of=self.keys_of,
            keys_changed_since=lambda moment: [],
            verify=self.verify,
            ended_grants=lambda now: set(self.ended),
            grant_is_live=lambda grant: grant not in self.ended,
        )


@dataclass
class StoppedClock:
    time: float = 100.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
def directory(database: Database, clock: StoppedClock, changes: Changes) -> Iterator[SnapshotDirectory]:
    directory = SnapshotDirectory(database.truth(), clock, changes)
    yield directory
    directory.close()


def test_a_key_is_found_by_its_digest_and_nothing_else(directory: SnapshotDirectory) -> None:
    assert directory.by_key(b"digest") == KEY
    assert directory.by_key(b"other") is None


@pytest.mark.requirement("G-04 at once")
def test_a_revoked_key_is_gone_with_the_change(
    directory: SnapshotDirectory, database: Database, changes: Changes
) -> None:
    database.keys.clear()

    changes.publish(Change("api_key", "key_1"))

    assert directory.by_key(b"digest") is None


def test_a_new_key_works_with_the_change(directory: SnapshotDirectory, database: Database, changes: Changes) -> None:
    database.keys[b"second"] = replace(KEY, id="key_2")

    changes.publish(Change("api_key", "key_2"))

    assert directory.by_key(b"second") is not None
    assert directory.by_key(b"digest") == KEY


def test_two_secrets_are_one_key_until_the_older_one_ends(
    directory: SnapshotDirectory, database: Database, changes: Changes, clock: StoppedClock
) -> None:
    database.keys = {b"new": KEY, b"digest": replace(KEY, expires_at=150.0)}
    changes.publish(Change("api_key", "key_1"))
    new, old = directory.by_key(b"new"), directory.by_key(b"digest")
    assert new is not None
    assert old is not None
    assert new.id == old.id == "key_1"
    assert directory.take_used() == {b"new": 100.0, b"digest": 100.0}

    clock.sleep(50)

    assert directory.by_key(b"digest") is None
    assert directory.by_key(b"new") == KEY
    assert directory.take_used() == {b"new": 150.0}, "what is refused is not used"
    directory.refresh()
    assert directory.by_key(b"new") == KEY
    assert directory.take_used() == {}, "with one secret there is nothing to tell apart"


@pytest.mark.parametrize("change", [Change("api_key", "key_1"), Change("member", "mem_1"), Change("organization", "o")])
def test_both_secrets_go_with_their_key(
    directory: SnapshotDirectory, database: Database, changes: Changes, change: Change
) -> None:
    database.keys = {b"new": KEY, b"digest": replace(KEY, expires_at=150.0)}
    changes.publish(change)
    assert directory.by_key(b"new")
    assert directory.by_key(b"digest")
    database.keys = {}

    changes.publish(change)

    assert directory.by_key(b"new") is None
    assert directory.by_key(b"digest") is None


def test_a_key_past_its_expiry_is_refused(
    directory: SnapshotDirectory, database: Database, changes: Changes, clock: StoppedClock
) -> None:
    database.keys[b"digest"] = replace(KEY, expires_at=150.0)
    changes.publish(Change("api_key", "key_1"))
    assert directory.by_key(b"digest") is not None

    clock.sleep(50)

    assert directory.by_key(b"digest") is None


def test_a_token_is_verified_once(directory: SnapshotDirectory, database: Database) -> None:
    assert directory.by_bearer(b"jwt") == SESSION
    assert directory.by_bearer(b"jwt") == SESSION
    assert database.verified == 1


def test_a_verified_token_ends_with_its_time(directory: SnapshotDirectory, clock: StoppedClock) -> None:
    assert directory.by_bearer(b"jwt") == SESSION

    clock.sleep(100)

    assert directory.by_bearer(b"jwt") is None


def test_a_verified_token_ends_with_its_sign_in(
    directory: SnapshotDirectory, database: Database, changes: Changes
) -> None:
    assert directory.by_bearer(b"jwt") == SESSION
    database.ended.add("gra_1")

    changes.publish(Change("grant", "gra_1"))

    assert directory.by_bearer(b"jwt") is None


def test_a_sign_in_ended_before_the_start_is_refused(database: Database, clock: StoppedClock, changes: Changes) -> None:
    database.ended.add("gra_1")

    assert SnapshotDirectory(database.truth(), clock, changes).by_bearer(b"jwt") is None


def test_a_member_change_reads_everything_again(
    directory: SnapshotDirectory, database: Database, changes: Changes
) -> None:
    database.keys.clear()
    database.ended.add("gra_1")

    changes.publish(Change("member", "mem_1"))

    assert directory.by_key(b"digest") is None
    assert directory.by_bearer(b"jwt") is None


def test_a_new_signing_key_verifies_with_the_change(
    directory: SnapshotDirectory, database: Database, changes: Changes
) -> None:
    database.public_keys["second"] = "public"
    assert directory.by_bearer(b"jwt") is None

    changes.publish(Change("signing_key", "second"))

    assert directory.by_bearer(b"jwt") == SESSION


@pytest.mark.parametrize("token", [b"", b"unknown", b"\xff\xfe"])
def test_what_is_not_a_token_is_nobodys(directory: SnapshotDirectory, token: bytes) -> None:
    assert directory.by_bearer(token) is None


def test_a_closed_directory_no_longer_listens(
    directory: SnapshotDirectory, database: Database, changes: Changes
) -> None:
    directory.close()
    database.keys.clear()

    changes.publish(Change("api_key", "key_1"))

    assert directory.by_key(b"digest") == KEY


@pytest.mark.requirement("G-06 snapshot")
@pytest.mark.parametrize("subject", ["member", "organization"])
def test_a_database_that_fails_while_it_is_read_takes_nobodys_key(
    directory: SnapshotDirectory, database: Database, changes: Changes, subject: Any
) -> None:
    database.keys[b"second"] = replace(KEY, id="key_2")
    changes.publish(Change("api_key", "key_2"))
    database.fails = True

    with pytest.raises(ConnectionError):
        changes.publish(Change(subject, "mem_1"))

    assert directory.by_key(b"digest") is not None
    assert directory.by_key(b"second") is not None


@pytest.mark.requirement("G-06 unsure")
def test_while_the_database_cannot_be_read_nobody_is_called_unknown(
    directory: SnapshotDirectory, database: Database, clock: StoppedClock
) -> None:
    """A key or a signing key may be new. Who is known goes on, and what is no credential of ours is nobody's."""
    assert directory.by_bearer(b"jwt") == SESSION
    clock.sleep(UNSURE_SECONDS)
    assert (directory.by_key(b"new"), directory.by_bearer(b"a.b.c")) == (None, None)
    clock.sleep(1)
    for ask, credential in [(directory.by_key, b"new"), (directory.by_bearer, b"a.b.c")]:
        with pytest.raises(DirectoryUnavailable):
            ask(credential)
    assert (directory.by_key(b"digest"), directory.by_bearer(b"jwt")) == (KEY, SESSION)
    assert directory.by_bearer(b"sk-ant-no") is None
    directory.refresh()
    assert (directory.by_key(b"new"), directory.by_bearer(b"a.b.c")) == (None, None)


def test_a_service_account_that_ended_ends_its_tokens_without_reading_all_keys(
    directory: SnapshotDirectory, database: Database, changes: Changes
) -> None:
    assert directory.by_bearer(b"jwt") == SESSION
    database.ended.add("gra_1")
    database.fails = True

    changes.publish(Change("service_account", "svac_1"))

    assert directory.by_bearer(b"jwt") is None
