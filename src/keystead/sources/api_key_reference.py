"""``KEYSTEAD_API_KEY``: where an API key is kept, so that the key itself is in no environment (R-27).

It comes after ``ANTHROPIC_API_KEY``, which every client sends, and before ``apiKeyHelper``: it is the same key, named
by the same process. Nobody sets it but for Keystead, and so nobody is asked about it as about a key that lay around
(S-05).
"""

from _thread import allocate_lock  # what threading.Lock is, without the module's start-up time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from keystead.clock import Clock
from keystead.errors import ConfigurationError
from keystead.secret import Secret
from keystead.sources import base_url
from keystead.sources.candidate import Candidate, Facts, KeyReference, Source
from keystead.sources.configuration import Configuration, Value, require_trusted
from keystead.sources.variables import bound, check_own_token

if TYPE_CHECKING:
    from keystead.sources.references import Place

VARIABLE: Final = "KEYSTEAD_API_KEY"
LIFETIME: Final = 300.0
"""Seconds for which what a program or a keyring said is used again, in this process only."""


def find(source: Source, facts: Facts) -> Candidate:
    """Look at the variable; a file is looked at and not opened, nothing is run and nobody is asked (R-06)."""
    reading = facts.configuration.variable(VARIABLE)
    require_trusted(reading)
    if reading.value is None:
        return source.absent(f"{VARIABLE} is not set")
    value = reading.value
    _check(value, facts.configuration)
    scheme = value.text.partition(":")[0]
    found = source.found(f"{VARIABLE} names a place ({scheme}:); it is read when a key is needed", value.provenance)
    base = base_url.read(facts.configuration)
    candidate = bound(found, base)
    return replace(
        candidate,
        warnings=(*reading.warnings, *candidate.warnings),
        credential=KeyReference(value.text, value.name, custom=base.custom),
    )


def _check(value: Value, configuration: Configuration) -> None:
    from keystead.clock import SYSTEM_CLOCK
    from keystead.sources import references

    if not references.is_reference(value.text):
        forms = ", ".join(scheme.form for scheme in references.SCHEMES.values())
        raise ConfigurationError(
            f"{value.name} must say where the key is kept, and does not start with one of the known words.",
            hint=f"Use one of: {forms}. A key itself belongs in ANTHROPIC_API_KEY.",
        )
    references.look(value.text, value.name, place(configuration, SYSTEM_CLOCK))


def place(configuration: Configuration, clock: Clock) -> "Place":
    """Return what the reference is read against: the process and trusted settings files, never a project's."""
    from keystead.sources.references import Place

    environment = configuration.environment
    return Place(configuration.variables(), environment.home, environment.cwd, clock)


def variable_of(configuration: Configuration) -> str | None:
    """Return the variable that the reference names and that holds the key, if it does."""
    value = configuration.variable(VARIABLE).value
    scheme, _, name = value.text.partition(":") if value is not None else ("", "", "")
    return name if scheme == "env" else None


class ReferredKey:
    """The key behind a reference, kept in memory where asking again costs something or cannot be done.

    A file is read each time, so that a key that was changed there is used at once.
    """

    def __init__(self, configuration: Callable[[], Configuration], clock: Clock) -> None:
        self._configuration = configuration
        self._clock = clock
        self._lock = allocate_lock()
        self._kept: tuple[str, Secret, float] | None = None

    def read(self, reference: KeyReference, *, rejected: Secret | None = None) -> Secret:
        """Return the key.

        Args:
            reference: as :func:`find` found it.
            rejected: the key a server has just refused; it is read again unless another thread already has.

        Raises:
            KeysteadError: as :func:`keystead.sources.references.resolve`; or the key belongs to another server.
        """
        from keystead.sources import references

        with self._lock:
            kept = self._usable(reference.text, rejected)
            if kept is not None:
                return kept
            where = place(self._configuration(), self._clock)
            secret = references.resolve(reference.text, reference.name, where)
            check_own_token(secret, reference.name, custom=reference.custom)
            if references.SCHEMES[reference.text.partition(":")[0]].lasting:
                self._kept = reference.text, secret, self._clock.monotonic()
            return secret

    def _usable(self, text: str, rejected: Secret | None) -> Secret | None:
        if self._kept is None or self._kept[0] != text:
            return None
        once = text.startswith("fd:")  # it was read to its end
        fresh = self._clock.monotonic() - self._kept[2] < LIFETIME and self._kept[1] != rejected
        return self._kept[1] if once or fresh else None
