"""Where a setting's secret really is: ``file:/run/secrets/key`` instead of the key itself (R-27).

Settings of Keystead's own take a reference wherever they take a secret. The variables of the precedence table do
not: their values are what clients send, whoever reads them.
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
from keystead.stores.files import read_private

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
    scheme, _, rest = text.partition(":")
    if not rest:
        raise ConfigurationError(f"{name} is {scheme}: and names nothing.", hint=f"Write {SCHEMES[scheme].form}.")
    found = SCHEMES[scheme].read(rest, f"{name} ({scheme}:)", place)
    return found if isinstance(found, Secret) else clean(found, f"{name} ({scheme}:)")


def _file(rest: str, name: str, place: Place) -> str:
    path = place.home / rest[2:] if rest.startswith("~/") else Path(rest)
    if not path.is_absolute():
        raise ConfigurationError(f"{name} is not a whole path.", hint="Start it with / or ~/.")
    return _content(path, name, given=any(path.is_relative_to(one) for one in place.given))


def _systemd(rest: str, name: str, place: Place) -> str:
    directory = place.variables.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise ConfigurationError(
            f"{name} needs a service with credentials, and CREDENTIALS_DIRECTORY is not set.",
            hint="Add LoadCredential= to the unit, or use file: instead.",
        )
    if "/" in rest or rest in {".", ".."}:
        raise ConfigurationError(f"{name} is not the name of a credential.", hint="Name it as in LoadCredential=.")
    return _content(Path(directory) / rest, name, given=True)


def _content(path: Path, name: str, *, given: bool) -> str:
    data = _read_given(path) if given else read_private(path)
    if data is None:
        raise UnreadableFile(f"{path}, which {name} names, does not exist.", hint="Create it with mode 0600.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"{path} is not text at byte {error.start + 1}.", hint="Keep the secret in it.") from None


def _read_given(path: Path) -> bytes | None:
    """Read a file that the system put there for this process; others may not be able to change it."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_mode & _OTHERS_WRITE:
            raise UnreadableFile(
                f"{path} is not a file that only its owner can change.", hint=f"Run: chmod go-w {path}"
            )
        if os.name == "posix" and status.st_uid not in (os.geteuid(), 0):
            raise UnreadableFile(f"{path} belongs to another user.", hint="Have the system hand it to this user.")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise UnreadableFile(f"{path} cannot be read: {reason}.", hint="Make it readable for this user.") from None


def _environment(rest: str, name: str, place: Place) -> str:
    value = place.variables.get(rest)
    if not value:
        raise ConfigurationError(f"{name} names {rest}, which is not set.", hint=f"Set {rest}.")
    return value


def _command(rest: str, name: str, place: Place) -> Secret:
    from keystead.drivers import helper

    try:
        command = shlex.split(rest)
    except ValueError as error:
        raise ConfigurationError(f"{name} is not a command: {str(error).lower()}.", hint="Check its quotes.") from None
    return helper.run(command, name, place.cwd, place.variables, place.clock).secret


def _keyring(rest: str, name: str, place: Place) -> Secret:
    """Ask the keyring in a process of its own: one that waits for a person or a dead bus can be killed (R-08)."""
    from keystead.drivers import helper

    service, _, user = rest.rpartition("/")
    if not (service and user):
        raise ConfigurationError(f"{name} does not name service and user.", hint="Write keyring:SERVICE/USER.")
    command = (sys.executable, "-P", "-m", "keyring", "get", service, user)
    return helper.run(command, name, place.cwd, place.variables, place.clock, _PATIENCE).secret


def _descriptor(rest: str, name: str, place: Place) -> str:
    if not (rest.isascii() and rest.isdigit() and len(rest) < 5):
        raise ConfigurationError(f"{name} is not the number of a descriptor.", hint="Write it like fd:3.")
    end = place.clock.monotonic() + _PATIENCE
    data = b""
    try:
        while len(data) <= LONGEST and (left := end - place.clock.monotonic()) > 0:
            if not select.select([int(rest)], [], [], left)[0]:
                break
            chunk = os.read(int(rest), LONGEST)
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
        read: returns the content; a command's output has been checked already.
    """

    form: str
    sentence: str
    read: Callable[[str, str, Place], str | Secret]


SCHEMES: Final[Mapping[str, Scheme]] = {
    "env": Scheme("env:NAME", "another variable of the process", _environment),
    "exec": Scheme("exec:PROGRAM ARGUMENTS", "what a program prints; no shell, one line, at most a minute", _command),
    "fd": Scheme("fd:NUMBER", "an open descriptor, read to its end", _descriptor),
    "file": Scheme("file:/PATH", "a file that only its owner may read", _file),
    "keyring": Scheme("keyring:SERVICE/USER", "the operating system's keyring", _keyring),
    "systemd": Scheme("systemd:NAME", "a credential that systemd loaded for the service", _systemd),
}
"""Every sort of reference, by the word before its colon."""
