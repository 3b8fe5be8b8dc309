"""The ``apiKeyHelper`` setting: a command that prints a key. Looking at it does not run it."""

from dataclasses import replace
from typing import Final

from keystead.credentials import Header
from keystead.sources import base_url
from keystead.sources.candidate import Candidate, Facts, HelperCommand, Source
from keystead.sources.configuration import Configuration, require_trusted
from keystead.sources.variables import bound

SETTING: Final = "apiKeyHelper"
LIFETIME_VARIABLE: Final = "CLAUDE_CODE_API_KEY_HELPER_TTL_MS"
DEFAULT_LIFETIME: Final = 300.0
FORBIDDEN_VARIABLE: Final = "KEYSTEAD_API_KEY_HELPER_ON_403"


def find(source: Source, facts: Facts) -> Candidate:
    """Look for the setting; a command from a project's own files is refused, never run (R-07)."""
    reading = facts.configuration.setting(SETTING)
    require_trusted(reading)
    if reading.value is None or not reading.value.text.strip():
        return source.absent(f"{SETTING} is not set")
    base = base_url.read(facts.configuration)
    candidate = bound(
        source.found("a command is configured; it runs when a key is needed", reading.value.provenance), base
    )
    return replace(
        candidate,
        header=Header.AUTHORIZATION if base.custom else Header.X_API_KEY,
        warnings=(*reading.warnings, *candidate.warnings),
        credential=HelperCommand(reading.value.text, lifetime(facts.configuration), refusals(facts.configuration)),
    )


def lifetime(configuration: Configuration) -> float:
    """Return for how many seconds the output may be used again; anything but a whole number >= 0 means 5 minutes."""
    value = configuration.variable(LIFETIME_VARIABLE).value
    if value is None or not (value.text.isascii() and value.text.isdigit()):
        return DEFAULT_LIFETIME
    return int(value.text[:15]) / 1000


def refusals(configuration: Configuration) -> frozenset[int]:
    """Return the statuses upon which the command is run once more: 401, and 403 where that is asked for.

    403 is mostly a question of rights, which no new key answers; some gateways send it for a key that has ended.
    """
    value = configuration.variable(FORBIDDEN_VARIABLE).value
    asked = value is not None and value.text.strip().lower() in {"1", "true", "yes", "on"}
    return frozenset({401, 403}) if asked else frozenset({401})
