"""A profile of the vendor's SDKs and workload identity federation, in the order of those SDKs.

First the profile that ``ANTHROPIC_PROFILE`` names, then the federation variables, then the profile that is active on
disk. Only variables and the profile's configuration, which holds no secret, are read; the SDKs keep a person's OAuth
login in another file, which is never opened (the legal wall). The identity token is read when it is exchanged.
"""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from keystead.environment import Environment
from keystead.errors import ConfigurationError
from keystead.sources.candidate import Candidate, Facts, Source
from keystead.sources.configuration import Reading, require_trusted
from keystead.stores.files import read

PROFILE: Final = "ANTHROPIC_PROFILE"
DIRECTORY: Final = "ANTHROPIC_CONFIG_DIR"
RULE: Final = "ANTHROPIC_FEDERATION_RULE_ID"
ORGANIZATION: Final = "ANTHROPIC_ORGANIZATION_ID"
TOKEN: Final = "ANTHROPIC_IDENTITY_TOKEN"
TOKEN_FILE: Final = "ANTHROPIC_IDENTITY_TOKEN_FILE"
SERVICE_ACCOUNT: Final = "ANTHROPIC_SERVICE_ACCOUNT_ID"
WORKSPACE: Final = "ANTHROPIC_WORKSPACE_ID"
FILLING: Final = (RULE, ORGANIZATION, TOKEN_FILE, SERVICE_ACCOUNT, WORKSPACE)
"""What a profile takes from the environment where its file says nothing."""
POINTER: Final = "active_config"
BETA: Final = "oauth-2025-04-20"
"""Value of ``anthropic-beta`` without which the vendor's API does not take a federated token."""


def find_named(source: Source, facts: Facts) -> Candidate:
    """Look at the profile that the variable names; one that is not there is an error, as it is for the SDKs."""
    named = _reading(facts, PROFILE)
    require_trusted(named)
    if named.value is None:
        return source.absent(f"{PROFILE} is not set")
    from keystead.sources import anthropic_profile

    directory = _directory(facts)
    path = anthropic_profile.path_of(directory, named.value.text, named.value.name)
    return anthropic_profile.find(source, facts, path, named.value.name)


def find_active(source: Source, facts: Facts) -> Candidate:
    """Look at the profile that ``active_config`` names, else at ``default``."""
    directory = _directory(facts)
    pointed = pointed_at(directory)
    path = _profile_file(directory, "default")
    if pointed is None and not is_there(path) and _reading(facts, DIRECTORY).value is None:
        return source.absent(f"there is no default profile in {facts.environment.display(directory)}")
    from keystead.sources import anthropic_profile

    place = facts.environment.display(directory / POINTER)
    path = anthropic_profile.path_of(directory, pointed or "default", place)
    return anthropic_profile.find(source, facts, path, place if pointed else DIRECTORY)


def find_workload(source: Source, facts: Facts) -> Candidate:
    """Look at the federation variables: all that are needed, or an error that names the missing ones."""
    readings = {name: _reading(facts, name) for name in (RULE, TOKEN_FILE, TOKEN)}
    for reading in readings.values():
        require_trusted(reading)
    if not any(reading.value for reading in readings.values()):
        return source.absent(f"{RULE} is not set")
    missing = [name for name in (RULE, ORGANIZATION) if _reading(facts, name).value is None]
    if readings[TOKEN].value is None and readings[TOKEN_FILE].value is None:
        missing.append(TOKEN_FILE)
    if missing:
        return _incomplete(source, facts, missing)
    from keystead.sources import anthropic_profile

    candidate = anthropic_profile.from_variables(source, facts)
    ignored = (warning for reading in readings.values() for warning in reading.warnings)
    return replace(candidate, warnings=(*ignored, *candidate.warnings))


def _incomplete(source: Source, facts: Facts, missing: list[str]) -> Candidate:
    """Half a configuration is an error, unless a profile is there, which may take the other half from its file."""
    names = " and ".join(missing)
    directory = _directory(facts)
    profile = pointed_at(directory) or "default"
    if _reading(facts, PROFILE).value is not None or is_there(_profile_file(directory, profile)):
        return source.absent(f"{names} is not set; what is set may complete a profile")
    raise ConfigurationError(
        f"Workload identity federation is configured in part: {names} {'is' if len(missing) == 1 else 'are'} not set.",
        hint=f"Set {names}, or unset {RULE}, {TOKEN_FILE} and {TOKEN}.",
    )


def _reading(facts: Facts, name: str) -> Reading:
    return facts.configuration.variable(name)


def _directory(facts: Facts) -> Path:
    chosen = _reading(facts, DIRECTORY)
    require_trusted(chosen)
    if chosen.value is not None and not chosen.value.text.isprintable():
        raise ConfigurationError(f"{chosen.value.name} is not one line of text.", hint=f"Set {DIRECTORY} again.")
    return directory_of(facts.environment, chosen.value.text if chosen.value else None)


def directory_of(environment: Environment, chosen: str | None) -> Path:
    """Return where the SDKs keep profiles: what ``ANTHROPIC_CONFIG_DIR`` says, else the platform's place."""
    if chosen:
        return environment.cwd / chosen
    if environment.platform == "win32":
        return Path(environment.variables.get("APPDATA") or environment.home / "AppData/Roaming") / "Anthropic"
    return _usual(environment.home)


@lru_cache(maxsize=4)
def _usual(home: Path) -> Path:
    return home / ".config/anthropic"


@lru_cache(maxsize=8)
def _profile_file(directory: Path, name: str) -> Path:
    """Return the configuration of a profile; each decision asks for the same one."""
    return directory / "configs" / f"{name}.json"


@lru_cache(maxsize=4)
def _pointer(directory: Path) -> Path:
    return directory / POINTER


def is_there(path: Path) -> bool:
    """Whether ``path`` is a file, as far as this user may know."""
    try:
        return path.is_file()
    except OSError:  # a directory that may not be entered
        return False


def pointed_at(directory: Path) -> str | None:
    """Return the profile that the pointer file in ``directory`` names, or None."""
    try:
        return (read(_pointer(directory), lambda _: None) or b"").decode("utf-8").strip() or None
    except (OSError, ValueError):
        return None
