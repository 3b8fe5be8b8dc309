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

    def wrap(self, text: str, indent: int = 0) -> list[str]:
        """Return ``text`` as lines that fit; an address longer than the line stays whole, so that it can be copied."""
        prefix = " " * indent
        return textwrap.wrap(
            text, self.width, initial_indent=prefix, subsequent_indent=prefix,
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
    """Return a length of time in one or two units people use, rounded down: ``1 hour 5 minutes``."""
    whole = int(abs(seconds))
    parts = []
    for size, name in _UNITS:
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count} {name}{'' if count == 1 else 's'}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts) or "0 seconds"


def relative(timestamp: float, now: float) -> str:
    """Return ``in 5 minutes`` or ``5 minutes ago``."""
    length = duration(timestamp - now)
    return f"in {length}" if timestamp > now else f"{length} ago"
