import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from keystead.drivers.process import become
from keystead.errors import UsageError

BECOME = (
    "import sys; from keystead.drivers.process import become; become(sys.argv[1:], {'PATH': '/usr/bin:/bin', 'A': 'b'})"
)


def child(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", BECOME, *command], capture_output=True, text=True, check=False)


def test_the_exit_code_is_the_programs_own() -> None:
    assert child("sh", "-c", "exit 37").returncode == 37


def test_a_signal_is_the_programs_own() -> None:
    assert child("sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM


def test_the_environment_is_exactly_the_given_one() -> None:
    assert child("env").stdout.splitlines() == ["PATH=/usr/bin:/bin", "A=b"]


def test_arguments_arrive_as_they_are() -> None:
    assert child("printf", "%s|", "a b", "*", "").stdout == "a b|*||"


@pytest.mark.parametrize("name", ["no-such-program", "./no-such-program", ""])
def test_a_program_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(UsageError, match="was not found"):
        become([name], {"PATH": os.defpath})


def test_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    program = tmp_path / "broken"
    program.write_bytes(b"\x00\x01")
    program.chmod(0o755)

    with pytest.raises(UsageError, match="cannot be run"):
        become([str(program)], {"PATH": os.defpath})
