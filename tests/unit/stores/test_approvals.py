"""Remembered answers about API keys."""

from pathlib import Path

import pytest

from keystead.errors import UnreadableFile
from keystead.secret import Secret
from keystead.stores.approvals import Approvals
from keystead.testing.clock import FakeClock

ORIGIN = "https://api.anthropic.com"
KEY = Secret("sk-ant-canary-0123456789")


@pytest.fixture
def approvals(tmp_path: Path) -> Approvals:
    return Approvals(tmp_path / "state", FakeClock())


def test_asking_leaves_no_trace(approvals: Approvals, tmp_path: Path) -> None:
    """Status reads; it does not write."""
    assert approvals.decision(KEY, ORIGIN) is None
    assert not (tmp_path / "state").exists()


def test_an_answer_is_remembered_with_its_day(approvals: Approvals) -> None:
    """And can be changed."""
    approvals.decide(KEY, ORIGIN, accepted=False)
    declined = approvals.decision(KEY, ORIGIN)
    approvals.decide(KEY, ORIGIN, accepted=True)
    accepted = approvals.decision(KEY, ORIGIN)

    assert declined is not None
    assert (declined.accepted, declined.date) == (False, "2026-11-18")
    assert accepted is not None
    assert accepted.accepted
    assert len(approvals.all()) == 1


def test_an_answer_is_about_one_key_and_one_origin(approvals: Approvals) -> None:
    """The same key for another address is another question."""
    approvals.decide(KEY, ORIGIN, accepted=True)

    assert approvals.decision(KEY, "https://gateway.example") is None
    assert approvals.decision(Secret("another"), ORIGIN) is None


def test_an_answer_can_be_forgotten(approvals: Approvals) -> None:
    """By its fingerprint, as the list shows it."""
    answer = approvals.decide(KEY, ORIGIN, accepted=True)

    assert approvals.forget(answer.fingerprint)
    assert not approvals.forget(answer.fingerprint)
    assert approvals.decision(KEY, ORIGIN) is None


def test_no_part_of_the_key_is_kept(approvals: Approvals, tmp_path: Path) -> None:
    """Not the last characters either; and two machines keep two fingerprints (R-21)."""
    here = approvals.decide(KEY, ORIGIN, accepted=True)
    there = Approvals(tmp_path / "other", FakeClock()).decide(KEY, ORIGIN, accepted=True)
    kept = (tmp_path / "state/approvals.json").read_text()

    assert here.fingerprint != there.fingerprint
    assert not any(KEY.reveal()[start : start + 6] in kept for start in range(len(KEY) - 6))
    assert (tmp_path / "state/approvals.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content", ["", "{}", '{"schema": "keystead.approvals/1", "salt": "", "decisions": [{}]}', "["]
)
def test_a_damaged_file_is_named_with_the_fix(approvals: Approvals, tmp_path: Path, content: str) -> None:
    """It is not taken for a yes."""
    path = tmp_path / "state/approvals.json"
    path.parent.mkdir(mode=0o700)
    path.write_text(content)
    path.chmod(0o600)

    with pytest.raises(UnreadableFile, match="damaged") as caught:
        approvals.decision(KEY, ORIGIN)

    assert str(path) in (caught.value.hint or "")


def test_a_fingerprint_is_stable_before_any_answer(approvals: Approvals) -> None:
    """What a person is shown is what is then remembered."""
    shown = approvals.fingerprint(KEY)

    assert approvals.fingerprint(KEY) == shown
    assert approvals.all() == ()
    assert approvals.decide(KEY, ORIGIN, accepted=True).fingerprint == shown
