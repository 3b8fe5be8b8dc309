"""Other clients, by the rules they were seen to follow: what each would send on this machine (R-34).

One file for each family, each a table of releases and the rules that read it. Nothing is sent, run or opened
that holds another product's OAuth token; what the observations do not cover is said to be uncertain.
"""

from typing import Final

from keystead.errors import UsageError
from keystead.sources.clients import anthropic_sdk, claude_code
from keystead.sources.clients.wire import KnownClient

CLIENTS: Final = (*claude_code.clients(), *anthropic_sdk.clients())
"""Newest first within each name."""


def choose(text: str) -> KnownClient:
    """Return the client that ``NAME`` or ``NAME@VERSION`` names; the newest one without a version.

    Raises:
        UsageError: that client, or that version of it, was not observed.
    """
    name, _, version = text.strip().partition("@")
    same = [client for client in CLIENTS if client.name == name]
    if not same:
        known = ", ".join(dict.fromkeys(client.name for client in CLIENTS))
        raise UsageError(f"There are no rules for a client called {name!r}.", hint=f"Known are: {known}.")
    for client in same:
        if not version or version == client.version or version.startswith(f"{client.version}."):
            return client
    raise UsageError(
        f"{name} {version} was not observed.",
        hint=f"Observed are: {', '.join(f'{client.name}@{client.version}' for client in same)}.",
    )
