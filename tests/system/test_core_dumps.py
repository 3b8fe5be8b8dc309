"""A crash leaves no copy of a secret: programs of ours write no core file (R-17)."""

import json
import subprocess
from pathlib import Path

import pytest
from running import PROGRAM, fresh_variables

pytestmark = pytest.mark.requirement("R-17 core files")


def with_core_files(home: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ours for a person who wants core files of everything."""
    shell = ["bash", "-c", 'ulimit -c unlimited && exec "$0" "$@"', PROGRAM, *command]
    return subprocess.run(
        shell,
        env=fresh_variables(home, **variables),
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def helper(home: Path, command: str) -> None:
    (home / ".claude").mkdir()
    (home / ".claude/settings.json").write_text(json.dumps({"apiKeyHelper": command}))


def test_the_limit_is_nothing_where_a_secret_is_held(tmp_path: Path) -> None:
    helper(tmp_path, "grep core /proc/$PPID/limits | tr -s ' ' > $HOME/limits; echo canary-key")

    done = with_core_files(tmp_path, "token")

    assert done.stdout.strip() == "canary-key"
    assert "Max core file size 0 unlimited" in (tmp_path / "limits").read_text()


def test_a_crash_leaves_no_file(tmp_path: Path) -> None:
    helper(tmp_path, "kill -SEGV $PPID; echo canary-key")

    assert with_core_files(tmp_path, "token", ANTHROPIC_CUSTOM_HEADERS="x-canary: 1").returncode < 0
    assert [file.name for file in tmp_path.iterdir() if "core" in file.name] == []


def test_a_program_that_is_run_has_the_limit_of_the_person(tmp_path: Path) -> None:
    done = with_core_files(tmp_path, "run", "--", "bash", "-c", "ulimit -c", ANTHROPIC_API_KEY="canary-key")

    assert (done.returncode, done.stdout.strip()) == (0, "unlimited")
