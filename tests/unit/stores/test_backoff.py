"""Pauses that every process of a machine keeps."""

from pathlib import Path

import pytest

from keystead.errors import CredentialRejected, KeysteadError, RateLimited, ServerFailure, ServerUnreachable
from keystead.stores.backoff import LONGEST, Backoff
from keystead.testing.clock import FakeClock

HERE = "https://keys.example.com/oauth/token"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def backoff(tmp_path: Path, clock: FakeClock) -> Backoff:
    return Backoff(tmp_path / "state", clock, chance=lambda: 0.5)


def remaining(backoff: Backoff, clock: FakeClock, endpoint: str = HERE) -> float:
    pause = backoff.pause(endpoint)
    return pause.remaining(clock.now()) if pause is not None else 0.0


def test_looking_writes_nothing(backoff: Backoff, tmp_path: Path) -> None:
    """Nor does a success where nothing failed."""
    assert backoff.pause(HERE) is None
    backoff.succeeded(HERE)
    assert not (tmp_path / "state").exists()


@pytest.mark.requirement("R-20 pause")
@pytest.mark.parametrize("error", [RateLimited, ServerFailure])
def test_what_the_server_asks_for_is_kept_by_all_and_never_shortened(
    backoff: Backoff, clock: FakeClock, tmp_path: Path, error: type[RateLimited | ServerFailure]
) -> None:
    """Retry-After, with a little more so that not everybody comes back at once; other endpoints are not held up."""
    backoff.failed(HERE, error("wait", retry_after=100.0))
    elsewhere = Backoff(tmp_path / "state", clock)

    assert remaining(elsewhere, clock) == 105.0
    assert remaining(elsewhere, clock, "https://other.example/oauth/token") == 0
    clock.advance(104.9)
    assert elsewhere.pause(HERE) is not None
    clock.advance(0.2)
    assert elsewhere.pause(HERE) is None


@pytest.mark.requirement("R-20 pause")
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RateLimited("wait"), [22.5, 45.0, 90.0, 180.0, 360.0, 675.0, 675.0]),
        (ServerFailure("down"), [0.75, 1.5, 3.0, 6.0, 12.0, 24.0, 45.0, 45.0]),
        (ServerUnreachable("offline"), [0.0, 0.0]),
        (CredentialRejected("ended"), [0.0]),
    ],
)
def test_without_a_word_from_the_server_pauses_double(
    backoff: Backoff, clock: FakeClock, error: KeysteadError, expected: list[float]
) -> None:
    """Up to a bound. Whoever never reached the server pauses for nothing, or coming back online would take long."""
    seen = []
    for _ in expected:
        backoff.failed(HERE, error)
        seen.append(remaining(backoff, clock))
        clock.advance(seen[-1])

    assert seen == pytest.approx(expected)


def test_a_success_forgets_the_failures(backoff: Backoff, clock: FakeClock) -> None:
    """And so does time."""
    backoff.failed(HERE, RateLimited("wait"))
    backoff.failed(HERE, RateLimited("wait"))
    backoff.succeeded(HERE)
    assert backoff.pause(HERE) is None

    backoff.failed(HERE, RateLimited("wait"))
    clock.advance(3600)
    backoff.failed(HERE, RateLimited("wait"))
    assert remaining(backoff, clock) == 22.5


@pytest.mark.requirement("R-20 pause", "R-26 clock")
def test_no_pause_is_for_ever(backoff: Backoff, clock: FakeClock) -> None:
    """A year is cut to a day, and a clock that is set back ends a pause it can no longer measure."""
    backoff.failed(HERE, RateLimited("wait", retry_after=99_999_999.0))
    assert remaining(backoff, clock) <= LONGEST + 10

    clock.advance(-7200)
    assert backoff.pause(HERE) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema": "keystead.backoff/1", "endpoints": {"a": 1}}'])
def test_a_damaged_file_holds_no_pause(backoff: Backoff, clock: FakeClock, tmp_path: Path, content: bytes) -> None:
    """It keeps no secret and may be lost."""
    (tmp_path / "state").mkdir(mode=0o700)
    path = tmp_path / "state" / "backoff.json"
    path.write_bytes(content)
    path.chmod(0o600)

    assert backoff.pause(HERE) is None
    backoff.failed(HERE, RateLimited("wait"))
    assert remaining(backoff, clock) == 22.5


def test_where_nothing_can_be_written_nothing_is_shared(tmp_path: Path, clock: FakeClock) -> None:
    """The failure is told all the same."""
    (tmp_path / "state").write_text("a file where the directory should be")

    pause = Backoff(tmp_path / "state", clock).failed(HERE, RateLimited("wait", retry_after=5.0))

    assert pause is None
