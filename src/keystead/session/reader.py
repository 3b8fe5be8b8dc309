"""Where lines are typed: a full prompt with bar, completion and history, or plain input on a terminal without cursor.

``prompt_toolkit`` is imported when a full prompt is made and not before.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from keystead.drivers import terminal
from keystead.environment import Environment

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import Completer
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyBindings

SIGN: Final = "> "
_REFRESH: Final = 15.0
"""Seconds after which the bar is drawn again, because "in 5 minutes" does not stay true."""
_LIKE_A_SECRET: Final = re.compile(r"\bsk-\S{8}|\bks[a-z]_\S{8}|\beyJ\S{8}|(?<![/:])\b[\w\-+=]{32,}")

Bar = Callable[[int], list[str]]
"""Returns the lines of the bar for a width in columns."""


class Reader(Protocol):
    """Gives one line after the other."""

    def line(self) -> str:
        """Return the next line.

        Raises:
            KeyboardInterrupt: Ctrl-C with nothing typed.
            EOFError: Ctrl-D, or the terminal is gone.
        """

    def yes(self, question: str) -> bool:
        """Return the answer to a question; Enter alone is no. Raises what :meth:`line` raises."""


def like_a_secret(text: str) -> bool:
    """Whether ``text`` holds something that could be a key; such a line is not kept in the history."""
    return _LIKE_A_SECRET.search(text) is not None


def open_reader(environment: Environment, choices: Mapping[str, Iterable[str]], bar: Bar) -> Reader:
    """Return the reader that this terminal can show.

    Args:
        environment: of the terminal.
        choices: the commands, and the words that may follow each.
        bar: asked whenever the bar is drawn.
    """
    if environment.variables.get("TERM", "") in {"", "dumb", "unknown"}:
        return PlainReader(environment, bar)
    return FullReader(environment, choices, bar)


class PlainReader:
    """Lines as the terminal itself edits them; the bar stands above the prompt whenever it has changed."""

    def __init__(self, environment: Environment, bar: Bar) -> None:
        self._environment = environment
        self._bar = bar
        self._shown: list[str] = []

    def line(self) -> str:
        bar = self._bar(terminal.width(self._environment) - 2)
        above = "" if bar == self._shown else "".join(f"[{line}]\n" for line in bar)
        self._shown = bar
        return input(above + SIGN)

    def yes(self, question: str) -> bool:
        return _yes(question)


class FullReader:
    """A line editor with the bar below it; its history is in memory and ends with the session."""

    def __init__(self, environment: Environment, choices: Mapping[str, Iterable[str]], bar: Bar) -> None:
        self._environment = environment
        self._bar = bar
        self._prompt = self._made(choices)

    def line(self) -> str:
        return self._prompt.prompt()

    def yes(self, question: str) -> bool:
        return _yes(question)

    def _made(self, choices: Mapping[str, Iterable[str]]) -> "PromptSession[str]":
        from prompt_toolkit import PromptSession
        from prompt_toolkit.filters import Condition
        from prompt_toolkit.output import ColorDepth

        colour = terminal.wants_colour(self._environment, self._environment.stdout_tty)
        made: PromptSession[str] = PromptSession(
            [("bold ansicyan" if colour else "bold", SIGN)],
            history=_history(),
            completer=_completer(choices),
            complete_while_typing=Condition(lambda: self._prompt.default_buffer.text.startswith("/")),
            reserve_space_for_menu=len(choices) + 1,
            key_bindings=_keys(),
            bottom_toolbar=self._below,
            color_depth=None if colour else ColorDepth.DEPTH_1_BIT,
            refresh_interval=_REFRESH,
        )
        made.app.renderer.cpr_not_supported_callback = lambda: None  # then there is no bar; that needs no warning
        return made

    def _below(self) -> str:
        return "\n".join(self._bar(self._prompt.app.output.get_size().columns))


def _yes(question: str) -> bool:
    while True:
        answer = input(f"{question} [y/N] ").strip().lower()
        if answer in {"y", "yes"}:
            return True
        if answer in {"", "n", "no"}:
            return False


def _history() -> "History":
    from prompt_toolkit.history import InMemoryHistory

    class Kept(InMemoryHistory):
        def append_string(self, string: str) -> None:
            if not like_a_secret(string):
                super().append_string(string)

    return Kept()


def _completer(choices: Mapping[str, Iterable[str]]) -> "Completer":
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document

    class Commands(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:  # noqa: ARG002
            for found, typed in completions(document.text_before_cursor, choices):
                yield Completion(found, -typed)

    return Commands()


def completions(text: str, choices: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, int]]:
    """Yield the words that ``text`` may become, each with the number of characters of it that are typed."""
    command, space, rest = text.partition(" ")
    if not text.startswith("/"):
        return
    typed, offered = (rest, choices.get(command, ())) if space else (command, choices)
    yield from ((one, len(typed)) for one in offered if one.startswith(typed))


def _keys() -> "KeyBindings":
    """Ctrl-C takes back what is typed, and only on an empty line reaches the session."""
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()

    @keys.add("c-c")
    def _(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt, style="class:aborting")

    return keys
