"""Whether the agent's settings files can be read, and what in them needs a decision."""

from collections.abc import Iterator
from typing import Final

from keystead.cli.doctor.finding import Finding, Ground, Repair, Weight
from keystead.cli.trust import project_commands
from keystead.sources.configuration import COMMANDS, UNTRUSTED, Scope, SettingsFile
from keystead.stores.trust import Trust

SECRETS: Final = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "AWS_BEARER_TOKEN_BEDROCK", "ANTHROPIC_FOUNDRY_API_KEY")


def look(ground: Ground) -> Iterator[Finding]:
    """Look at every file that exists."""
    for file in ground.configuration.files:
        if file.fault is not None:
            yield Finding(Weight.PROBLEM, file.fault.message, str(file.place), file.fault.hint)
        else:
            yield from _open_to_others(file, ground)
    if ground.configuration.faulty is None:
        yield from _commands(ground)


def _open_to_others(file: SettingsFile, ground: Ground) -> Iterator[Finding]:
    """A key in a file that others can read; only in the user's own file, for a repository's cannot be private."""
    path = ground.environment.agent_dir / "settings.json"
    if file.scope is not Scope.USER or file.settings is None or not path.stat().st_mode & 0o044:
        return
    for name in SECRETS:
        if name in file.settings.env:
            line = file.settings.env[name].line
            yield Finding(
                Weight.PROBLEM, f"{name} is in a file that other users can read", f"{file.shown}:{line}",
                f"Run: chmod 600 {path}", repair=Repair(path, 0o600),
            )  # fmt: skip


def _commands(ground: Ground) -> Iterator[Finding]:
    environment = ground.environment
    trust = Trust(environment.state_dir)
    for command in project_commands(ground.configuration):
        if not trust.covers(environment.cwd, command.name, command.text):
            yield Finding(
                Weight.WARNING,
                f"{command.name} comes with this project and is not trusted, so it does not run",
                command.place,
                "Read it; if you trust it, run: keystead trust",
            )
    for file in ground.configuration.files:
        for name, setting in file.settings.members.items() if file.settings is not None else ():
            if name in COMMANDS and file.scope not in UNTRUSTED and not isinstance(setting.value, str):
                yield Finding(
                    Weight.PROBLEM, f"{name} is not a string", f"{file.shown}:{setting.line}", "Write it in quotes."
                )
