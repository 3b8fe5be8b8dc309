"""What a request leaves behind is done, in order, later if asked, and hurts neither the rest nor the server."""

import threading
from functools import partial

import pytest

from keystead.server import errands
from keystead.server.errands import Errands
from keystead.testing.clock import FakeClock


def test_everything_is_done_and_each_gives_back_what_it_held() -> None:
    done: list[int] = []
    finished: list[str] = []
    mine = Errands(finished=lambda: finished.append(threading.current_thread().name))
    for number in range(20):
        assert mine.later("counting", partial(done.append, number))
    assert mine.drain()
    assert sorted(done) == list(range(20))
    assert finished == ["errands"] * 20
    mine.close()


def test_one_that_fails_leaves_the_others_alone(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []
    mine = Errands()
    for _ in range(errands.THREADS * 2):
        mine.later("dividing", lambda: 1 // 0)
    mine.later("going on", lambda: done.append("yes"))
    assert mine.drain()
    assert done == ["yes"]
    assert "dividing failed." in caplog.text
    mine.close()


def test_a_later_one_waits_for_its_time() -> None:
    clock, done = FakeClock(), list[str]()
    mine = Errands(clock)
    mine.later("later", lambda: done.append("later"), delay=60)
    mine.later("now", lambda: done.append("now"))
    assert mine.drain()
    assert done == ["now"]
    clock.advance(61)
    mine.later("after", lambda: done.append("after"))
    assert mine.drain()
    assert done.index("later") >= 1
    assert sorted(done) == ["after", "later", "now"]
    mine.close()


def test_too_many_are_not_taken_and_neither_is_one_after_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(errands, "MOST", 3)
    mine = Errands(FakeClock())
    assert [mine.later("waiting", lambda: None, delay=60) for _ in range(5)] == [True] * 3 + [False] * 2
    assert "waiting was not done" in caplog.text
    mine.close()
    assert not mine.later("late", lambda: None)
