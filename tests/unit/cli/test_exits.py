import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from keystead import errors
from keystead.cli import exits, group
from keystead.cli.commands import COMMANDS, Command
from keystead.credentials import LoginKind
from keystead.stores.file import FileStore

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine

PROGRAM = "from keystead.cli import main; main()"


def keystead(home: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={"HOME": str(home), "PATH": os.defpath, **variables},
        cwd=home, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_without_arguments_the_help_is_shown(tmp_path: Path) -> None:
    done = keystead(tmp_path)

    assert done.returncode == 0
    assert all(command.name in done.stdout and command.line in done.stdout for command in COMMANDS)
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_shown(tmp_path: Path) -> None:
    assert keystead(tmp_path, "--version").stdout.startswith("keystead ")


def test_an_unknown_command_is_a_usage_error(tmp_path: Path) -> None:
    done = keystead(tmp_path, "frobnicate")

    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "keystead: No such command 'frobnicate'."
    assert done.stderr.splitlines()[1].startswith("  fix: ")


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.name != "server"])
def test_every_row_of_the_table_is_a_command_with_help(machine: "Machine", command: Command) -> None:
    outcome = machine.run(command.name, "--help")

    assert outcome.code == 0
    assert f"Usage: keystead {command.name}" in outcome.out


def test_a_missing_extra_is_named_with_its_fix(machine: "Machine", monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'django'", name="django")

    monkeypatch.setattr(group, "import_module", missing)

    outcome = machine.run("server", "run")

    assert outcome.code == 78
    assert "pip install 'keystead[server]'" in outcome.err


class Exploding(FileStore):
    def load(self, kind: LoginKind) -> None:
        raise ZeroDivisionError("canary-in-a-message")


def test_the_unexpected_is_one_sentence(machine: "Machine") -> None:
    machine.change(store=Exploding(machine.surroundings.environment.state_dir, machine.surroundings.clock))

    outcome = machine.run("status")

    assert (outcome.code, outcome.out) == (1, "")
    assert len(outcome.err.splitlines()) == 2
    assert "ZeroDivisionError" in outcome.err
    assert "canary" not in outcome.err


def test_debugging_shows_places_and_no_values(machine: "Machine") -> None:
    machine.change(store=Exploding(machine.surroundings.environment.state_dir, machine.surroundings.clock))
    machine.set(KEYSTEAD_DEBUG="1")

    outcome = machine.run("status")

    assert outcome.code == 1
    assert "test_exits.py" in outcome.err
    assert "Exploding.load" in outcome.err
    assert "canary" not in outcome.err


@pytest.mark.parametrize("wants_json", [False, True])
def test_every_error_prints_message_fix_and_code(capsys: pytest.CaptureFixture[str], wants_json: bool) -> None:
    error = errors.PolicyDenied("the rule says no\x1b[2J", hint="Ask.")

    code = exits.report(error, wants_json=wants_json)
    out, err = capsys.readouterr()

    assert code == 77
    if wants_json:
        assert json.loads(out) == {"schema": "keystead.error/1", "error": error.to_json()}
    else:
        assert err == "keystead: the rule says no\ufffd[2J.\n  fix: Ask.\n"


def test_json_after_the_dashes_is_the_childs(machine: "Machine") -> None:
    outcome = machine.run("run", "--", "no-such", "--json")

    assert (outcome.code, outcome.out) == (4, "")


@pytest.mark.parametrize(("output", "said"), [("> /dev/full", "no space left on device"), (">&-", "")])
def test_an_output_that_cannot_be_written_is_one_sentence_at_most(tmp_path: Path, output: str, said: str) -> None:
    script = f'"{sys.executable}" -c "{PROGRAM}" status {output}'
    done = subprocess.run(
        ["bash", "-c", script],
        env={"HOME": str(tmp_path), "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == (1 if said else 4)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    script = f'"{sys.executable}" -c "{PROGRAM}" status | true; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", script],
        env={"HOME": str(tmp_path), "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr == ""
    assert done.stdout.strip() in {"1", "4"}
