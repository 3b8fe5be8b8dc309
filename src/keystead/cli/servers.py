"""Which server to sign in to: the first place that names one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from keystead.cli.surroundings import Surroundings
from keystead.credentials import LoginKind
from keystead.errors import ConfigurationError, KeysteadError
from keystead.sources.configuration import Configuration, Scope
from keystead.wire import urls

DEFAULT: Final = "http://127.0.0.1:8420"
VARIABLE: Final = "KEYSTEAD_SERVER"
FORCED: Final = "forceLoginGatewayUrl"


@dataclass(frozen=True, slots=True)
class ServerChoice:
    """A base address, and the place that named it."""

    url: str
    place: str


def choose(surroundings: Surroundings, given: str | None) -> ServerChoice:
    """Return the server: ``--server``, the variable, an administrator's setting, the last one used, this machine.

    Raises:
        ConfigurationError: the first place that names one names no usable address.
    """
    places: tuple[Callable[[], ServerChoice | None], ...] = (
        lambda: ServerChoice(given, "--server") if given is not None else None,
        lambda: _variable(surroundings),
        lambda: _forced(surroundings),
        lambda: _last_used(surroundings),
    )
    found = next((choice for place in places if (choice := place()) is not None), ServerChoice(DEFAULT, "default"))
    try:
        return ServerChoice(urls.base(found.url), found.place)
    except ValueError as error:
        raise ConfigurationError(
            f"The server address from {found.place} cannot be used: {error}.",
            hint="Write it as https://keys.example.com, or http://127.0.0.1:8420 for this machine.",
        ) from None


def _variable(surroundings: Surroundings) -> ServerChoice | None:
    value = surroundings.environment.variables.get(VARIABLE)
    return ServerChoice(value, VARIABLE) if value else None


def _forced(surroundings: Surroundings) -> ServerChoice | None:
    """Only managed settings can force a server: a user's own file cannot, let alone a repository's."""
    for file in Configuration.read(surroundings.environment).files:
        if file.scope is not Scope.MANAGED:
            continue
        if file.fault is not None:  # what it would force is unknown, so nothing else may decide
            raise file.fault
        setting = file.settings.members.get(FORCED) if file.settings is not None else None
        if setting is not None:
            return ServerChoice(str(setting.value), f"{FORCED} in {file.shown}:{setting.line}")
    return None


def _last_used(surroundings: Surroundings) -> ServerChoice | None:
    for kind in LoginKind:
        try:
            login = surroundings.store.load(kind)
        except KeysteadError:  # a damaged store must not keep anyone from signing in anew
            return None
        if login is not None:
            return ServerChoice(login.issuer, "the last sign-in")
    return None
