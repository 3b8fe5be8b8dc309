import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from keystead.cli.run import child_variables
from keystead.credentials import Login

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine

PRINT = "import json, os; print(json.dumps(dict(os.environ)))"


def keystead(home: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {"HOME": str(home), "PATH": os.defpath, **variables}
    program = "from keystead.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment, cwd=home, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_the_child_gets_the_winner_and_nothing_else(tmp_path: Path) -> None:
    done = keystead(
        tmp_path, "run", "--", sys.executable, "-c", PRINT,
        ANTHROPIC_AUTH_TOKEN="winner", ANTHROPIC_API_KEY="loser", CLAUDE_CODE_OAUTH_TOKEN="vendor",
        ANTHROPIC_CUSTOM_HEADERS="x: y", OTHER="kept",
    )  # fmt: skip
    child = json.loads(done.stdout)

    assert child["ANTHROPIC_AUTH_TOKEN"] == "winner"
    assert child["ANTHROPIC_BASE_URL"] == "https://api.anthropic.com"
    assert child["OTHER"] == "kept"
    assert not {"ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS"} & child.keys()
    assert "loser" not in done.stdout


def test_a_sign_in_takes_the_cloud_switches_away_from_the_child(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)
    machine.set(CLAUDE_CODE_USE_BEDROCK="1", ANTHROPIC_API_KEY="loser")
    authorized = machine.surroundings.client().credential()

    child = child_variables(machine.surroundings.environment.variables, authorized)

    assert child == {"ANTHROPIC_BASE_URL": login.api_base, "ANTHROPIC_AUTH_TOKEN": "canary-old-access"}


def test_exit_code_and_options_are_the_childs(tmp_path: Path) -> None:
    assert keystead(tmp_path, "run", "--", "sh", "-c", "exit 9", ANTHROPIC_API_KEY="k").returncode == 9
    assert keystead(tmp_path, "run", "printf", "%s", "--json", ANTHROPIC_API_KEY="k").stdout == "--json"


def test_a_signal_reaches_the_child(tmp_path: Path) -> None:
    done = keystead(tmp_path, "run", "--", "sh", "-c", "kill -TERM $$", ANTHROPIC_API_KEY="k")

    assert done.returncode == -signal.SIGTERM


def test_without_credential_nothing_is_run(tmp_path: Path) -> None:
    done = keystead(tmp_path, "run", "--", "touch", "witness")

    assert done.returncode == 4
    assert not (tmp_path / "witness").exists()


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    done = keystead(tmp_path, "run", "--", "no-such-program", ANTHROPIC_API_KEY="canary")

    assert done.returncode == 2
    assert "no-such-program was not found" in done.stderr
    assert "canary" not in done.stderr


def test_run_without_command_is_a_usage_error(tmp_path: Path) -> None:
    assert keystead(tmp_path, "run").returncode == 2
