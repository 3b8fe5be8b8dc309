"""The terminal: how wide it is, whether it wants colour, and what is typed or pasted while something else happens."""

import base64
import os
import re
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

from keystead.environment import Environment

DEFAULT_WIDTH: Final = 80
COPY_KEY: Final = "c"
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b.")


def width(environment: Environment, descriptor: int = 1) -> int:
    """Return the columns of the terminal: ``COLUMNS``, else the terminal's own word, else 80."""
    chosen = environment.variables.get("COLUMNS", "")
    if chosen.isascii() and chosen.isdigit() and int(chosen) > 0:
        return int(chosen)
    try:
        return os.get_terminal_size(descriptor).columns or DEFAULT_WIDTH
    except (OSError, ValueError):
        return DEFAULT_WIDTH


def wants_colour(environment: Environment, is_terminal: bool) -> bool:
    """Whether to colour: on a terminal that can, unless ``NO_COLOR`` is set (no-color.org)."""
    variables = environment.variables
    return is_terminal and not variables.get("NO_COLOR") and variables.get("TERM", "") != "dumb"


def hyperlink(url: str) -> str:
    """Return ``url`` as a link (OSC 8); a terminal that does not know it shows the text alone."""
    return f"\x1b]8;;{url}\x1b\\{url}\x1b]8;;\x1b\\"


def copy(text: str) -> str:
    """Return the sequence that puts ``text`` on the clipboard of the terminal's own machine (OSC 52)."""
    return f"\x1b]52;c;{base64.b64encode(text.encode()).decode('ascii')}\x07"


class Line:
    """The line being typed: a tiny editor, because a terminal that gives single keys edits nothing itself.

    Args:
        keys: whether a lone ``c`` on an empty line counts at once, without Enter.
    """

    def __init__(self, *, keys: bool) -> None:
        self._keys = keys
        self._text = ""

    def feed(self, text: str) -> list[str]:
        """Return the lines that ``text`` completes; escape sequences, such as paste brackets, are dropped."""
        text = _ESCAPES.sub("", text)
        if self._keys and not self._text and text == COPY_KEY:
            return [COPY_KEY]
        done = []
        for character in text:
            if character in "\r\n":
                done.append(self._text)
                self._text = ""
            elif character in "\x7f\b":
                self._text = self._text[:-1]
            elif character == "\x15":  # Ctrl-U
                self._text = ""
            elif character.isprintable():
                self._text += character
        return [line.strip() for line in done if line.strip()]

    def finish(self) -> list[str]:
        """Return what stands on the unfinished line when the input ends."""
        return self.feed("\n")


@contextmanager
def reading(deliver: Callable[[str], None], descriptor: int = 0) -> Iterator[None]:
    """Hand over the lines that are typed, pasted or piped in while the context lasts.

    On a terminal nothing is echoed, since what is pasted here is a code, and a lone ``c`` is handed over at once.
    ``deliver`` is called on another thread. The terminal is put back as it was, whatever happens.
    """
    is_terminal = os.isatty(descriptor)
    stopping = Event()
    line = Line(keys=is_terminal)
    thread = Thread(target=_pump, args=(descriptor, line, deliver, stopping), daemon=True)
    with _single_keys(descriptor, is_terminal):
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            if sys.platform != "win32":  # there the thread may sit in a read; as a daemon it ends with the process
                thread.join()


def _pump(descriptor: int, line: Line, deliver: Callable[[str], None], stopping: Event) -> None:
    while not stopping.is_set():
        try:
            if sys.platform != "win32" and not select.select([descriptor], [], [], 0.05)[0]:
                continue
            data = os.read(descriptor, 65536)
        except (OSError, ValueError):  # a standard input that was closed
            return
        found = line.feed(data.decode("utf-8", "replace")) if data else line.finish()
        for complete in found:
            deliver(complete)
        if not data:
            return


@contextmanager
def _single_keys(descriptor: int, is_terminal: bool) -> Iterator[None]:
    """Let the terminal hand over each key, without echo; Ctrl-C still interrupts."""
    if not is_terminal or sys.platform == "win32":
        yield
        return
    import termios

    before = termios.tcgetattr(descriptor)
    changed = termios.tcgetattr(descriptor)
    changed[3] &= ~(termios.ICANON | termios.ECHO)
    try:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, changed)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
