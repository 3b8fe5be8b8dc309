"""The table of commands: help reads it and imports none of them; a command is loaded when it is called."""

from dataclasses import dataclass
from typing import Final


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
    Command("revoke", "keystead.cli.revoke:revoke", "End the sign-in on the server; keep it here until that worked."),
    Command("status", "keystead.cli.status:status", "Say which credential is used, who pays, and why no other."),
    Command("explain", "keystead.cli.explain:explain", "Explain the decision, and what another client would send."),
    Command("limits", "keystead.cli.limits:limits", "Ask the gateway what is left of your limits."),
    Command("expect", "keystead.cli.expect:expect", "Declare who pays here; anything else is refused.", profiled=False),
    Command("token", "keystead.cli.token:token", "Print the token, renewed when needed."),
    Command("whoami", "keystead.cli.whoami:whoami", "Say whose credential is used: account, organization, who pays."),
    Command("require-auth", "keystead.cli.require_auth:require_auth", "Fail unless the required credential is there."),
    Command("accounts", "keystead.cli.accounts:accounts", "Keep several accounts side by side.", profiled=False),
    Command("run", "keystead.cli.run:run", "Run a program with the credential in its environment."),
    Command("doctor", "keystead.cli.doctor:doctor", "Check this machine, and say what would correct it."),
    Command("trust", "keystead.cli.trust:trust", "Let a project's own command fetch the key, as it stands."),
    Command("approve", "keystead.cli.approve:approve", "Approve an API key for the session without being asked."),
    Command("store", "keystead.cli.store:store", "Choose where sign-ins are kept, or go a step back."),
    Command("server", "keystead.server.command:server", "Run the self-hosted server.", profiled=False),
)
