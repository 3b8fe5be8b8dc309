"""Commands of a project that a person trusts, kept outside the project (R-07).

One entry per directory and setting: the real path, the name of the setting, and a salted hash of the command as it
was read when it was trusted. A command that changes is a new command and must be trusted again. The hash covers
the command as written, not the programs it runs.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from keystead.clock import Clock
from keystead.stores.files import Files
from keystead.stores.salted_entries import SaltedEntries

SCHEMA: Final = "keystead.trust/1"


@dataclass(frozen=True, slots=True)
class Trusted:
    """One trusted command.

    Attributes:
        directory: real path of the project.
        name: the setting, such as ``apiKeyHelper``.
        digest: salted SHA-256 of the command, hexadecimal; people put keys into commands, so it is not kept itself.
        trusted_at: Unix seconds.
    """

    directory: str
    name: str
    digest: str
    trusted_at: float


class Trust:
    """The trusted commands in ``trust.json`` of the state directory. Reading writes nothing."""

    def __init__(self, directory: Path, files: Files | None = None) -> None:
        loss = ", then run keystead trust again where needed."
        self._entries = SaltedEntries(directory / "trust.json", SCHEMA, "trusted", _trusted, loss, files)

    def covers(self, directory: Path, name: str, command: str) -> bool:
        """Whether exactly this ``command`` of the setting ``name`` is trusted in ``directory``.

        Raises:
            UnreadableFile: what is trusted cannot be read, so nothing may be assumed.
        """
        salt, entries = self._entries.read()
        mine = [one for one in entries if (one.directory, one.name) == (os.path.realpath(directory), name)]
        return any(one.digest == _digest(salt, command) for one in mine)

    def grant(self, directory: Path, commands: Mapping[str, str], clock: Clock) -> tuple[Trusted, ...]:
        """Trust ``commands``, by name of the setting, in place of all that was trusted in ``directory`` before."""
        real = os.path.realpath(directory)
        with self._entries.lock(clock):
            salt, entries = self._entries.read()
            salt = salt or self._entries.new_salt()
            new = tuple(Trusted(real, name, _digest(salt, text), clock.now()) for name, text in commands.items())
            self._entries.write(salt, [*(one for one in entries if one.directory != real), *new])
            return new

    def revoke(self, directory: Path, clock: Clock) -> bool:
        """Trust nothing in ``directory`` any more; tell whether there was something."""
        real = os.path.realpath(directory)
        with self._entries.lock(clock):
            salt, entries = self._entries.read()
            kept = [one for one in entries if one.directory != real]
            if len(kept) == len(entries):
                return False
            self._entries.write(salt, kept)
            return True

    def all(self) -> tuple[Trusted, ...]:
        """Return every trusted command, by directory and name."""
        return tuple(sorted(self._entries.read()[1], key=lambda one: (one.directory, one.name)))


def _digest(salt: bytes, command: str) -> str:
    import hashlib  # on demand, for the sake of start-up

    return hashlib.sha256(salt + command.encode("utf-8", "surrogatepass")).hexdigest()


def _trusted(raw: dict[str, Any]) -> Trusted:
    directory, name, digest, at = raw["directory"], raw["name"], raw["digest"], raw["trusted_at"]
    if not (isinstance(directory, str) and isinstance(name, str) and isinstance(digest, str)):
        raise TypeError("trusted")
    return Trusted(directory, name, digest, float(at))
