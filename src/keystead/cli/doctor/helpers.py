"""``keystead doctor helper CMD``: whether a command keeps the contract of ``apiKeyHelper`` (S-06, R-11)."""

import json
import shlex
from typing import Final

import click

from keystead.cli.exits import sentence, visible
from keystead.cli.paper import Paper
from keystead.cli.surroundings import Surroundings
from keystead.sources.api_key_helper import lifetime
from keystead.sources.configuration import Configuration
from keystead.testing.helper_contract import Verdict, check

SCHEMA: Final = "keystead.doctor-helper/1"

_MARKS: Final = {True: ("kept", "green"), False: ("broken", "red"), None: ("not tried", "yellow")}


def report(surroundings: Surroundings, command: tuple[str, ...], deadline: float, *, wants_json: bool) -> int:
    """Check the command, say what was found, and return the exit code."""
    environment = surroundings.environment
    configuration = Configuration.read(environment)
    verdicts = check(
        command[0] if len(command) == 1 else shlex.join(command),
        environment.cwd,
        configuration.variables(),
        surroundings.clock,
        deadline=deadline,
        lifetime=lifetime(configuration),
    )
    code = 0 if all(verdict.kept for verdict in verdicts) else 78
    if wants_json:
        rules = [{"rule": one.rule, "kept": one.kept, "said": one.said or None} for one in verdicts]
        click.echo(json.dumps({"schema": SCHEMA, "exit_code": code, "rules": rules}, indent=2))
    else:
        paper = Paper.of(environment)
        click.echo("\n".join(line for verdict in verdicts for line in _lines(verdict, paper)), color=paper.colour)
    return code


def _lines(verdict: Verdict, paper: Paper) -> list[str]:
    word, colour = _MARKS[verdict.kept]
    first = f"  {paper.style(word.ljust(9), fg=colour)}  "
    said = f" {sentence(visible(verdict.said[:1].upper() + verdict.said[1:]))}" if verdict.said else ""
    wrapped = paper.wrap(verdict.rule + said, 13)
    return [first + wrapped[0].lstrip(), *wrapped[1:]]
