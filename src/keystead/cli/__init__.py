"""The command line: a table of commands, each loaded only when it is called.

``keystead --help`` reads the table and imports no command; ``keystead token`` imports its own and nothing heavy, not
even click, which is why the group itself is in :mod:`keystead.cli.group`.
"""

import gc
import sys
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Command:
    """One row: the verb, where its click command is, and its line in the help."""

    name: str
    home: str
    line: str
    profiled: bool = True
    """Whether ``--profile`` may stand after the verb too."""


COMMANDS: Final = (
    Command("login", "keystead.cli.login:login", "Sign in to a Keystead server."),
    Command("logout", "keystead.cli.logout:logout", "End the sign-in here and on the server."),
    Command("status", "keystead.cli.status:status", "Say which credential is used, who pays, and why no other."),
    Command("explain", "keystead.cli.explain:explain", "Explain the decision, and what another client would send."),
    Command("expect", "keystead.cli.expect:expect", "Declare who pays here; anything else is refused.", profiled=False),
    Command("token", "keystead.cli.token:token", "Print the token, renewed when needed."),
    Command("whoami", "keystead.cli.whoami:whoami", "Say whose credential is used: account, organization, who pays."),
    Command("accounts", "keystead.cli.accounts:accounts", "Keep several accounts side by side.", profiled=False),
    Command("run", "keystead.cli.run:run", "Run a program with the credential in its environment."),
    Command("doctor", "keystead.cli.doctor:doctor", "Check this machine, and say what would correct it."),
    Command("trust", "keystead.cli.trust:trust", "Let a project's own command fetch the key, as it stands."),
    Command("approve", "keystead.cli.approve:approve", "Approve an API key for the session without being asked."),
    Command("store", "keystead.cli.store:store", "Say where sign-ins are kept, keep them elsewhere, go a step back."),
    Command("server", "keystead.server.command:server", "Run the self-hosted server.", profiled=False),
)


BARE: Final = ["token"]
"""What agents call before each request; it starts in two thirds of the time without the parser of the command line."""


def main(arguments: list[str] | None = None, surroundings: Any = None) -> None:
    """Run the command line and exit; the entry point of the ``keystead`` program."""
    gc.disable()  # a command lives for a moment; collecting while it imports costs more than it frees
    from keystead.cli.surroundings import Surroundings

    given = sys.argv[1:] if arguments is None else arguments
    surroundings = surroundings or Surroundings.real()
    if given == BARE:
        from keystead.cli.bare_token import bare_token

        sys.exit(bare_token(surroundings))
    from keystead.cli.exits import exit_code
    from keystead.cli.group import cli

    gc.enable()
    sys.exit(exit_code(cli, given, surroundings))
