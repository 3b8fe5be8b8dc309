"""Write for people: fitted to the terminal's width, coloured only where that is wanted."""

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import click

from keystead.drivers import terminal
from keystead.environment import Environment

NARROW: Final = 60
"""Columns below which a table becomes a list."""
_WIDEST: Final = 100
_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


@dataclass(frozen=True, slots=True)
class Paper:
    """What is written on: its width in columns, and whether it takes colour."""

    width: int = 80
    colour: bool = False

    @classmethod
    def of(cls, environment: Environment) -> "Paper":
        """Return the paper that standard output is."""
        columns = min(terminal.width(environment), _WIDEST) if environment.stdout_tty else 80
        return cls(columns, terminal.wants_colour(environment, environment.stdout_tty))

    @property
    def narrow(self) -> bool:
        return self.width < NARROW

    def style(self, text: str, **styles: bool | str) -> str:
        """Return ``text`` in a click style, or as it is."""
        return click.style(text, **styles) if self.colour else text  # type: ignore[arg-type]

    def wrap(self, text: str, indent: int = 0, *, first: str | None = None) -> list[str]:
        """Return ``text`` as lines that fit; an address longer than the line stays whole, so that it can be copied."""
        prefix = " " * indent
        return textwrap.wrap(
            text, self.width, initial_indent=prefix if first is None else first, subsequent_indent=prefix,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip

    def table(self, rows: Iterable[tuple[str, str]], indent: int = 2) -> list[str]:
        """Return label and text side by side, or on narrow paper the text below its label."""
        given = [(label, text) for label, text in rows if text]
        column = indent + 2 + max((len(label) for label, _ in given), default=0)
        lines: list[str] = []
        for label, text in given:
            if self.narrow:
                lines += [" " * indent + self.style(label, dim=True), *self.wrap(text, indent + 2)]
                continue
            wrapped = self.wrap(text, column) or [""]
            head = self.style((" " * indent + label).ljust(column), dim=True)
            lines += [head + wrapped[0].lstrip(), *wrapped[1:]]
        return lines


def moment(timestamp: float) -> str:
    """Return Unix seconds as an absolute time, such as ``2026-11-21 13:44 UTC``."""
    return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d %H:%M} UTC"


def duration(seconds: float) -> str:
    """Return a length of time as people say it, rounded down: ``1 hour 5 minutes``, ``59 minutes``, ``40 seconds``."""
    whole = int(abs(seconds))
    index = next((place for place, (size, _) in enumerate(_UNITS) if whole >= size), len(_UNITS) - 1)
    count, rest = divmod(whole, _UNITS[index][0])
    parts = [_count(count, _UNITS[index][1])]
    if index < 2 and rest >= _UNITS[index + 1][0]:
        parts.append(_count(rest // _UNITS[index + 1][0], _UNITS[index + 1][1]))
    return " ".join(parts)


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'}"


def relative(timestamp: float, now: float) -> str:
    """Return ``in 5 minutes`` or ``5 minutes ago``."""
    length = duration(timestamp - now)
    return f"in {length}" if timestamp > now else f"{length} ago"
