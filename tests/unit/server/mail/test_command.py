"""``keystead server mail-test``: for a person who reads and for a program."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from mail_server import MailServer, serving

from keystead.errors import ServerUnreachable, UsageError
from keystead.server import command


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str, url: str = "") -> Result:
    monkeypatch.setenv("KEYSTEAD_SERVER_DATA_DIR", str(folder / "data"))
    monkeypatch.setenv("KEYSTEAD_SERVER_MAIL_URL", url)
    monkeypatch.setenv("KEYSTEAD_SERVER_MAIL_FROM", "keystead@example.com")
    return CliRunner().invoke(command.server, ["mail-test", *arguments])


def test_a_new_installation_keeps_the_mail_and_says_that_nobody_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = run(tmp_path, monkeypatch, "ada@example.com")
    assert shown.exit_code == 0
    assert "kept as a file, and sent to nobody" in shown.output
    assert len(list((tmp_path / "data" / "outbox").iterdir())) == 1


def test_each_step_that_worked_is_told_and_then_the_one_that_did_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(MailServer(refuse={"RCPT": "550 no such person"})) as server:
        url = f"smtp://127.0.0.1:{server.port}?security=none"
        shown = run(tmp_path, monkeypatch, "ada@example.com", url=url)
        told = run(tmp_path, monkeypatch, "ada@example.com", "--json", url=url)
    assert shown.output.splitlines() == ["worked: connect", "worked: sender"]
    assert isinstance(shown.exception, ServerUnreachable)
    assert "at the step “recipient”: 550 no such person" in shown.exception.message
    facts = json.loads(told.output)
    assert told.exit_code == 75
    assert (facts["schema"], facts["sent"], facts["failed"]) == ("keystead.mail-test/1", False, "recipient")
    assert facts["worked"] == ["connect", "sender"]
    assert facts["error"]["code"] == "server_unreachable"


def test_a_mail_that_was_taken_is_told_to_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(MailServer()) as server:
        url = f"smtp://127.0.0.1:{server.port}?security=none"
        told = run(tmp_path, monkeypatch, "ada@example.com", "--json", url=url)
    assert told.exit_code == 0
    assert json.loads(told.output)["sent"] is True
    assert len(server.taken) == 1


def test_what_is_no_address_is_an_error_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(run(tmp_path, monkeypatch, "ada").exception, UsageError)
