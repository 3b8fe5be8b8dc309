"""What the session is lent: the verbs of the command line, a voice, and this machine's client."""

from typing import Protocol

from keystead.client import Client
from keystead.environment import Environment


class Desk(Protocol):
    """The command line, as the session sees it. Whatever goes wrong in a verb has been said when it returns."""

    @property
    def environment(self) -> Environment: ...
    @property
    def profile(self) -> str:
        """The account in use, by name."""

    def client(self) -> Client:
        """Return the client that knows that a person can be asked."""

    def verb(self, *arguments: str) -> int:
        """Run a verb, such as ``login``, and return its exit code."""

    def model(self) -> str | None:
        """Return the model that settings or a variable name; None leaves the choice to the server."""

    def ask(self, question: str, model: str | None) -> None:
        """Stream the answer to the terminal.

        Raises:
            KeysteadError: there is no answer, and why.
            KeyboardInterrupt: the person pressed Ctrl-C; the request is closed.
        """

    def say(self, text: str) -> None:
        """Write a paragraph, fitted to the terminal and without control characters of others."""

    def table(self, rows: list[tuple[str, str]]) -> None:
        """Write labels and texts."""

    def fail(self, error: Exception) -> None:
        """Say what went wrong, and the fix."""

    def when(self, timestamp: float) -> str:
        """Return Unix seconds as people say it, such as ``in 5 minutes``."""
