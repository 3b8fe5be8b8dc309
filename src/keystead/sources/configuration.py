"""The settings files and the variables as one: which value counts, and where it stands.

Managed settings beat local, local beat project, project beat user, and every settings file beats the shell; an
empty value masks what is below it. Files that come with a repository are not trusted with anything that
decides which secret goes where (R-07): what they say about a guarded name is reported and does not count.
"""

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from keystead.credentials.provenance import Provenance, ProvenanceKind
from keystead.environment import Environment
from keystead.errors import PolicyDenied, UnreadableFile
from keystead.stores.files import read

if TYPE_CHECKING:
    from keystead.wire.settings import Setting, Settings


class Scope(StrEnum):
    """Whose file it is, in order of precedence."""

    MANAGED = "managed"
    LOCAL = "local"
    PROJECT = "project"
    USER = "user"


UNTRUSTED: Final = frozenset({Scope.LOCAL, Scope.PROJECT})
"""Scopes whose files lie in the working tree, where a clone can put them."""

COMMANDS: Final = frozenset({"apiKeyHelper", "awsAuthRefresh", "awsCredentialExport", "gcpAuthRefresh"})
"""Settings that are run; one in a project's file is run only after `keystead trust` (S-06, R-07)."""

GUARDED: Final = COMMANDS | frozenset(
    {
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_AWS_API_KEY",
        "ANTHROPIC_AWS_BASE_URL",
        "ANTHROPIC_AWS_WORKSPACE_ID",
        "ANTHROPIC_BASE_URL",
        "ANTHROPIC_BEDROCK_BASE_URL",
        "ANTHROPIC_BEDROCK_MANTLE_BASE_URL",
        "ANTHROPIC_CONFIG_DIR",
        "ANTHROPIC_CUSTOM_HEADERS",
        "ANTHROPIC_FEDERATION_RULE_ID",
        "ANTHROPIC_FOUNDRY_API_KEY",
        "ANTHROPIC_FOUNDRY_BASE_URL",
        "ANTHROPIC_FOUNDRY_RESOURCE",
        "ANTHROPIC_IDENTITY_TOKEN",
        "ANTHROPIC_IDENTITY_TOKEN_FILE",
        "ANTHROPIC_ORGANIZATION_ID",
        "ANTHROPIC_PROFILE",
        "ANTHROPIC_SERVICE_ACCOUNT_ID",
        "ANTHROPIC_VERTEX_BASE_URL",
        "ANTHROPIC_WORKSPACE_ID",
        "AWS_BEARER_TOKEN_BEDROCK",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "KEYSTEAD_API_KEY",
    }
)
"""Names that decide which secret goes where; only the shell, the user and the administrator may set them."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value and its place; hidden in ``repr`` because it may be a secret."""

    text: str = field(repr=False)
    provenance: Provenance

    @property
    def name(self) -> str:
        """What to call it in an error: the variable, and the file unless it is the process's own variable."""
        own = self.provenance.kind is ProvenanceKind.VARIABLE
        return self.provenance.name if own else f"{self.provenance.name} ({self.provenance})"


@dataclass(frozen=True, slots=True)
class Reading:
    """What all places say about one name.

    Attributes:
        value: the one that counts; None when unset or masked by an empty value.
        ignored: what untrusted files say about a guarded name.
        masked: whether a settings file sets it to nothing.
    """

    value: Value | None
    ignored: tuple[Provenance, ...] = ()
    masked: bool = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for each ignored place."""
        return tuple(f"{place} sets {place.name}; {_objection(place)}, so it is ignored" for place in self.ignored)


NOTHING: Final = Reading(None)


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """One settings file that exists: its settings, or what is wrong with it and in which line."""

    scope: Scope
    shown: str
    settings: "Settings | None"
    fault: UnreadableFile | None = None
    line: int | None = None

    @property
    def place(self) -> Provenance:
        """The file, and the line at fault."""
        return Provenance(ProvenanceKind.SETTINGS, "settings", self.shown, self.line)


@dataclass(frozen=True, slots=True)
class Configuration:
    """Every settings file that exists, highest precedence first, over the variables of the process.

    Attributes:
        faulty: the first file that cannot be understood: what it would say is unknown (fail closed).
    """

    environment: Environment
    files: tuple[SettingsFile, ...]
    faulty: SettingsFile | None = field(init=False, repr=False, compare=False)
    _mentioned: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        mentioned = (name for file in self.files if file.settings is not None for name in file.settings.env)
        object.__setattr__(self, "_mentioned", frozenset(mentioned))
        faulty = next((file for file in self.files if file.fault is not None), None)
        object.__setattr__(self, "faulty", faulty)

    @classmethod
    def read(cls, environment: Environment) -> "Configuration":
        """Read the settings files. A file that cannot be read becomes a fault, not an exception."""
        files = (_load(scope, path, environment) for scope, path in _places(environment))
        return cls(environment, tuple(file for file in files if file is not None))

    def without(self, names: Collection[str]) -> "Configuration":
        """Return what would be if nothing set ``names``: neither the process nor a settings file (B-04)."""
        variables = {name: text for name, text in self.environment.variables.items() if name not in names}
        files = tuple(replace(file, settings=_unset(file.settings, names)) for file in self.files)
        return Configuration(replace(self.environment, variables=variables), files)

    def variable(self, name: str) -> Reading:
        """Return what counts for the environment variable ``name``."""
        reading = NOTHING
        if name in self._mentioned:
            reading = self._read(name, [(file, file.settings.env) for file in self.files if file.settings is not None])
        text = self.environment.variables.get(name)
        if reading.value is not None or reading.masked or not text:
            return reading
        return replace(reading, value=Value(text, Provenance(ProvenanceKind.VARIABLE, name)))

    def setting(self, name: str) -> Reading:
        """Return what counts for the top-level setting ``name``.

        Raises:
            UnreadableFile: the value that counts is not a string.
        """
        return self._read(name, [(file, file.settings.members) for file in self.files if file.settings is not None])

    def _read(self, name: str, said: "list[tuple[SettingsFile, Mapping[str, Setting]]]") -> Reading:
        trusted: list[tuple[Provenance, object]] = []
        ignored: list[Provenance] = []
        for file, settings in said:
            setting = settings.get(name)
            if setting is None:
                continue
            place = Provenance(ProvenanceKind.SETTINGS, name, file.shown, setting.line)
            if name in GUARDED and file.scope in UNTRUSTED and not self._trusts(name, setting.value):
                ignored.append(place)
            else:
                trusted.append((place, setting.value))
        if not trusted:
            return Reading(None, tuple(ignored)) if ignored else NOTHING
        place, value = trusted[0]
        if not isinstance(value, str):
            raise UnreadableFile(f"{place}: {name} is not a string.", hint=f"Write {name} as a string in quotes.")
        return Reading(Value(value, place) if value else None, tuple(ignored), masked=not value)

    def _trusts(self, name: str, value: object) -> bool:
        """Whether the person said that this command of the project may run, as it stands."""
        if name not in COMMANDS or not isinstance(value, str):
            return False
        from keystead.stores.trust import Trust  # on demand: most projects have no command of their own

        return Trust(self.environment.state_dir).covers(self.environment.cwd, name, value)

    def variables(self) -> dict[str, str]:
        """Return the variables for a child: the process's own, overlaid by trusted settings files."""
        merged = dict(self.environment.variables)
        for file in reversed(self.files):
            if file.settings is not None and file.scope not in UNTRUSTED:
                merged.update({name: str(setting.value) for name, setting in file.settings.env.items()})
        return merged


def _unset(settings: "Settings | None", names: Collection[str]) -> "Settings | None":
    if settings is None:
        return None
    members = {name: setting for name, setting in settings.members.items() if name not in names}
    return replace(settings, members=members, env={k: v for k, v in settings.env.items() if k not in names})


def require_trusted(reading: Reading) -> None:
    """Refuse when the only place that says something is an untrusted one.

    Raises:
        PolicyDenied: naming the file and line, with the fix.
    """
    if reading.value is None and reading.ignored:
        place = reading.ignored[0]
        hint = f"If you trust it, move {place.name} to ~/.claude/settings.json or set it in your shell."
        if place.name in COMMANDS:
            hint = f"Read {place.name} there; if you trust it, run: keystead trust"
        raise PolicyDenied(f"{place} sets {place.name}, and {_objection(place)}.", hint=hint, move="you")


def _objection(place: Provenance) -> str:
    return "this command is not trusted here" if place.name in COMMANDS else "files of a project may not"


def _places(environment: Environment) -> Iterator[tuple[Scope, Path]]:
    """Yield the files to read, highest precedence first, each once."""
    drop_ins, managed, local, project, user = _paths(environment.managed_dir, environment.cwd, environment.agent_dir)
    yield from ((Scope.MANAGED, path) for path in _drop_ins(drop_ins))
    yield Scope.MANAGED, managed
    yield Scope.LOCAL, local
    if not _same(project.parent, environment.agent_dir):  # in the home directory it *is* the user's
        yield Scope.PROJECT, project
    yield Scope.USER, user


@lru_cache(maxsize=4)
def _paths(managed: Path, cwd: Path, agent: Path) -> tuple[Path, Path, Path, Path, Path]:
    """Return where drop-ins, managed, local, project and user settings are; a program asks for the same ones often."""
    project = cwd / ".claude"
    return (
        managed / "managed-settings.d",
        managed / "managed-settings.json",
        project / "settings.local.json",
        project / "settings.json",
        agent / "settings.json",
    )


def _same(one: Path, other: Path) -> bool:
    """Whether both are the same directory, links followed; where one does not exist there is nothing to confuse."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def _drop_ins(directory: Path) -> list[Path]:
    try:
        return sorted((path for path in directory.iterdir() if path.name.endswith(".json")), reverse=True)
    except OSError:
        return []


def _load(scope: Scope, path: Path, environment: Environment) -> SettingsFile | None:
    try:
        data = read(path, _require_regular)
        return None if data is None else _parse(scope, environment.display(path), data)
    except OSError as error:
        shown = environment.display(path)
        fault = UnreadableFile(
            f"{shown} cannot be read: {(error.strerror or 'unknown error').lower()}.",
            hint=f"Make {shown} readable for your user, or remove it.",
        )
        return SettingsFile(scope, shown, None, fault)


def _require_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, "it is not a regular file")


def _parse(scope: Scope, shown: str, data: bytes) -> SettingsFile:
    from keystead.wire import settings  # on demand: most start-ups on a build machine find no file

    try:
        return SettingsFile(scope, shown, settings.parse(data))
    except settings.MalformedSettings as error:
        fault = UnreadableFile(
            f"{shown}:{error.line} cannot be read as settings: {error.reason}.", hint=f"Correct line {error.line}."
        )
        return SettingsFile(scope, shown, None, fault, error.line)
