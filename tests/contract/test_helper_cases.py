"""The published collection of nasty helpers, on our own runner: every one is a key or a named failure (R-11)."""

import os
from pathlib import Path

import pytest

from keystead.clock import SYSTEM_CLOCK
from keystead.drivers import helper
from keystead.errors import HelperFailed
from keystead.testing.helper_contract import CASES, KEY, Case

VARIABLES = {"PATH": os.defpath}


def ended(marker: Path) -> bool:
    """Whether the process is gone, given a bounded moment in which the kernel takes it away."""
    pid = int(marker.read_text())
    for _ in range(200_000):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2]:
            return True
        os.sched_yield()
    return False


@pytest.mark.requirement("R-11 cases")
@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_each_gives_the_key_or_a_failure_that_names_it(case: Case, tmp_path: Path) -> None:
    """And nothing of it lives on, and the key is in no message."""
    deadline = 0.5 if case.slow else 60.0
    try:
        outcome = helper.run(case.command, "The helper", tmp_path, VARIABLES, SYSTEM_CLOCK, deadline).secret.reveal()
    except HelperFailed as error:
        outcome = error.message
        assert KEY not in outcome

    assert outcome == KEY if case.says is None else case.says in outcome
    assert not (tmp_path / "child").exists() or ended(tmp_path / "child")


def test_there_are_at_least_forty_of_them_with_names_of_their_own() -> None:
    assert len({case.id for case in CASES}) == len(CASES) >= 40
