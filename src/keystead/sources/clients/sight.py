"""What another client sees on this machine: variables, settings files, and files of its own by their presence.

Unlike :mod:`keystead.sources.configuration`, which it reads through, nothing is guarded here: these clients let
a project's files decide too, and that is what has to be told.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from keystead.credentials.provenance import Provenance, ProvenanceKind
from keystead.sources import vendor
from keystead.sources.configuration import UNTRUSTED, Configuration, Scope, SettingsFile, Value

if TYPE_CHECKING:
    from keystead.wire.settings import Setting, Settings

_LARGEST: Final = 64 << 20
_REMEMBERED: Final = 20


@dataclass(frozen=True)
class Sight:
    """The eyes of another client.

    Attributes:
        configuration: the settings files and the process's variables.
        interactive: whether a person sits in front of it; else it was started with ``-p``.
        bare: whether it was started with ``--bare``.
        given: the settings of its command line.
    """

    configuration: Configuration
    interactive: bool = False
    bare: bool = False
    given: SettingsFile | None = None

    @property
    def files(self) -> tuple[SettingsFile, ...]:
        """Its settings files: managed > command-line flag > local > project > user."""
        files = self.configuration.files
        if self.given is None:
            return files
        managed = tuple(file for file in files if file.scope is Scope.MANAGED)
        return (*managed, self.given, *files[len(managed) :])

    def own(self, name: str) -> str | None:
        """Return the variable ``name`` of the process alone."""
        return self.configuration.environment.variables.get(name)

    def variable(self, name: str) -> Value | None:
        """Return what counts for a variable: settings beat the shell, and an empty value masks."""
        found = self._first(name, lambda settings: settings.env)
        if found is None:
            text = self.own(name)
            found = None if text is None else Value(text, Provenance(ProvenanceKind.VARIABLE, name))
        return found if found is not None and found.text else None

    def setting(self, name: str) -> Value | None:
        """Return what counts for a top-level setting that is a string; empty masks."""
        found = self._first(name, lambda settings: settings.members)
        return found if found is not None and found.text else None

    def managed(self, name: str) -> Value | None:
        """Return a managed setting, whatever its type, as text; None when it is not set or says nothing."""
        for file in self.files:
            if file.scope is Scope.MANAGED and file.settings is not None and name in file.settings.members:
                setting = file.settings.members[name]
                place = Provenance(ProvenanceKind.SETTINGS, name, file.shown, setting.line)
                return Value(str(setting.value), place) if setting.value else None
        return None

    def from_project(self, value: Value) -> bool:
        """Whether a file of the project set it."""
        shown = {file.shown for file in self.files if file.scope in UNTRUSTED}
        return value.provenance.path in shown

    def from_flag(self, value: Value) -> bool:
        """Whether the settings of the command line set it."""
        return self.given is not None and value.provenance.path == self.given.shown

    @property
    def unreadable(self) -> SettingsFile | None:
        """The first settings file that exists and cannot be understood."""
        return next((file for file in self.files if file.fault is not None), None)

    @property
    def stored_login(self) -> str | None:
        """Where the client keeps its login, if that file is there; it is never opened (the legal wall)."""
        path = self.configuration.environment.agent_dir / vendor.FILE
        return self.configuration.environment.display(path) if _exists(path) else None

    @property
    def state_place(self) -> Path:
        """The client's own notes: which keys were approved, and the key of a console login. It holds no OAuth token."""
        environment = self.configuration.environment
        chosen = environment.variables.get("CLAUDE_CONFIG_DIR")
        return (environment.agent_dir if chosen else environment.home) / ".claude.json"

    @cached_property
    def _state(self) -> Mapping[str, Any]:
        import json

        try:
            if self.state_place.stat().st_size > _LARGEST:
                return {}
            document = json.loads(self.state_place.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return document if isinstance(document, dict) else {}

    @property
    def console_key(self) -> str | None:
        """Where a key minted at console login is kept, if there is one; its value is not looked at."""
        key = self._state.get("primaryApiKey")
        here = isinstance(key, str) and bool(key)
        return self.configuration.environment.display(self.state_place) if here else None

    def approved(self, key: str) -> bool | None:
        """Return the person's answer about an API key, remembered by its last 20 characters; None before it."""
        answers = self._state.get("customApiKeyResponses")
        if not isinstance(answers, dict):
            return None
        for name, answer in (("approved", True), ("rejected", False)):
            listed = answers.get(name)
            if isinstance(listed, list) and key.strip()[-_REMEMBERED:] in listed:
                return answer
        return None

    def _first(self, name: str, part: "Callable[[Settings], Mapping[str, Setting]]") -> Value | None:
        for file in self.files:
            setting = part(file.settings).get(name) if file.settings is not None else None
            if setting is not None and isinstance(setting.value, str):
                return Value(setting.value, Provenance(ProvenanceKind.SETTINGS, name, file.shown, setting.line))
        return None


def custom_headers(text: str) -> list[tuple[str, str]]:
    """Return the headers in ``ANTHROPIC_CUSTOM_HEADERS``: one a line, name and value around the first colon."""
    pairs = (line.partition(":") for line in text.split("\n"))
    return [(name.strip(), value.strip()) for name, colon, value in pairs if colon]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False
