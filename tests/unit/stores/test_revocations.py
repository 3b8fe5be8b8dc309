"""The queue of sign-ins whose server could not be told that they are over (R-16)."""

import stat
import threading
from pathlib import Path

import pytest

from keystead.clock import SYSTEM_CLOCK
from keystead.errors import UnreadableFile
from keystead.secret import Secret
from keystead.stores.revocations import PendingRevocation, Revocations
from keystead.testing.clock import FakeClock


def pending(clock: FakeClock, ticket: str = "kst_1", days: float = 180) -> PendingRevocation:
    until = clock.now() + days * 86400
    base = "https://keys.example.com"
    return PendingRevocation(base, f"{base}/oauth/revoke", "keystead-cli", Secret(ticket), "ada@example.com", until)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(tmp_path: Path, clock: FakeClock) -> Revocations:
    return Revocations(tmp_path / "state", clock)


def test_looking_into_an_empty_queue_writes_nothing(queue: Revocations) -> None:
    assert queue.pending() == ()
    assert not queue.path.parent.exists()


def test_what_was_queued_is_read_by_another_process_and_by_nobody_else(queue: Revocations, clock: FakeClock) -> None:
    first, second = pending(clock), pending(clock, "kst_2")
    queue.add(first)
    queue.add(second)
    queue.add(first)

    assert list(Revocations(queue.path.parent, clock).pending()) == [second, first]
    assert stat.S_IMODE(queue.path.stat().st_mode) == 0o600
    assert "kst_1" not in repr(queue.pending())


def test_what_was_delivered_is_gone_from_the_disk(queue: Revocations, clock: FakeClock) -> None:
    queue.add(pending(clock))
    queue.add(pending(clock, "kst_2"))
    queue.remove([pending(clock)])

    assert [one.ticket for one in queue.pending()] == [Secret("kst_2")]
    assert b"kst_1" not in queue.path.read_bytes()


def test_a_sign_in_that_has_ended_by_itself_is_not_asked_about_and_is_forgotten(
    queue: Revocations, clock: FakeClock
) -> None:
    queue.add(pending(clock, days=1))
    clock.advance(86400)

    assert queue.pending() == ()
    queue.add(pending(clock, "kst_2"))
    assert b"kst_1" not in queue.path.read_bytes()


@pytest.mark.parametrize(
    "damage", [b"", b"[]", b'{"schema": "another/1", "pending": []}', b'{"schema": "keystead.revocations/1"}', b"\xff"]
)
def test_a_damaged_queue_is_said_and_never_overwritten(queue: Revocations, clock: FakeClock, damage: bytes) -> None:
    queue.add(pending(clock))
    queue.path.write_bytes(damage)

    for attempt in (queue.pending, lambda: queue.add(pending(clock))):
        with pytest.raises(UnreadableFile, match="damaged"):
            attempt()
    assert queue.path.read_bytes() == damage


def test_many_at_once_lose_none(tmp_path: Path, clock: FakeClock) -> None:
    def add(number: int) -> None:
        Revocations(tmp_path, SYSTEM_CLOCK).add(pending(clock, f"kst_{number}", days=40_000))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Revocations(tmp_path, SYSTEM_CLOCK).pending()) == 16
