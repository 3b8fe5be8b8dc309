"""A program that the desktop starts has no shell's variables; it must resolve as the shell does (R-22)."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from running import PROGRAM, Installation

GRAPHICAL = {"DISPLAY": ":0", "XDG_SESSION_TYPE": "x11", "DESKTOP_SESSION": "gnome"}


def decided(home: Path, *command: str, **variables: str) -> dict[str, Any]:
    """Return what ``status`` decides when ``command`` starts it with nothing but these variables."""
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "NO_PROXY": "127.0.0.1", **variables}
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=60, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def by_shell(home: Path) -> dict[str, Any]:
    return decided(home, "bash", "--login", "-i", "-c", f"{PROGRAM} status --json", TERM="dumb")


def by_desktop(home: Path) -> dict[str, Any]:
    return decided(home, PROGRAM, "status", "--json", **GRAPHICAL)


def reasons(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["source"], one["state"], one["reason"]) for one in (report["winner"], *report["considered"])]


@pytest.mark.requirement("R-22 same")
def test_a_sign_in_wins_alike_in_a_login_shell_and_from_the_desktop(installation: Installation) -> None:
    home = installation.machine.home
    shell, desktop = by_shell(home), by_desktop(home)

    assert shell["winner"]["source"] == "gateway_session"
    assert reasons(shell) == reasons(desktop)


@pytest.mark.requirement("R-22 same")
def test_what_only_the_shell_sets_makes_the_difference_and_the_doctor_names_it(tmp_path: Path) -> None:
    (tmp_path / ".bash_profile").write_text("export ANTHROPIC_API_KEY=sk-ant-api03-canary-of-the-shell\n")
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude/settings.json").write_text('{"apiKeyHelper": "echo from-the-helper"}')

    assert by_shell(tmp_path)["winner"]["source"] == "api_key"
    assert by_desktop(tmp_path)["winner"]["source"] == "api_key_helper"

    compared = subprocess.run(
        ["bash", "--login", "-i", "-c", f"{PROGRAM} doctor --only surfaces"],
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "TERM": "dumb"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "ANTHROPIC_API_KEY is set in this shell only" in " ".join(compared.stdout.split())
    assert "canary-of-the-shell" not in compared.stdout + compared.stderr
