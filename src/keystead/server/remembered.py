"""What the database said, kept in a running server until a :class:`~keystead.server.changes.Change` names it.

Only where a server runs and hears of changes (:func:`remembering`); elsewhere, as in commands, each question is asked.
In one process a change is heard right after its commit. Another process's comes as an announcement; should that be
lost, :func:`forget` follows within ``background.REFRESH_SECONDS``, as for the gateway's own memory. So what is
remembered is never what must happen once, nor whether a sign-in, a membership or a person still counts.
"""

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar

from keystead.server.changes import Change, Changes, Subject

V = TypeVar("V")

AT_MOST: Final = 4_096
"""Answers kept by one memory; when there are more, all are forgotten, so that nobody fills it for good."""


class Remembered(Generic[V]):
    """Answers to one kind of question.

    Args:
        subjects: a change of any of these ends every answer.
    """

    def __init__(self, *subjects: Subject) -> None:
        self._subjects = frozenset(subjects)
        self._lock = threading.Lock()
        self._answers: dict[Hashable, V] = {}
        self._age = 0
        _ALL.append(self)

    def get(self, question: Hashable, ask: Callable[[], V | None]) -> V | None:
        """Return the answer, from memory or by asking; None is not remembered.

        An answer that a change overtook while it was read is given and not kept.
        """
        found = self._answers.get(question)
        if found is not None:
            return found
        age = self._age
        found = ask()
        if found is not None and _SERVERS:
            with self._lock:
                if age == self._age:
                    if len(self._answers) >= AT_MOST:
                        self._answers.clear()
                    self._answers[question] = found
        return found

    def hear(self, change: Change) -> None:
        """Forget if it may have been about what is remembered."""
        if change.subject in self._subjects:
            self.forget()

    def forget(self) -> None:
        """Forget everything, and whatever is being read now."""
        with self._lock:
            self._age += 1
            self._answers.clear()


_ALL: Final[list[Remembered[Any]]] = []
_SERVERS: Final[list[Changes]] = []


def forget() -> None:
    """Forget everything: changes may have been missed, or what was read was undone."""
    for one in _ALL:
        one.forget()


def _hear(change: Change) -> None:
    for one in _ALL:
        one.hear(change)


@contextmanager
def remembering(changes: Changes) -> Iterator[None]:
    """Remember for as long as the block runs, and hear of changes from ``changes``."""
    unsubscribe = changes.subscribe(_hear)
    forget()
    _SERVERS.append(changes)
    try:
        yield
    finally:
        _SERVERS.remove(changes)
        unsubscribe()
        forget()
