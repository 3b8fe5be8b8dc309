"""Everything a command needs from outside, as one value; tests build their own."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from keystead.client import Client
from keystead.clock import SYSTEM_CLOCK, Clock
from keystead.environment import Environment
from keystead.sources.login_store import open_store, settle
from keystead.stores import TokenStore, profiles
from keystead.stores.profiles import Selection

if TYPE_CHECKING:
    from keystead.drivers.transport import Transport


class OpenAddress(Protocol):
    """Starts a browser; returns whether one was started."""

    def __call__(self, url: str, environment: Environment) -> bool: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What commands work with.

    Attributes:
        store: the sign-ins of the selected profile.
        network: makes the transport; called only when something must be sent.
        random_bytes: ``secrets.token_bytes``.
        open_address: starts the browser.
        stdin: descriptor that lines are read from while something is waited for; None reads nothing.
        to_terminal: writes a control sequence to the terminal, whatever standard output is.
        selection: which profile, and why.
        interactive: whether a person sits at a prompt and can be asked about an API key (S-05).
    """

    environment: Environment
    store: TokenStore
    clock: Clock
    network: "Callable[[], Transport]"
    random_bytes: Callable[[int], bytes]
    open_address: OpenAddress
    stdin: int | None = 0
    to_terminal: Callable[[str], None] = lambda text: _to_terminal(text)
    selection: Selection = profiles.DEFAULT
    interactive: bool = False

    @classmethod
    def real(cls) -> "Surroundings":
        """Return those of this process."""
        environment = Environment.capture()
        store = open_store(environment, SYSTEM_CLOCK)
        return cls(environment, store, SYSTEM_CLOCK, _network, _random_bytes, _open_address)

    def for_profile(self, name: str | None) -> "Surroundings":
        """Return these surroundings on the profile ``name``, or with None on the one meant here (R-04)."""
        selection = profiles.select(self.environment, self.clock, name)
        return replace(self, store=profiles.view(self.store, selection), selection=selection)

    def settled(self) -> "Surroundings":
        """Return these surroundings with a store that somebody chose, or that is chosen now, for the first sign-in."""
        chosen = settle(self.environment, self.clock)
        return self if chosen is None else replace(self, store=profiles.view(chosen, self.selection))

    @property
    def at_prompt(self) -> bool:
        """Whether a person can type here and read the answer."""
        return self.environment.stdin_tty and self.environment.stdout_tty

    def client(self) -> Client:
        """Return the library's client in these surroundings."""
        notice = (lambda text: self.to_terminal(f"{text}\n")) if self.environment.stderr_tty else None
        return Client(
            self.environment, self.store, self.network, self.clock, interactive=self.interactive, notice=notice
        )


def _network() -> "Transport":
    from keystead.drivers.transport import HttpTransport

    return HttpTransport()


def _to_terminal(sequence: str) -> None:
    import sys

    sys.stderr.write(sequence)
    sys.stderr.flush()


def _random_bytes(count: int) -> bytes:
    import secrets

    return secrets.token_bytes(count)


def _open_address(url: str, environment: Environment) -> bool:
    from keystead.drivers.browser import open_address

    return open_address(url, environment)
