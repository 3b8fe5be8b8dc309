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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from keystead.clock import Clock
from keystead.server.changes import Change, Changes
from keystead.server.gateway import DirectoryUnavailable
from keystead.server.policy import Principal

OVERLAP_SECONDS: Final = 600.0
"""How far before the last look the next one begins.

A change is stamped by the process that makes it, whose clock may be behind, and is seen once it is committed.
"""
_VERIFIED_AT_MOST: Final = 65_536
UNSURE_SECONDS: Final = 60.0
"""Seconds without a look at the database after which a credential that is not known may be a new one."""

_SAYING_NOTHING: Final = frozenset(
    {"client", "group", "ledger", "limit", "member_address", "policy", "suspension", "switches", "terms", "upstream"}
)
"""Changes that say nothing about whose a credential is."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The control plane's answers, as functions; each reads the database or verifies a signature.

    Attributes:
        all_keys: every secret of every usable API key as (its SHA-256, the key's principal). A key has two while one
            replaces the other: the newer comes first, and the older has a principal that ends with it.
        key: the same for one key identifier; nothing when it is not usable.
        keys_of: the same for one member identifier.
        keys_changed_since: every API key that was created, was revoked, whose secrets changed, or whose owner did, at
            that moment (Unix seconds) or later, as (its identifier, the same for it).
        public_keys: what access tokens are verified with.
        verify: the principal of an access token whose signature, issuer, audience and time hold, or None; it is
            called on the event loop, so all it may need is in its arguments.
        ended_grants: identifiers of sign-ins that ended while their access tokens may still be valid.
        grant_is_live: whether one sign-in may still be used.
    """

    all_keys: Callable[[], Iterable[tuple[bytes, Principal]]]
    key: Callable[[str], Sequence[tuple[bytes, Principal]]]
    keys_of: Callable[[str], Iterable[tuple[bytes, Principal]]]
    keys_changed_since: Callable[[float], Iterable[tuple[str, Sequence[tuple[bytes, Principal]]]]]
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
        self._old: dict[str, bytes] = {}
        self._watched: set[bytes] = set()
        self._used: dict[bytes, float] = {}
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
            for key_id, secrets in self._truth.keys_changed_since(since):
                self._hold(key_id, secrets)
            self._forget_ended()
            self._looked_at = now

    def by_key(self, digest: bytes) -> Principal | None:
        """Return the owner of the API key that has a secret with that SHA-256, or None.

        Raises:
            DirectoryUnavailable: it is not known here, and what is has not been read again for a while.
        """
        principal = self._keys.get(digest)
        if principal is None:
            self._be_sure()
            return None
        if not self._in_time(principal):
            return None
        if digest in self._watched:
            self._used[digest] = self._clock.now()
        return principal

    def take_used(self) -> dict[bytes, float]:
        """Return when secrets of keys with two were used (Unix seconds) since this was last asked."""
        used, self._used = self._used, {}
        return used

    def by_bearer(self, token: bytes) -> Principal | None:
        """Return the owner of an access token, or None.

        A signature costs as much as two to nine whole requests, so a verified token is remembered by its hash
        until it expires or its sign-in ends.

        Raises:
            DirectoryUnavailable: as :meth:`by_key`; the key that signed it may be a new one.
        """
        name = sha256(token).digest()
        principal = self._verified.get(name) or self._verify(name, token)
        if principal is None:
            if token.count(b".") == 2:  # what is no JWT is nobody's, whatever is new
                self._be_sure()
            return None
        if principal.id in self._ended or not self._in_time(principal):
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

    def _be_sure(self) -> None:
        """Let nobody be called unknown by a snapshot that is out of date: told 401, clients sign out (G-06)."""
        if self._clock.now() - self._looked_at > UNSURE_SECONDS:
            raise DirectoryUnavailable("the database has not been read for a while")

    def _in_time(self, principal: Principal) -> bool:
        return principal.expires_at is None or self._clock.now() < principal.expires_at

    def _load(self) -> None:
        with self._lock:
            now = self._clock.now()
            keys = dict(self._truth.all_keys())
            digests: dict[str, bytes] = {}
            old: dict[str, bytes] = {}
            for digest, principal in keys.items():
                if digests.setdefault(principal.id, digest) is not digest:
                    old[principal.id] = digest
            self._keys, self._digests, self._old = keys, digests, old
            self._watched = {*old.values(), *(digests[key_id] for key_id in old)}
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
            found: dict[str, list[tuple[bytes, Principal]]] = {
                one.id: [] for one in self._keys.values() if one.member_id == member_id
            }
            for digest, principal in self._truth.keys_of(member_id):
                found.setdefault(principal.id, []).append((digest, principal))
            for key_id, secrets in found.items():
                self._hold(key_id, secrets)
            self._ended = self._truth.ended_grants(self._clock.now())

    def _reread_key(self, key_id: str) -> None:
        with self._lock:
            self._hold(key_id, self._truth.key(key_id))

    def _hold(self, key_id: str, secrets: Sequence[tuple[bytes, Principal]]) -> None:
        """Know one key by these secrets and no others; what stays is never away in between."""
        before = {self._digests.pop(key_id, b""), self._old.pop(key_id, b"")}
        self._keys.update(secrets)
        digests = [digest for digest, _ in secrets]
        for digest in before.difference(digests):
            self._keys.pop(digest, None)
        self._watched -= before
        if digests:
            self._digests[key_id] = digests[0]
        if len(digests) > 1:
            self._old[key_id] = digests[1]
            self._watched.update(digests)

    def _forget_ended(self) -> None:
        """Let go of the old secrets whose time is over."""
        for key_id, digest in list(self._old.items()):
            principal = self._keys.get(digest)
            if principal is None or not self._in_time(principal):
                current = self._digests[key_id]
                self._hold(key_id, [(current, self._keys[current])])

    def _reread_grant(self, grant_id: str) -> None:
        with self._lock:
            if self._truth.grant_is_live(grant_id):
                self._ended.discard(grant_id)
            else:
                self._ended.add(grant_id)
