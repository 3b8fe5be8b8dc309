"""Where a setting's secret really is: ``file:/run/secrets/key`` instead of the key itself (R-27).

Settings of Keystead's own take a reference wherever they take a secret, ``KEYSTEAD_API_KEY`` takes nothing else. The
other variables of the precedence table take none: their values are what clients send, whoever reads them.
"""

import os
import select
import shlex
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from keystead.clock import Clock
from keystead.credentials.lint import LONGEST, clean
from keystead.errors import ConfigurationError, UnreadableFile
from keystead.secret import Secret
from keystead.stores.files import read, require_private

_PATIENCE: Final = 5.0
"""Seconds for a keyring or a descriptor to answer."""
_OTHERS_WRITE: Final = 0o022
_DOCKER_SECRETS: Final = Path("/run/secrets")


@dataclass(frozen=True, slots=True)
class Place:
    """What a reference is read against.

    Attributes:
        variables: of the process.
        home: stands for ``~``.
        cwd: where ``exec:`` runs.
        given: directories whose files the system hands to this process, so that their mode is its business.
    """

    variables: Mapping[str, str] = field(repr=False)
    home: Path
    cwd: Path
    clock: Clock
    given: tuple[Path, ...] = (_DOCKER_SECRETS,)


def is_reference(text: str) -> bool:
    """Whether ``text`` names a place; no key of any vendor starts like one."""
    return text.startswith(tuple(f"{scheme}:" for scheme in SCHEMES))


def look(text: str, name: str, place: Place) -> None:
    """Check all of a reference that can be checked without opening, running or asking anything (R-06).

    Raises:
        KeysteadError: as :func:`resolve`, as far as it can be known.
    """
    scheme, rest = _parts(text, name)
    scheme.look(rest, f"{name} ({text.partition(':')[0]}:)", place)


def resolve(text: str, name: str, place: Place) -> Secret:
    """Return the secret that ``text`` refers to.

    Args:
        text: a reference.
        name: of the setting, for errors.
        place: what it is read against.

    Raises:
        ConfigurationError: it names no place, the place holds nothing, or what it holds cannot be sent.
        UnreadableFile: others may read the file, or it belongs to somebody else.
        HelperFailed: the command did not print one secret.
    """
    scheme, rest = _parts(text, name)
    name = f"{name} ({text.partition(':')[0]}:)"
    found = scheme.read(rest, name, place)
    return found if isinstance(found, Secret) else clean(found, name)


def _parts(text: str, name: str) -> "tuple[Scheme, str]":
    word, _, rest = text.partition(":")
    if not rest:
        raise ConfigurationError(f"{name} is {word}: and names nothing.", hint=f"Write {SCHEMES[word].form}.")
    return SCHEMES[word], rest


@dataclass(frozen=True, slots=True)
class _Document:
    """A file that holds a secret.

    Attributes:
        given: whether the system put it there for this process; then others may not be able to change it.
    """

    path: Path
    name: str
    given: bool

    def look(self) -> None:
        """Check type, mode and owner without opening it."""
        try:
            self._require(self.path.stat())
        except (FileNotFoundError, NotADirectoryError):
            raise self._missing() from None
        except OSError as error:
            raise self._unreadable(error) from None

    def read(self) -> str:
        """Return its text."""
        try:
            data = read(self.path, self._require)
        except OSError as error:
            raise self._unreadable(error) from None
        if data is None:
            raise self._missing()
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            message = f"{self.path} is not text at byte {error.start + 1}."
            raise UnreadableFile(message, hint="Keep the secret in it.") from None

    def _require(self, status: os.stat_result) -> None:
        if not self.given:
            require_private(self.path, status)
        elif not stat.S_ISREG(status.st_mode) or status.st_mode & _OTHERS_WRITE:
            message = f"{self.path} is not a file that only its owner can change."
            raise UnreadableFile(message, hint=f"Run: chmod go-w {self.path}")
        elif sys.platform != "win32" and status.st_uid not in (os.geteuid(), 0):
            message = f"{self.path} belongs to another user."
            raise UnreadableFile(message, hint="Have the system hand it to this user.")

    def _missing(self) -> UnreadableFile:
        message = f"{self.path}, which {self.name} names, does not exist."
        return UnreadableFile(message, hint="Create it with mode 0600.")

    def _unreadable(self, error: OSError) -> UnreadableFile:
        reason = (error.strerror or type(error).__name__).lower()
        return UnreadableFile(f"{self.path} cannot be read: {reason}.", hint="Make it readable for this user.")


def _file(rest: str, name: str, place: Place) -> _Document:
    path = place.home / rest[2:] if rest.startswith("~/") else Path(rest)
    if not path.is_absolute():
        raise ConfigurationError(f"{name} is not a whole path.", hint="Start it with / or ~/.")
    return _Document(path, name, any(path.is_relative_to(one) for one in place.given))


def _systemd(rest: str, name: str, place: Place) -> _Document:
    directory = place.variables.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise ConfigurationError(
            f"{name} needs a service with credentials, and CREDENTIALS_DIRECTORY is not set.",
            hint="Add LoadCredential= to the unit, or use file: instead.",
        )
    if "/" in rest or rest in {".", ".."}:
        raise ConfigurationError(f"{name} is not the name of a credential.", hint="Name it as in LoadCredential=.")
    return _Document(Path(directory) / rest, name, given=True)


def _environment(rest: str, name: str, place: Place) -> str:
    value = place.variables.get(rest)
    if not value:
        raise ConfigurationError(f"{name} names {rest}, which is not set.", hint=f"Set {rest}.")
    return value


def _words(rest: str, name: str) -> list[str]:
    try:
        return shlex.split(rest)
    except ValueError as error:
        raise ConfigurationError(f"{name} is not a command: {str(error).lower()}.", hint="Check its quotes.") from None


def _command(rest: str, name: str, place: Place) -> Secret:
    from keystead.drivers import helper

    return helper.run(_words(rest, name), name, place.cwd, place.variables, place.clock).secret


def _item(rest: str, name: str) -> tuple[str, str]:
    service, _, user = rest.rpartition("/")
    if not (service and user):
        raise ConfigurationError(f"{name} does not name service and user.", hint="Write keyring:SERVICE/USER.")
    return service, user


def _keyring(rest: str, name: str, place: Place) -> Secret:
    """Ask the keyring in a process of its own: one that waits for a person or a dead bus can be killed (R-08)."""
    from keystead.drivers import helper

    command = (sys.executable, "-P", "-m", "keyring", "get", *_item(rest, name))
    return helper.run(command, name, place.cwd, place.variables, place.clock, _PATIENCE).secret


def _number(rest: str, name: str) -> int:
    if not (rest.isascii() and rest.isdigit() and len(rest) < 5):
        raise ConfigurationError(f"{name} is not the number of a descriptor.", hint="Write it like fd:3.")
    return int(rest)


def _descriptor(rest: str, name: str, place: Place) -> str:
    number = _number(rest, name)
    end = place.clock.monotonic() + _PATIENCE
    data = b""
    try:
        os.set_inheritable(number, False)  # no program that is started later can read it again
        while len(data) <= LONGEST and (left := end - place.clock.monotonic()) > 0:
            if not select.select([number], [], [], left)[0]:
                break
            chunk = os.read(number, LONGEST)
            if not chunk:
                return data.decode("utf-8", "replace")
            data += chunk
    except (OSError, ValueError):
        raise ConfigurationError(f"{name} names a descriptor that cannot be read.", hint="Open it first.") from None
    raise ConfigurationError(f"{name} did not end in {_PATIENCE:g} s, or is too long.", hint="Close its other end.")


@dataclass(frozen=True, slots=True)
class Scheme:
    """One sort of place.

    Attributes:
        form: how it is written.
        sentence: documentation.
        look: raises what is wrong with it as far as can be known without side effects.
        read: returns the content; a command's output has been checked already.
        lasting: whether what was read stays good while a process lives: asking again costs, or cannot be done.
    """

    form: str
    sentence: str
    look: Callable[[str, str, Place], object]
    read: Callable[[str, str, Place], str | Secret]
    lasting: bool = False


SCHEMES: Final[Mapping[str, Scheme]] = {
    "env": Scheme("env:NAME", "another variable of the process", _environment, _environment),
    "exec": Scheme(
        "exec:PROGRAM ARGUMENTS",
        "what a program prints; no shell, one line, at most a minute",
        lambda rest, name, _: _words(rest, name),
        _command,
        lasting=True,
    ),
    "fd": Scheme(
        "fd:NUMBER",
        "an open descriptor, read to its end",
        lambda rest, name, _: _number(rest, name),
        _descriptor,
        lasting=True,
    ),
    "file": Scheme(
        "file:/PATH",
        "a file that only its owner may read",
        lambda *where: _file(*where).look(),
        lambda *where: _file(*where).read(),
    ),
    "keyring": Scheme(
        "keyring:SERVICE/USER",
        "the operating system's keyring",
        lambda rest, name, _: _item(rest, name),
        _keyring,
        lasting=True,
    ),
    "systemd": Scheme(
        "systemd:NAME",
        "a credential that systemd loaded for the service",
        lambda *where: _systemd(*where).look(),
        lambda *where: _systemd(*where).read(),
    ),
}
"""Every sort of reference, by the word before its colon."""
