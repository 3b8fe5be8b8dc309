"""A printed key, shared by all processes until its time."""

from pathlib import Path

import pytest

from keystead.credentials.printed import Printed
from keystead.errors import HelperFailed
from keystead.refresher import helper_key
from keystead.secret import Secret
from keystead.stores.helper_cache import HelperCache
from keystead.testing.clock import FakeClock


class Printer:
    """Stands for the helper command and counts its runs."""

    def __init__(self) -> None:
        self.runs = 0
        self.expires_at: float | None = None

    def __call__(self) -> Printed:
        self.runs += 1
        return Printed(Secret(f"key-{self.runs}"), self.expires_at)


@pytest.fixture
def printer() -> Printer:
    return Printer()


def key(cache: HelperCache, printer: Printer, lifetime: float, clock: FakeClock, rejected: Secret | None = None) -> str:
    return helper_key(cache, printer, lifetime, clock, rejected=rejected).secret.reveal()


def cache_in(tmp_path: Path, clock: FakeClock, command: str = "h") -> HelperCache:
    return HelperCache(tmp_path / "state", command, tmp_path, clock)


def test_a_printed_key_is_used_again_until_its_time(tmp_path: Path, printer: Printer) -> None:
    """By every process that asks, which reads the same file."""
    clock = FakeClock()
    seen = []
    for pause in (0, 299, 1, 10):
        clock.advance(pause)
        seen.append(key(cache_in(tmp_path, clock), printer, 300, clock))

    assert seen == ["key-1", "key-1", "key-2", "key-2"]


def test_a_lifetime_of_zero_runs_it_every_time_and_keeps_nothing(tmp_path: Path, printer: Printer) -> None:
    """As documented for the variable."""
    clock = FakeClock()

    assert [key(cache_in(tmp_path, clock), printer, 0, clock) for _ in range(2)] == [
        "key-1",
        "key-2",
    ]
    assert not (tmp_path / "state").exists()


def test_a_refused_key_is_printed_anew_once(tmp_path: Path, printer: Printer) -> None:
    """Who comes second with the same refused key gets the new one without a run (R-09)."""
    clock = FakeClock()
    refused = helper_key(cache_in(tmp_path, clock), printer, 300, clock)

    again = [key(cache_in(tmp_path, clock), printer, 300, clock, rejected=refused.secret) for _ in range(2)]

    assert again == ["key-2", "key-2"]


def test_commands_do_not_share_their_keys(tmp_path: Path, printer: Printer) -> None:
    """Nor do directories; and the file is private."""
    clock = FakeClock()

    keys = [key(cache_in(tmp_path, clock, command), printer, 300, clock) for command in ("a", "b")]

    assert keys == ["key-1", "key-2"]
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "state").iterdir()} == {0o600}


@pytest.mark.parametrize("content", [b"", b"x", b"[]", b'{"schema": "keystead.helper/1", "key": 1, "printed_at": 0}'])
def test_a_damaged_cache_is_no_cache(tmp_path: Path, printer: Printer, content: bytes) -> None:
    """It can be made again, so nobody needs to hear of it."""
    clock = FakeClock()
    helper_key(cache_in(tmp_path, clock), printer, 300, clock)
    next((tmp_path / "state").glob("*.json")).write_bytes(content)

    assert key(cache_in(tmp_path, clock), printer, 300, clock) == "key-2"


def test_a_clock_that_went_back_ends_a_kept_key(tmp_path: Path, printer: Printer) -> None:
    """A key printed in the future is not trusted for longer."""
    clock = FakeClock()
    helper_key(cache_in(tmp_path, clock), printer, 300, clock)
    clock.advance(-1000)

    assert key(cache_in(tmp_path, clock), printer, 300, clock) == "key-2"


def test_where_nothing_can_be_written_the_helper_still_works(tmp_path: Path, printer: Printer) -> None:
    """Nothing is shared then, and each use runs it."""
    clock = FakeClock()
    (tmp_path / "state").write_text("a file where the directory should be")

    assert [key(cache_in(tmp_path, clock), printer, 300, clock) for _ in range(2)] == [
        "key-1",
        "key-2",
    ]


@pytest.mark.requirement("R-11 expiry")
def test_the_end_that_an_output_names_comes_before_any_lifetime(tmp_path: Path, printer: Printer) -> None:
    """It is used longer than the lifetime where it may be, and printed anew half a minute before its end."""
    clock = FakeClock()
    printer.expires_at = clock.now() + 3600
    seen = []
    for pause in (0, 3000, 569, 1):
        clock.advance(pause)
        seen.append(key(cache_in(tmp_path, clock), printer, 300, clock))

    assert seen == ["key-1", "key-1", "key-1", "key-2"]


@pytest.mark.requirement("R-11 last good")
def test_a_failing_helper_costs_nothing_until_the_last_key_ends(tmp_path: Path, printer: Printer) -> None:
    """Unless it was the refused one; and a key without an end of its own is not stretched."""
    clock = FakeClock()
    printer.expires_at = clock.now() + 600
    kept = helper_key(cache_in(tmp_path, clock), printer, 300, clock)

    def fails() -> Printed:
        raise HelperFailed("down")

    clock.advance(580)
    assert helper_key(cache_in(tmp_path, clock), fails, 300, clock) == kept
    with pytest.raises(HelperFailed):
        helper_key(cache_in(tmp_path, clock), fails, 300, clock, rejected=kept.secret)
    clock.advance(20)
    with pytest.raises(HelperFailed):
        helper_key(cache_in(tmp_path, clock), fails, 300, clock)

    printer.expires_at = None
    helper_key(cache_in(tmp_path, clock), printer, 300, clock)
    clock.advance(301)
    with pytest.raises(HelperFailed):
        helper_key(cache_in(tmp_path, clock), fails, 300, clock)
