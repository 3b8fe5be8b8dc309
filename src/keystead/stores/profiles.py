"""Which of several accounts is meant: flag, variable, nearest directory binding, default; nothing global (R-04).

Every process decides for itself from what it was given and where it stands, so two terminals can be on two
accounts at once and no choice in one changes the other.
"""

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NoReturn

from keystead.clock import Clock
from keystead.credentials import Login, LoginKind
from keystead.environment import Environment
from keystead.errors import ConfigurationError, KeysteadError
from keystead.stores import DEFAULT_PROFILE, TokenStore
from keystead.stores.bindings import Bindings

VARIABLE: Final = "KEYSTEAD_PROFILE"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)


class SelectedBy(StrEnum):
    """What chose the profile, the first one that says something."""

    FLAG = "flag"
    VARIABLE = "variable"
    BINDING = "binding"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Selection:
    """A profile, and why it is this one.

    Attributes:
        place: where the choice stands, for people: ``--profile``, the variable, the bound directory.
        problem: why no profile can be used, such as a name that is none; None when all is well.
    """

    profile: str = DEFAULT_PROFILE
    by: SelectedBy = SelectedBy.DEFAULT
    place: str = ""
    problem: KeysteadError | None = None

    def to_json(self) -> dict[str, str | None]:
        """Return the shape of ``profile`` in ``--json`` outputs."""
        return {"name": self.profile, "selected_by": self.by, "place": self.place or None}

    def variables(self) -> dict[str, str]:
        """Return what makes a child process choose the same; what it sees for itself needs no saying."""
        return {VARIABLE: self.profile} if self.by is SelectedBy.FLAG else {}

    def __str__(self) -> str:
        match self.by:
            case SelectedBy.DEFAULT:
                return self.profile
            case SelectedBy.BINDING:
                return f"{self.profile} (bound to {self.place})"
            case _:
                return f"{self.profile} (chosen by {self.place})"


DEFAULT: Final = Selection()
"""What is meant where nothing says otherwise."""


def select(environment: Environment, clock: Clock, flag: str | None = None) -> Selection:
    """Choose; a choice that cannot be read or is no name is a problem and never another account.

    Args:
        environment: its variables, and its working directory for the bindings.
        clock: what a wait for a lock is measured with.
        flag: the value of ``--profile``, or None.
    """
    try:
        found = _first(environment, clock, flag)
    except KeysteadError as error:
        return Selection(by=SelectedBy.BINDING, place="bindings.json", problem=error)
    try:
        require_name(found.profile, found.place)
    except ConfigurationError as error:
        return Selection(found.profile, found.by, found.place, error)
    return found


def _first(environment: Environment, clock: Clock, flag: str | None) -> Selection:
    if flag is not None:
        return Selection(flag, SelectedBy.FLAG, "--profile")
    variable = environment.variables.get(VARIABLE)
    if variable:
        return Selection(variable, SelectedBy.VARIABLE, VARIABLE)
    bound = Bindings(environment.state_dir, clock).nearest(environment.cwd)
    if bound is not None:
        directory, profile = bound
        return Selection(profile, SelectedBy.BINDING, directory)
    return DEFAULT


def require_name(name: str, place: str) -> str:
    """Return ``name``, which becomes part of file names and of shell commands.

    Raises:
        ConfigurationError: it is not a name.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{place} does not name a profile.",
            hint="Use letters, digits and . _ @ - after a first letter or digit, at most 64 in all.",
        )
    return name


def view(store: TokenStore, selection: Selection) -> TokenStore:
    """Return ``store`` at the selected profile, or one that says what is wrong with the selection."""
    return store.at(selection.profile) if selection.problem is None else Unselected(store, selection.problem)


class Unselected:
    """A store while it is not known which profile is meant: nothing can be read or written but by name."""

    def __init__(self, store: TokenStore, problem: KeysteadError) -> None:
        self._store = store
        self._problem = problem

    @property
    def location(self) -> str:
        return self._store.location

    @property
    def profile(self) -> NoReturn:
        raise self._problem

    def at(self, profile: str) -> TokenStore:
        return self._store.at(profile)

    def still(self) -> "Unselected":
        return self

    def profiles(self) -> tuple[str, ...]:
        return self._store.profiles()

    def rename(self, profile: str) -> None:  # noqa: ARG002
        raise self._problem

    def load(self, kind: LoginKind) -> Login | None:  # noqa: ARG002
        raise self._problem

    def peek(self, kind: LoginKind) -> Login | None:  # noqa: ARG002
        raise self._problem

    def save(self, login: Login) -> Login:  # noqa: ARG002
        raise self._problem

    def restore(self, kind: LoginKind) -> Login:  # noqa: ARG002
        raise self._problem

    def forget(self, login: Login) -> None:  # noqa: ARG002
        raise self._problem

    def delete(self, kind: LoginKind) -> Login | None:  # noqa: ARG002
        raise self._problem

    def lock(self, kind: LoginKind, timeout: float) -> AbstractContextManager[None]:  # noqa: ARG002
        raise self._problem

    def notes(self) -> tuple[str, ...]:
        return ()


def bound_to(bindings: Mapping[str, str], profile: str) -> list[str]:
    """Return the directories bound to ``profile``."""
    return [directory for directory, bound in bindings.items() if bound == profile]
