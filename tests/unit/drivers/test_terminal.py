import base64
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.drivers import terminal
from keystead.drivers.terminal import Line
from keystead.environment import Environment

if sys.platform == "win32":
    pytest.skip("pseudo-terminals are a POSIX thing", allow_module_level=True)

import termios


def environment(**variables: str) -> Environment:
    return Environment(variables=variables, home=Path("/nowhere"), cwd=Path("/nowhere"))


@pytest.mark.parametrize(
    ("variables", "is_terminal", "expected"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(variables: dict[str, str], is_terminal: bool, expected: bool) -> None:
    assert terminal.wants_colour(environment(**variables), is_terminal) is expected


@pytest.mark.parametrize(("columns", "expected"), [("40", 40), ("", 80), ("0", 80), ("wide", 80), ("-5", 80)])
def test_the_width_is_the_variable_or_80(columns: str, expected: int) -> None:
    reading, writing = os.pipe()
    try:
        assert terminal.width(environment(COLUMNS=columns), writing) == expected
    finally:
        os.close(reading)
        os.close(writing)


def test_copying_carries_the_text_in_base64() -> None:
    assert base64.b64decode(terminal.copy("https://x").removeprefix("\x1b]52;c;").removesuffix("\x07")) == b"https://x"


def test_a_link_shows_its_address() -> None:
    assert terminal.hyperlink("https://x") == "\x1b]8;;https://x\x1b\\https://x\x1b]8;;\x1b\\"


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["abc\n"], ["abc"]),
        (["a", "b", "\r"], ["ab"]),
        (["abx\x7fc\n"], ["abc"]),
        (["wrong\x15right\n"], ["right"]),
        (["\x1b[200~pasted\x1b[201~\n"], ["pasted"]),
        (["\n\n  \n"], []),
        (["one\ntwo\n"], ["one", "two"]),
        (["c"], ["c"]),
        (["x", "c", "\n"], ["xc"]),
        (["code\n"], ["code"]),
    ],
)
def test_a_line_is_edited_as_people_expect(pieces: list[str], expected: list[str]) -> None:
    line = Line(keys=True)

    assert [done for piece in pieces for done in line.feed(piece)] == expected


@given(st.lists(st.text()))
def test_no_input_breaks_the_editor(pieces: list[str]) -> None:
    line = Line(keys=True)

    assert all(done.strip() == done != "" for piece in pieces for done in line.feed(piece))


@pytest.fixture
def pty() -> Iterator[tuple[int, int]]:
    master, slave = os.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def test_a_terminal_hands_over_keys_and_pastes_without_echo(pty: tuple[int, int]) -> None:
    master, slave = pty
    before = termios.tcgetattr(slave)
    lines: SimpleQueue[str] = SimpleQueue()

    with terminal.reading(lines.put, slave):
        os.write(master, b"c")
        assert lines.get(timeout=60) == "c"
        os.write(master, b"ksc_code\r")
        assert lines.get(timeout=60) == "ksc_code"
        os.set_blocking(master, False)
        with pytest.raises(BlockingIOError):
            os.read(master, 100)

    assert termios.tcgetattr(slave) == before


def test_the_terminal_is_put_back_after_an_interrupt(pty: tuple[int, int]) -> None:
    _, slave = pty
    before = termios.tcgetattr(slave)

    def interrupted() -> None:
        with terminal.reading(lambda _: None, slave):
            assert termios.tcgetattr(slave) != before
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert termios.tcgetattr(slave) == before


def test_a_closed_input_is_no_input() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    lines: SimpleQueue[str] = SimpleQueue()

    with terminal.reading(lines.put, reading):
        pass

    assert lines.empty()


def test_a_pipe_is_read_to_its_end_with_or_without_a_last_line_break() -> None:
    reading, writing = os.pipe()
    lines: SimpleQueue[str] = SimpleQueue()
    os.write(writing, b"one\ntwo")
    os.close(writing)

    with terminal.reading(lines.put, reading):
        assert [lines.get(timeout=60), lines.get(timeout=60)] == ["one", "two"]
    os.close(reading)

    with pytest.raises(Empty):
        lines.get_nowait()
