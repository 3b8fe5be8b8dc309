"""The session itself: read a line, do what it says, until the person leaves."""

import re
from collections.abc import Callable
from functools import partial
from typing import Final

from keystead import __version__
from keystead.resolver import Resolution
from keystead.session import bar, commands, keys
from keystead.session.commands import State
from keystead.session.desk import Desk
from keystead.session.reader import Reader, open_reader

_COMMAND: Final = re.compile(r"/[a-z?-]*(?: |$)")
"""A slash and one word; ``/etc/hosts`` is part of a question."""


def start(desk: Desk) -> None:
    """Hold a session on this terminal; returns when the person leaves."""
    Session(desk).run()


class Session:
    """One conversation at the prompt.

    Args:
        reader: where lines come from; by default what this terminal can show.
    """

    def __init__(self, desk: Desk, reader: Reader | None = None) -> None:
        self._desk = desk
        self._state = State()
        self._resolution: Resolution | None = None
        self._reader = reader or open_reader(desk.environment, commands.choices(), self._bar)
        self._leaving = False
        """Whether one more Ctrl-C leaves."""

    def run(self) -> None:
        """Read and answer until the person leaves."""
        self._desk.say(f"Keystead {__version__}. /help lists the commands, Ctrl-D leaves.")
        self._guarded(partial(keys.offer, self._desk, self._reader))
        while not self._state.over:
            self._resolution = None  # another terminal may have signed in or out meanwhile
            try:
                line = self._reader.line().strip()
            except EOFError:
                return
            except KeyboardInterrupt:
                self._interrupted("Press Ctrl-C again or Ctrl-D to leave.")
                continue
            self._leaving = False
            if line:
                self._guarded(partial(self._do, line))

    def _do(self, line: str) -> None:
        if _COMMAND.match(line):
            commands.run(self._desk, self._state, line)
            return
        try:
            self._desk.ask(line, self._state.model)
        except KeyboardInterrupt:
            self._interrupted("Stopped. Press Ctrl-C again or Ctrl-D to leave.")

    def _interrupted(self, said: str) -> None:
        if self._leaving:
            self._state.over = True
            return
        self._leaving = True
        self._desk.say(said)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do one thing; whatever goes wrong is said, and the session goes on."""
        try:
            work()
        except KeyboardInterrupt:
            self._interrupted("Stopped. Press Ctrl-C again or Ctrl-D to leave.")
        except Exception as error:  # noqa: BLE001  one failure does not end a conversation
            self._desk.fail(error)

    def _bar(self, width: int) -> list[str]:
        if self._resolution is None:
            self._resolution = self._desk.client().resolve()
        return bar.fold(bar.parts(self._desk.profile, self._resolution, self._desk.when), width)
