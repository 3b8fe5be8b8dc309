"""The session as a process on a terminal, against a Messages API on loopback."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from terminals import Terminal, start

from keystead.clock import SYSTEM_CLOCK
from keystead.secret import Secret
from keystead.stores.approvals import Approvals
from keystead.testing.messages_api import MessagesApi

KEY = "canaryKeyOfTheSession0123456789"
ANSWER = "test upstream"
COLOURS = re.compile(rb"\x1b\[(?:[0-9]+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]")


@pytest.fixture
def api() -> Iterator[MessagesApi]:
    with MessagesApi() as running:
        yield running


def session(home: Path, api: MessagesApi, *, columns: int = 80, **variables: str) -> Terminal:
    settings = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": api.base_url}
    return start(home, columns=columns, **{**settings, **variables})


def approve(home: Path, api: MessagesApi) -> None:
    Approvals(home / ".keystead", SYSTEM_CLOCK).decide(Secret(KEY), api.base_url, accepted=True)


def questions(api: MessagesApi) -> list[str]:
    asked = [request for request in api.requests if request.path == "/v1/messages"]
    return [json.loads(request.body)["messages"][0]["content"] for request in asked]


def leave(terminal: Terminal, *, prompt: str = "profile default") -> int:
    """Wait for the next prompt, press Ctrl-D, and return the exit code."""
    terminal.read_until(prompt)
    terminal.type("\x04")
    return terminal.finish()


def no_secret(terminal: Terminal, home: Path) -> bool:
    files = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    pieces = [KEY[start : start + 8].encode() for start in range(len(KEY) - 7)]
    return not any(piece in data for piece in pieces for data in (terminal.raw, *files))


@pytest.mark.requirement("R-21 once")
@pytest.mark.parametrize("columns", [40, 80])
def test_a_key_is_asked_about_once_and_no_is_remembered(tmp_path: Path, api: MessagesApi, columns: int) -> None:
    terminal = session(tmp_path, api, columns=columns)
    terminal.read_until("ANTHROPIC_API_KEY in the environment")
    terminal.read_until("[y/N]")
    assert re.search(r"\b[0-9a-f]{12}\b", terminal.seen)
    terminal.type("\r")
    terminal.read_until("It is not used")
    terminal.read_until("no credential")
    terminal.type("hello\r")
    terminal.read_until("declined on")
    terminal.type("/status\r")
    terminal.read_until("declined on")
    assert leave(terminal) == 0

    again = session(tmp_path, api, columns=columns)
    assert leave(again, prompt="no credential") == 0
    assert "[y/N]" not in again.seen
    assert questions(api) == []
    assert no_secret(terminal, tmp_path)
    assert no_secret(again, tmp_path)


@pytest.mark.parametrize("columns", [40, 80])
def test_the_toggle_changes_the_answer_and_questions_are_answered(
    tmp_path: Path, api: MessagesApi, columns: int
) -> None:
    Approvals(tmp_path / ".keystead", SYSTEM_CLOCK).decide(Secret(KEY), api.base_url, accepted=False)
    terminal = session(tmp_path, api, columns=columns)
    terminal.read_until("profile default")
    terminal.type("/config use-custom-api-key yes\r")
    terminal.read_until("is used from now on")
    terminal.read_until("paid by the gateway")
    terminal.type("hello\r")
    terminal.read_until(ANSWER)
    terminal.type("/config\r")
    terminal.read_until("approved on")

    assert leave(terminal) == 0
    assert questions(api) == ["hello"]
    assert api.requests[-1].headers["x-api-key"] == KEY
    assert no_secret(terminal, tmp_path)


def test_a_yes_is_remembered_too(tmp_path: Path, api: MessagesApi) -> None:
    terminal = session(tmp_path, api)
    terminal.read_until("[y/N]")
    terminal.type("perhaps\r")
    terminal.read_until("[y/N]")
    terminal.type("yes\r")
    terminal.read_until("It is used")
    leave(terminal)

    assert [answer.accepted for answer in Approvals(tmp_path / ".keystead", SYSTEM_CLOCK).all()] == [True]


def test_leaving_the_question_decides_nothing(tmp_path: Path, api: MessagesApi) -> None:
    terminal = session(tmp_path, api)
    terminal.read_until("[y/N]")
    terminal.interrupt("Nothing was decided")

    assert leave(terminal) == 0
    assert Approvals(tmp_path / ".keystead", SYSTEM_CLOCK).all() == ()


def test_ctrl_c_stops_an_answer_and_the_next_one_leaves(tmp_path: Path, api: MessagesApi) -> None:
    approve(tmp_path, api)
    terminal = session(tmp_path, api)
    terminal.read_until("profile default")
    terminal.type("x-keystead-fake: words=2000, slow=0.02\r")
    terminal.read_until("word3")
    terminal.type("\x03")
    terminal.read_until("Stopped. Press Ctrl-C again")
    api.wait_for(lambda requests: requests[-1].disconnected)
    terminal.read_until("profile default")
    terminal.type("\x03")

    assert terminal.finish() == 0
    assert "Traceback" not in terminal.seen


def test_ctrl_c_takes_back_what_is_typed_then_says_how_to_leave(tmp_path: Path, api: MessagesApi) -> None:
    approve(tmp_path, api)
    terminal = session(tmp_path, api)
    terminal.read_until("profile default")
    terminal.type("never sent")
    terminal.read_until("never sent")
    terminal.type("\x03")
    terminal.type("\x03")
    terminal.read_until("Press Ctrl-C again or Ctrl-D to leave")
    terminal.read_until("profile default")
    terminal.type("hello\r")
    terminal.read_until(ANSWER)
    terminal.read_until("profile default")
    terminal.type("\x03")
    terminal.read_until("Press Ctrl-C again")
    terminal.read_until("profile default")
    terminal.type("\x03")

    assert terminal.finish() == 0
    assert questions(api) == ["hello"]


def test_the_history_keeps_no_line_that_looks_like_a_secret(tmp_path: Path, api: MessagesApi) -> None:
    approve(tmp_path, api)
    terminal = session(tmp_path, api)
    for line in ("first", "what is sk-live-0123456789abcdef", "\x1b[A"):
        terminal.read_until("profile default")
        terminal.type(f"{line}\r")
        terminal.read_until(ANSWER)
    leave(terminal)

    assert questions(api) == ["first", "what is sk-live-0123456789abcdef", "first"]
    assert not any(b"sk-live" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_without_colour_nothing_is_coloured(tmp_path: Path, api: MessagesApi) -> None:
    approve(tmp_path, api)
    plain, coloured = session(tmp_path, api, NO_COLOR="1"), session(tmp_path, api)
    for terminal in (plain, coloured):
        terminal.read_until("profile default")
        terminal.type("/status\r")
        terminal.read_until("Also considered")
        leave(terminal)

    assert COLOURS.search(coloured.raw)
    assert not COLOURS.search(plain.raw)


@pytest.mark.parametrize("columns", [40, 80])
def test_a_terminal_that_knows_nothing_gets_plain_lines(tmp_path: Path, api: MessagesApi, columns: int) -> None:
    approve(tmp_path, api)
    terminal = session(tmp_path, api, columns=columns, TERM="dumb")
    terminal.read_until("[profile default")
    terminal.read_until(">")
    terminal.type("hello\n")
    terminal.read_until(ANSWER)
    terminal.read_until(">")
    terminal.type("/exit\n")

    assert terminal.finish() == 0
    assert b"\x1b" not in terminal.raw


def test_the_key_of_a_helper_is_used_and_not_shown(tmp_path: Path, api: MessagesApi) -> None:
    settings = tmp_path / ".claude/settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"apiKeyHelper": f"echo {KEY}; echo {KEY} >&2"}))
    terminal = session(tmp_path, api, ANTHROPIC_API_KEY="")
    terminal.read_until("API key helper")
    terminal.type("hello\r")
    terminal.read_until(ANSWER)

    assert leave(terminal) == 0
    assert KEY.encode() not in terminal.raw
