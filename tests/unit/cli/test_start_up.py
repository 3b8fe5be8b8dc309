"""What a command loads is decided here, not measured with a stopwatch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "asyncio", "concurrent.futures", "ctypes", "django", "email", "http.client", "http.server", "httpx2", "keyring",
    "keystead.drivers", "keystead.flows", "keystead.server", "logging", "prompt_toolkit", "pydantic", "queue",
    "secrets", "select", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "tomllib", "unittest",
    "urllib.request", "webbrowser",
}  # fmt: skip
OTHER_COMMANDS = {"ask", "login", "logout", "run", "status", "approval", "announcements", "paper", "servers"}

PROBE = """
import sys
before = set(sys.modules)
from keystead.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    print(*sorted(set(sys.modules) - before), file=sys.stderr)
"""


def loaded(home: Path, *arguments: str, **variables: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        env={"HOME": str(home), "PATH": os.defpath, **variables},
        cwd=home, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(done.stderr.splitlines()[-1].split())


def test_token_loads_nothing_heavy(tmp_path: Path) -> None:
    modules = loaded(tmp_path, "token", ANTHROPIC_API_KEY="k")

    assert modules & HEAVY == set()
    assert modules & {f"keystead.cli.{name}" for name in OTHER_COMMANDS} == set()


def test_a_bare_token_loads_no_parser_of_the_command_line(tmp_path: Path) -> None:
    assert "click" not in loaded(tmp_path, "token", ANTHROPIC_API_KEY="k")


def test_the_same_question_again_loads_next_to_nothing(tmp_path: Path) -> None:
    """Agents ask before each request; the resolver, and what it stands on, answered the first time."""
    first, again = (loaded(tmp_path, "token", ANTHROPIC_API_KEY="k") for _ in range(2))

    assert "keystead.resolver" in first
    ours = {"keystead", "keystead.cli", "keystead.cli.bare_token", "keystead.cli.recall", "keystead.core_dumps"}
    assert again <= {"_blake2", "gc", "resource", *ours}


@pytest.mark.parametrize("arguments", [(), ("--help",), ("--version",)])
def test_help_loads_no_command(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    modules = loaded(tmp_path, *arguments)

    assert modules & {f"keystead.cli.{name}" for name in ("token", *OTHER_COMMANDS)} == set()
    assert "keystead.server" not in modules
