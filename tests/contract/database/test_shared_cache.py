"""What limits attempts, counted once for all server processes."""

import threading
from collections import Counter
from typing import Any

import pytest

from keystead.testing.clock import FakeClock

CROWD = 32


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cache(database: object, clock: FakeClock) -> Any:
    from keystead.server.identity.shared_cache import SharedCache

    return SharedCache("", {}, clock)


def test_a_value_is_there_until_its_end(cache: Any, clock: FakeClock) -> None:
    cache.set("a", [1.5, "x"], 10)
    assert cache.get("a") == [1.5, "x"]
    clock.advance(10)
    assert cache.get("a", "gone") == "gone"


def test_add_keeps_what_is_there_and_takes_the_place_of_what_has_ended(cache: Any, clock: FakeClock) -> None:
    assert cache.add("a", 1, 10)
    assert not cache.add("a", 2, 10)
    assert cache.get("a") == 1
    clock.advance(10)
    assert cache.add("a", 3, 10)
    assert cache.get("a") == 3


def test_incr_counts_and_never_begins(cache: Any, clock: FakeClock) -> None:
    with pytest.raises(ValueError, match="no number"):
        cache.incr("a")
    cache.set("a", 1, 10)
    assert [cache.incr("a"), cache.incr("a", 5)] == [2, 7]
    clock.advance(10)
    with pytest.raises(ValueError, match="no number"):
        cache.incr("a")


def test_the_end_can_be_moved_and_everything_removed(cache: Any, clock: FakeClock) -> None:
    cache.set("a", 1, 10)
    assert cache.touch("a", 100)
    clock.advance(50)
    assert cache.get("a") == 1
    assert (cache.delete("a"), cache.delete("a"), cache.touch("a")) == (True, False, False)
    cache.set("b", 1, None)
    clock.advance(10**9)
    assert cache.get("b") == 1
    cache.clear()
    assert cache.get("b") is None


def test_no_key_is_in_the_table(cache: Any, clock: FakeClock) -> None:
    from keystead.server.identity.models import CacheEntry

    cache.set("ada@example.com", 1, 10)

    assert "ada" not in str(CacheEntry.objects.values().get())


def test_a_crowd_is_counted_to_the_last(cache: Any, clock: FakeClock) -> None:
    """The limit of attempts is a limit however many come at once."""
    from django.db import connection

    added: list[bool] = []
    start = threading.Barrier(CROWD)

    def one() -> None:
        start.wait()
        try:
            added.append(cache.add("first", 1, 60))
            if not cache.add("tries", 1, 60):
                cache.incr("tries")
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(CROWD)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Counter(added) == {True: 1, False: CROWD - 1}
    assert cache.get("tries") == CROWD


def test_what_has_ended_is_swept(cache: Any, clock: FakeClock) -> None:
    from datetime import UTC, datetime

    from keystead.server.authorization.sweep import sweep

    cache.set("a", 1, 10)
    cache.set("b", 1, 1000)

    assert sweep(datetime.fromtimestamp(clock.now() + 20, UTC))["cache_entries"] == 1
    assert cache.get("b") == 1
