"""The snapshot."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from keystead.environment import Environment, managed_directory
from keystead.testing.environment import bare_environment


def test_the_state_directory_is_one_and_moves_with_one_variable(tmp_path: Path) -> None:
    """Unset and empty mean the home directory; a relative path is relative to the working directory."""
    bare = bare_environment(tmp_path)

    assert bare.state_dir == tmp_path / "home" / ".keystead"
    assert replace(bare, variables={"KEYSTEAD_CONFIG_DIR": ""}).state_dir == bare.state_dir
    assert replace(bare, variables={"KEYSTEAD_CONFIG_DIR": "/elsewhere"}).state_dir == Path("/elsewhere")
    assert replace(bare, variables={"KEYSTEAD_CONFIG_DIR": "here"}).state_dir == tmp_path / "project" / "here"


def test_paths_are_shown_short(tmp_path: Path) -> None:
    """The project as a dot, the home directory as a tilde, also when one contains the other."""
    bare = bare_environment(tmp_path)
    at_home = replace(bare, cwd=bare.home)
    at_root = replace(bare, cwd=Path("/"))

    assert bare.display(bare.cwd / ".claude/settings.json") == "./.claude/settings.json"
    assert bare.display(bare.home / ".claude/settings.json") == "~/.claude/settings.json"
    assert at_home.display(bare.home / "x") == "~/x"
    assert at_root.display(bare.home / "x") == "~/x"
    assert bare.display(Path("/etc/x")) == "/etc/x"


def test_the_snapshot_hides_its_variables(tmp_path: Path) -> None:
    """Some are secrets."""
    assert "canary" not in repr(bare_environment(tmp_path, {"ANTHROPIC_API_KEY": "canary"}))


def test_capture_is_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes later does not change the snapshot."""
    monkeypatch.setenv("KEYSTEAD_TEST", "before")
    captured = Environment.capture()
    monkeypatch.setenv("KEYSTEAD_TEST", "after")

    assert captured.variables["KEYSTEAD_TEST"] == "before"


def test_a_deleted_working_directory_and_closed_streams_are_survived(tmp_path: Path) -> None:
    """A shell can sit in a directory that is gone."""
    gone = tmp_path / "gone"
    script = (
        "import os, shutil; os.chdir(os.environ['GONE']); os.rmdir(os.environ['GONE']); os.close(0);"
        "from keystead.environment import Environment; print(Environment.capture().stdin_tty)"
    )
    gone.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", script], env={"GONE": str(gone)}, capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.returncode) == ("False\n", 0)


def test_managed_settings_have_a_place_on_every_platform() -> None:
    """Linux, macOS and Windows each have theirs."""
    assert len({managed_directory(platform) for platform in ("linux", "darwin", "win32")}) == 3
