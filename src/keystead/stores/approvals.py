"""Answers to "use this API key?", kept by salted fingerprint and origin (S-05, R-21)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from keystead.clock import Clock
from keystead.errors import ConfigurationError
from keystead.secret import Secret
from keystead.stores.files import Files
from keystead.stores.salted_entries import SaltedEntries

SCHEMA: Final = "keystead.approvals/1"


@dataclass(frozen=True, slots=True)
class Decision:
    """One answer.

    Attributes:
        fingerprint: 12 hex digits standing for the key.
        origin: where the key would be sent; the same key for another origin is asked again.
        decided_at: Unix seconds.
    """

    fingerprint: str
    origin: str
    accepted: bool
    decided_at: float

    @property
    def date(self) -> str:
        """The UTC day of the answer, ISO 8601."""
        from datetime import UTC, datetime

        return datetime.fromtimestamp(self.decided_at, UTC).date().isoformat()


class Approvals:
    """The answers in ``approvals.json`` of the state directory. Reading writes nothing."""

    def __init__(self, directory: Path, clock: Clock, files: Files | None = None) -> None:
        loss = "; keys will be asked about again."
        path = directory / "approvals.json"
        self._entries = SaltedEntries(path, SCHEMA, "decisions", _decision, loss, files)
        self._clock = clock

    @property
    def salt(self) -> bytes:
        """What fingerprints are salted with here; empty before the first answer."""
        return self._entries.read()[0]

    def fingerprint(self, key: Secret) -> str:
        """Return what stands for ``key`` here; the first one asked for makes the salt, and keeps it."""
        return key.fingerprint(self.salt or self._salted(b""))

    def decision(self, key: Secret, origin: str) -> Decision | None:
        """Return what was answered about ``key`` for ``origin``, or None when nobody was asked yet."""
        salt, decisions = self._entries.read()
        if not decisions:  # most machines; what makes a fingerprint takes longer to load than all of this
            return None
        fingerprint = key.fingerprint(salt)
        return next((one for one in decisions if (one.fingerprint, one.origin) == (fingerprint, origin)), None)

    def decide(self, key: Secret, origin: str, *, accepted: bool) -> Decision:
        """Remember an answer in place of an earlier one about the same key and origin."""
        with self._entries.lock(self._clock):
            salt, decisions = self._entries.read()
            salt = salt or self._entries.new_salt()
            return self._put(salt, decisions, Decision(key.fingerprint(salt), origin, accepted, self._clock.now()))

    def accept(self, fingerprint: str, origin: str, *, salt: bytes = b"") -> Decision:
        """Remember a yes about a key that need not be here yet, as when a container is built (R-21).

        Args:
            fingerprint: 12 hex digits.
            origin: where the key may be sent.
            salt: what the fingerprint was made with, when it was made elsewhere.

        Raises:
            ConfigurationError: without its salt the fingerprint stands for no key, or another salt is in use here.
        """
        kept = self._salted(salt) if salt else self.salt
        if not kept:
            raise ConfigurationError(
                "That fingerprint was not made here.",
                hint="Give its salt too, as keystead approve --list shows it where the fingerprint is from.",
            )
        with self._entries.lock(self._clock):
            _, decisions = self._entries.read()
            return self._put(kept, decisions, Decision(fingerprint, origin, True, self._clock.now()))

    def forget(self, fingerprint: str) -> bool:
        """Forget every answer about ``fingerprint``; tell whether there was one."""
        with self._entries.lock(self._clock):
            salt, decisions = self._entries.read()
            kept = [one for one in decisions if one.fingerprint != fingerprint]
            if len(kept) == len(decisions):
                return False
            self._entries.write(salt, kept)
            return True

    def all(self) -> tuple[Decision, ...]:
        """Return every answer, oldest first."""
        return tuple(sorted(self._entries.read()[1], key=lambda one: one.decided_at))

    def _salted(self, salt: bytes) -> bytes:
        """Settle on a salt, the one given or a new one, unless there is one already; return it."""
        with self._entries.lock(self._clock):
            kept, decisions = self._entries.read()
            if kept and salt and kept != salt:
                hint = f"Approve the key as it is seen here, or remove {self._entries.path}."
                raise ConfigurationError("Another salt is in use here.", hint=hint)
            if not kept:
                kept = salt or self._entries.new_salt()
                self._entries.write(kept, decisions)
            return kept

    def _put(self, salt: bytes, decisions: list[Decision], answer: Decision) -> Decision:
        others = [one for one in decisions if (one.fingerprint, one.origin) != (answer.fingerprint, answer.origin)]
        self._entries.write(salt, [*others, answer])
        return answer


def _decision(raw: dict[str, Any]) -> Decision:
    fingerprint, origin, accepted, at = raw["fingerprint"], raw["origin"], raw["accepted"], raw["decided_at"]
    if not (isinstance(fingerprint, str) and isinstance(origin, str) and isinstance(accepted, bool)):
        raise TypeError("decision")
    return Decision(fingerprint, origin, accepted, float(at))
