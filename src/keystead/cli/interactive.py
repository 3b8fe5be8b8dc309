"""``keystead`` alone on a terminal: lend the session what it needs of the command line."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

import click

from keystead.cli.ask import ask, configured_model
from keystead.cli.exits import as_ours, exit_code, sentence, visible
from keystead.cli.group import cli
from keystead.cli.paper import Paper, relative
from keystead.cli.surroundings import Surroundings
from keystead.client import Client
from keystead.environment import Environment
from keystead.stores.profiles import SelectedBy

if TYPE_CHECKING:
    from keystead.session.desk import Desk

SESSION: Final = "keystead.session.prompt"
"""Named, not imported: the session is a neighbour on the same floor."""


def start(surroundings: Surroundings) -> None:
    """Hold a session on this terminal."""
    begin = cast("Callable[[Desk], None]", import_module(SESSION).start)
    begin(Counter(replace(surroundings, interactive=True)))


class Counter:
    """The session's :class:`~keystead.session.desk.Desk`, over the commands and the voice of the command line."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings

    @property
    def environment(self) -> Environment:
        return self._surroundings.environment

    @property
    def profile(self) -> str:
        return self._surroundings.selection.profile

    def client(self) -> Client:
        return self._surroundings.client()

    def verb(self, *arguments: str) -> int:
        selection = self._surroundings.selection
        chosen = ["--profile", selection.profile] if selection.by is SelectedBy.FLAG else []
        return exit_code(cli, [*chosen, *arguments], self._surroundings)

    def model(self) -> str | None:
        return configured_model(self._surroundings)

    def ask(self, question: str, model: str | None) -> None:
        ask(self._surroundings, question, model)

    def say(self, text: str) -> None:
        click.echo("\r" + "\n".join(self._paper().wrap(visible(text))))  # \r: over the ^C that a terminal may show

    def table(self, rows: list[tuple[str, str]]) -> None:
        paper = self._paper()
        click.echo("\n".join(paper.table([(label, visible(text)) for label, text in rows])), color=paper.colour)

    def fail(self, error: Exception) -> None:
        ours = as_ours(error, self.environment.variables)
        self.say(sentence(ours.message))
        if ours.hint:
            self.say(f"Fix: {ours.hint}")

    def when(self, timestamp: float) -> str:
        return relative(timestamp, self._surroundings.clock.now())

    def _paper(self) -> Paper:
        return Paper.of(self.environment)
