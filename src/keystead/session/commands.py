"""The commands of the prompt, as a table."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from keystead.session import keys
from keystead.session.desk import Desk


@dataclass(slots=True)
class State:
    """What a session remembers.

    Attributes:
        model: the model chosen with ``/model``; None leaves it to settings, or to the server.
        over: whether to leave.
    """

    model: str | None = None
    over: bool = False


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """One row: its name, what may follow, its line in ``/help``, and what it does.

    Attributes:
        choices: words offered by completion.
        run: is given what follows the name, split as a shell does.
    """

    name: str
    follows: str
    line: str
    run: Callable[[Desk, State, list[str]], None]
    choices: tuple[str, ...] = ()


def run(desk: Desk, state: State, line: str) -> None:
    """Run the command on ``line``, which starts with a slash."""
    name, _, rest = line.partition(" ")
    command = next((one for one in COMMANDS if one.name == _ALIASES.get(name, name)), None)
    if command is None:
        desk.say(f"There is no command {name}. /help lists them.")
        return
    try:
        words = shlex.split(rest)
    except ValueError:
        desk.say("A quotation mark has no partner.")
        return
    if words and not command.follows:
        desk.say(f"{command.name} takes nothing after it.")
        return
    command.run(desk, state, words)


def choices() -> dict[str, tuple[str, ...]]:
    """Return every command and the words that may follow it."""
    return {command.name: command.choices for command in COMMANDS}


def _verb(name: str) -> Callable[[Desk, State, list[str]], None]:
    def run_verb(desk: Desk, _: State, words: list[str]) -> None:
        desk.verb(name, *words)

    return run_verb


def _model(desk: Desk, state: State, words: list[str]) -> None:
    if len(words) > 1:
        desk.say("/model takes one name.")
        return
    if words:
        state.model = None if words == ["default"] else words[0]
    asked = state.model or desk.model()
    desk.say(f"Questions go to the model {asked}." if asked else "Questions go to the first model the server offers.")


def _config(desk: Desk, state: State, words: list[str]) -> None:
    match words:
        case []:
            asked = state.model or desk.model() or "the first one the server offers"
            desk.table([("Use custom API key", keys.describe(desk.client())), ("Model", asked)])
            desk.say(f"Change them with /config {keys.TOGGLE} yes, /config {keys.TOGGLE} no and /model NAME.")
        case [keys.TOGGLE, ("yes" | "no") as answer]:
            keys.toggle(desk, accepted=answer == "yes")
        case _:
            desk.say(f"/config shows the settings; /config {keys.TOGGLE} yes or no changes that one.")


def _help(desk: Desk, _: State, words: list[str]) -> None:  # noqa: ARG001  the shape of a row
    desk.table([(f"{one.name} {one.follows}".rstrip(), one.line) for one in COMMANDS])
    desk.say("Anything else is a question. Each question stands alone; earlier ones are not sent along.")
    desk.say("Ctrl-C stops an answer; Ctrl-C twice or Ctrl-D leaves.")


def _exit(_: Desk, state: State, words: list[str]) -> None:  # noqa: ARG001
    state.over = True


COMMANDS: Final = (
    SlashCommand("/login", "[OPTIONS]", "Sign in; the options of keystead login.", _verb("login"), ("--device",)),
    SlashCommand("/logout", "[OPTIONS]", "Sign out here and on the server.", _verb("logout"), ("--local",)),
    SlashCommand("/status", "[OPTIONS]", "Say which credential is used and why.", _verb("status"), ("--verify",)),
    SlashCommand("/limits", "[OPTIONS]", "Ask the gateway what is left of your limits.", _verb("limits"), ("--json",)),
    SlashCommand("/config", "[NAME yes|no]", "Show or change the settings.", _config,
                 (f"{keys.TOGGLE} yes", f"{keys.TOGGLE} no")),
    SlashCommand("/model", "[NAME]", "Choose the model, or say which is used.", _model, ("default",)),
    SlashCommand("/help", "", "Show this.", _help),
    SlashCommand("/exit", "", "Leave.", _exit),
)  # fmt: skip
_ALIASES: Final = {"/quit": "/exit", "/?": "/help", "/usage": "/limits"}
