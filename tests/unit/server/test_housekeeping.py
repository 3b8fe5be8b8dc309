"""Chores are done when due, one failing chore stops nothing, and closing ends the thread."""

import logging
import threading

import pytest

from keystead.clock import SYSTEM_CLOCK
from keystead.server.housekeeping import Chore, Housekeeping


class Hand:
    """A clock that stands until it is moved."""

    time = 100.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def test_each_chore_is_done_at_once_and_then_when_it_is_due() -> None:
    clock, done, rounds = Hand(), [], []
    chores = [
        Chore("often", 10, lambda now: done.append(("often", now))),
        Chore("rarely", 25, lambda now: done.append(("rarely", now))),
    ]
    house = Housekeeping(chores, clock, finished=lambda: rounds.append(clock.time))
    for _ in range(4):
        clock.sleep(house.round())
    assert done == [("often", 100), ("rarely", 100), ("often", 110), ("often", 120), ("rarely", 125)]
    assert rounds == [100, 110, 120, 125]


def test_a_failing_chore_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    clock, done = Hand(), []

    def fail(now: float) -> None:
        done.append(now)
        raise OSError("the database is away")

    house = Housekeeping([Chore("sweeping", 10, fail), Chore("next", 10, done.append)], clock)
    with caplog.at_level(logging.ERROR, "keystead.server"):
        clock.sleep(house.round())
        house.round()
    assert done == [100, 100, 110, 110]
    assert "sweeping failed; it is tried again in 10 seconds." in caplog.text


def test_in_a_hurry_everything_is_done_once_at_once() -> None:
    clock = Hand()
    done: list[float] = []
    house = Housekeeping([Chore("rarely", 3600, done.append)], clock)
    house.round()
    for _ in range(3):
        house.hurry()
    clock.sleep(1)
    assert house.round() == 3600
    clock.sleep(1)
    house.round()
    assert done == [100, 101]


def test_a_hurry_wakes_the_thread_even_during_a_round() -> None:
    began, go_on, again = threading.Event(), threading.Event(), threading.Event()

    def do(_: float) -> None:
        if began.is_set():
            again.set()
        began.set()
        assert go_on.wait(60)

    house = Housekeeping([Chore("rarely", 3600, do)], SYSTEM_CLOCK)
    house.start()
    assert began.wait(60)
    house.hurry()
    go_on.set()
    assert again.wait(60)
    house.close()


def test_closing_ends_the_thread() -> None:
    began = threading.Event()
    house = Housekeeping([Chore("once", 3600, lambda _: began.set())], SYSTEM_CLOCK)
    house.start()
    assert began.wait(60)
    house.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "housekeeping"]


def test_closing_what_never_started_does_nothing() -> None:
    house = Housekeeping([Chore("never", 10, lambda _: pytest.fail("it was closed"))], Hand())
    house.close()
    assert house.round() >= 0
