"""Who a gateway credential belongs to, answered from memory.

The gateway asks twice per request and must not wait for a database (G-06: database trouble is never a 401). So
keys and ended sign-ins live in a snapshot, filled at start and corrected whenever the control plane publishes a
:class:`~keystead.server.changes.Change`. A change is applied by reading the row again, never from the message
itself, so that changes arriving in any order leave the snapshot equal to the database.

A change of another process may never be heard of. :meth:`SnapshotDirectory.refresh` finds it by its time instead.
What is read replaces what was known and is never cleared before: a database that fails midway takes nobody's key.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from keystead.clock import Clock
from keystead.server.changes import Change, Changes
from keystead.server.policy import Principal

OVERLAP_SECONDS: Final = 600.0
"""How far before the last look the next one begins.

A change is stamped by the process that makes it, whose clock may be behind, and is seen once it is committed.
"""
_VERIFIED_AT_MOST: Final = 65_536
_SAYING_NOTHING: Final = frozenset(
    {"client", "group", "ledger", "limit", "member_address", "policy", "suspension", "switches", "upstream"}
)
"""Changes that say nothing about whose a credential is."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The control plane's answers, as functions; each reads the database or verifies a signature.

    Attributes:
        all_keys: every usable API key as (SHA-256 of the key, its principal).
        key: the same for one key identifier, or None when it is not usable.
        keys_of: the same for one member identifier.
        keys_changed_since: every API key that was created, was revoked, or whose owner changed at that moment (Unix
            seconds) or later, as (SHA-256 of the key, its principal, whether it is usable).
        public_keys: what access tokens are verified with.
        verify: the principal of an access token whose signature, issuer, audience and time hold, or None; it is
            called on the event loop, so all it may need is in its arguments.
        ended_grants: identifiers of sign-ins that ended while their access tokens may still be valid.
        grant_is_live: whether one sign-in may still be used.
    """

    all_keys: Callable[[], Iterable[tuple[bytes, Principal]]]
    key: Callable[[str], tuple[bytes, Principal] | None]
    keys_of: Callable[[str], Iterable[tuple[bytes, Principal]]]
    keys_changed_since: Callable[[float], Iterable[tuple[bytes, Principal, bool]]]
    public_keys: Callable[[float], Mapping[str, Any]]
    verify: Callable[[str, float, Mapping[str, Any]], Principal | None]
    ended_grants: Callable[[float], set[str]]
    grant_is_live: Callable[[str], bool]


class SnapshotDirectory:
    """The gateway's directory over :class:`Truth`."""

    def __init__(self, truth: Truth, clock: Clock, changes: Changes) -> None:
        self._truth = truth
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[bytes, Principal] = {}
        self._digests: dict[str, bytes] = {}
        self._looked_at = 0.0
        self._ended: set[str] = set()
        self._public_keys: Mapping[str, Any] = {}
        self._verified: OrderedDict[bytes, Principal] = OrderedDict()
        self._unsubscribe = changes.subscribe(self._apply)
        self._load()

    def close(self) -> None:
        """Stop listening."""
        self._unsubscribe()

    def refresh(self) -> None:
        """Read again what other processes may have changed: signing keys, sign-ins that ended, and API keys.

        Of the API keys there may be very many; only those are read that changed since the last look, and a little
        before it.
        """
        with self._lock:
            now = self._clock.now()
            self._ended = self._truth.ended_grants(now)
            self._read_public_keys()
            since = min(self._looked_at, now) - OVERLAP_SECONDS  # the clock may have been put back
            for digest, principal, usable in self._truth.keys_changed_since(since):
                if usable:
                    self._put(digest, principal)
                else:
                    self._drop(principal.id)
            self._looked_at = now

    def by_key(self, digest: bytes) -> Principal | None:
        """Return the owner of the API key with that SHA-256, or None."""
        principal = self._keys.get(digest)
        return principal if principal is not None and self._in_time(principal) else None

    def by_bearer(self, token: bytes) -> Principal | None:
        """Return the owner of an access token, or None.

        A signature costs as much as two to nine whole requests, so a verified token is remembered by its hash
        until it expires or its sign-in ends.
        """
        name = sha256(token).digest()
        principal = self._verified.get(name) or self._verify(name, token)
        if principal is None or principal.id in self._ended or not self._in_time(principal):
            return None
        return principal

    def _verify(self, name: bytes, token: bytes) -> Principal | None:
        try:
            text = token.decode("ascii")
        except UnicodeDecodeError:
            return None
        principal = self._truth.verify(text, self._clock.now(), self._public_keys)
        if principal is not None:
            with self._lock:
                self._verified[name] = principal
                if len(self._verified) > _VERIFIED_AT_MOST:
                    self._verified.popitem(last=False)
        return principal

    def _in_time(self, principal: Principal) -> bool:
        return principal.expires_at is None or self._clock.now() < principal.expires_at

    def _load(self) -> None:
        with self._lock:
            now = self._clock.now()
            keys = dict(self._truth.all_keys())
            self._keys, self._digests = keys, {principal.id: digest for digest, principal in keys.items()}
            self._ended = self._truth.ended_grants(now)
            self._read_public_keys()
            self._looked_at = now

    def _read_public_keys(self) -> None:
        """Take the keys of now, and forget what a key that is gone has verified."""
        before, self._public_keys = self._public_keys, self._truth.public_keys(self._clock.now())
        if before.keys() - self._public_keys.keys():
            self._verified.clear()

    def _apply(self, change: Change) -> None:
        if change.subject == "api_key":
            self._reread_key(change.id)
        elif change.subject == "grant":
            self._reread_grant(change.id)
        elif change.subject == "member":
            self._reread_member(change.id)
        elif change.subject in {"signing_key", "service_account"}:
            self.refresh()
        elif change.subject not in _SAYING_NOTHING:
            self._load()

    def _reread_member(self, member_id: str) -> None:
        """Read one member's keys again, and which sign-ins have ended."""
        with self._lock:
            found = dict(self._truth.keys_of(member_id))
            for digest, principal in found.items():
                self._put(digest, principal)
            known = [(digest, one.id) for digest, one in self._keys.items() if one.member_id == member_id]
            for digest, key_id in known:
                if digest not in found:
                    self._drop(key_id)
            self._ended = self._truth.ended_grants(self._clock.now())

    def _reread_key(self, key_id: str) -> None:
        with self._lock:
            found = self._truth.key(key_id)
            if found is None:
                self._drop(key_id)
            else:
                self._put(*found)

    def _put(self, digest: bytes, principal: Principal) -> None:
        self._keys[digest] = principal
        self._digests[principal.id] = digest

    def _drop(self, key_id: str) -> None:
        self._keys.pop(self._digests.pop(key_id, b""), None)

    def _reread_grant(self, grant_id: str) -> None:
        with self._lock:
            if self._truth.grant_is_live(grant_id):
                self._ended.discard(grant_id)
            else:
                self._ended.add(grant_id)
