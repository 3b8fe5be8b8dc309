"""``keystead server reset-link`` and ``forget-factors``: a way back in from the machine."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from running import PROGRAM, fresh_variables

from keystead.errors import UsageError

if TYPE_CHECKING:
    from keystead.server.organizations.models import Membership


def run(home: Path, *arguments: str) -> tuple[int, str]:
    import subprocess

    done = subprocess.run(
        [PROGRAM, "server", *arguments], env=fresh_variables(home), capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_nobody_with_that_address_is_an_error_of_the_command_line(tmp_path: Path) -> None:
    code, said = run(tmp_path, "reset-link", "nobody@example.com")
    assert code == UsageError.exit_code
    assert "No active account has this address." in said
    assert json.loads(run(tmp_path, "reset-link", "nobody@example.com", "--json")[1])["error"]["code"] == "usage"


@pytest.mark.usefixtures("administrator")
def test_the_link_is_printed_for_a_person_and_for_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from keystead.server import command, installation

    monkeypatch.setattr(installation, "open_database", lambda *_: None)  # the test's own is open
    shown = CliRunner().invoke(command.server, ["reset-link", "ada@example.com"])
    assert re.fullmatch(r"http://127\.0\.0\.1:8420/account/link#code=ksl_\w{49}\n", shown.output)
    told = json.loads(CliRunner().invoke(command.server, ["reset-link", "ada@example.com", "--json"]).output)
    assert told["schema"] == "keystead.reset-link/1"
    assert told["link"] not in shown.output
    assert told["expires_at"]


def test_nobody_has_no_second_factor_to_lose(tmp_path: Path) -> None:
    code, said = run(tmp_path, "forget-factors", "nobody@example.com")
    assert code == UsageError.exit_code
    assert "No account has this address." in said


@pytest.mark.usefixtures("database")
def test_second_factors_are_removed_for_a_person_and_for_a_program(
    administrator: "Membership", monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from keystead.server import command, installation
    from keystead.server.factors.models import AuthenticatorApp

    monkeypatch.setattr(installation, "open_database", lambda *_: None)  # the test's own is open
    when = administrator.created_at
    AuthenticatorApp.objects.create(person=administrator.person, sealed="sealed", last_step=1, created_at=when)
    shown = CliRunner().invoke(command.server, ["forget-factors", "Ada@example.com"])
    assert shown.output == "The second factors are gone.\n"
    assert not AuthenticatorApp.objects.exists()
    told = json.loads(CliRunner().invoke(command.server, ["forget-factors", "ada@example.com", "--json"]).output)
    assert told == {"schema": "keystead.forget-factors/1", "email": "ada@example.com", "removed": False}
