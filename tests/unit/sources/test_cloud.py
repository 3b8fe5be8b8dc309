"""The cloud switches."""

from pathlib import Path

import pytest

from keystead.resolver import Resolution
from keystead.sources.candidate import Candidate, CandidateState
from keystead.testing.machine import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def row(resolution: Resolution, source: str) -> Candidate:
    return next(one for one in resolution.considered if one.source == source)


def test_a_cloud_without_credentials_is_reported_at_once(machine: Machine) -> None:
    """With the fix, before the first request fails (S-09)."""
    missing = machine.resolve(CLAUDE_CODE_USE_BEDROCK="1")
    there = machine.resolve(CLAUDE_CODE_USE_BEDROCK="1", AWS_PROFILE="work")

    assert any("AWS_PROFILE" in warning for warning in missing.warnings)
    assert there.warnings == ()


@pytest.mark.parametrize("value", ["0", "false", "no", "2", "canary"])
def test_a_switch_that_is_not_on_is_off_and_its_value_is_not_shown(machine: Machine, value: str) -> None:
    """People paste keys into the wrong variable."""
    candidate = row(machine.resolve(CLAUDE_CODE_USE_VERTEX=value), "cloud:vertex")

    assert candidate.state is CandidateState.ABSENT
    assert "means off" in candidate.reason
    assert "canary" not in candidate.reason
