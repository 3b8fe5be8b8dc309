"""Proof of possession (DPoP, RFC 9449): a token that works only beside a signature of its owner's key.

Pure but for the memory of used proofs, and without a framework, because the authorization server and the gateway check
alike. A proof is a small JWT for one request: method, address, time, a ``jti`` that is used once, and a nonce that this
server gave out lately, so that none can be made in advance.
"""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.jwk import Key

from keystead.server.assertions import ALGORITHMS, LEEWAY, UNREADABLE, are_text, is_time, read, usable_key

MAX_AGE: Final = 60
"""Seconds after which a proof is too old; :data:`LEEWAY` comes on top, on either side."""
NONCE_SECONDS: Final = 300
"""A nonce is given out this long, and taken as long again."""
_LONGEST: Final = 4_096
_LONGEST_JTI: Final = 256
_PORTS: Final = {"http": 80, "https": 443}
_PRIVATE: Final = frozenset({"d", "p", "q", "k"})


class BadProof(Exception):
    """The proof does not hold; the message is one sentence that repeats nothing of it.

    Attributes:
        error: ``invalid_dpop_proof``, or ``use_dpop_nonce`` when a proof with our nonce would do.
    """

    def __init__(self, reason: str, error: str = "invalid_dpop_proof") -> None:
        super().__init__(reason)
        self.error = error
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Expected:
    """The request that a proof must be for.

    Attributes:
        uri: without query and fragment.
        token: the access token beside it, when one is used.
    """

    method: str
    uri: str
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """What a proof says whose signature holds for the request.

    Attributes:
        thumbprint: of the key that signed it (RFC 7638): the ``jkt`` of tokens bound to it.
        until: Unix seconds after which it is too old.
    """

    thumbprint: str
    jti: str
    nonce: str | None
    until: float


def verify(proof: str, expected: Expected, now: float) -> Proof:
    """Check everything that the proof itself tells; its nonce and whether it was used before are :class:`Checker`'s.

    Raises:
        BadProof: it does not hold.
    """
    stated = read(proof) if len(proof) <= _LONGEST else None
    if stated is None:
        raise BadProof("The DPoP header is not one signed JWT.")
    header = stated.header
    algorithm, jwk = header.get("alg"), header.get("jwk")
    if header.get("typ") != "dpop+jwt" or algorithm not in ALGORITHMS:
        raise BadProof("The proof must have the type dpop+jwt and an asymmetric algorithm.")
    if not isinstance(jwk, dict) or jwk.keys() & _PRIVATE:
        raise BadProof("The proof must hold its public key, and no private one.")
    key, thumbprint = _key(json.dumps(jwk, sort_keys=True), str(algorithm))
    try:
        claims = jwt.decode(proof, key, [str(algorithm)]).claims
    except UNREADABLE as error:
        raise BadProof("The signature of the proof does not verify.") from error
    if not are_text(claims):
        raise BadProof("A claim of the proof has a NUL, or half a character.")
    _for_request(claims, expected)
    return Proof(thumbprint, _jti(claims), _nonce(claims), _until(claims, now))


@lru_cache(maxsize=1024)
def _key(jwk: str, algorithm: str) -> tuple[Key, str]:
    """Return a key and its thumbprint; remembered, because a client signs many proofs with one key."""
    key = usable_key(json.loads(jwk), algorithm)
    if key is None:
        raise BadProof("The key of the proof does not fit its algorithm, or is too weak.")
    return key, key.thumbprint()


def _for_request(claims: Mapping[str, Any], expected: Expected) -> None:
    if claims.get("htm") != expected.method:
        raise BadProof("The proof is for another method (htm).")
    if _plain(claims.get("htu")) != _plain(expected.uri):
        raise BadProof("The proof is for another address (htu).")
    if expected.token is not None:
        ath = claims.get("ath")
        if not isinstance(ath, str) or not hmac.compare_digest(ath.encode(), _hash(expected.token)):
            raise BadProof("The proof is for another access token (ath).")


def _hash(token: str) -> bytes:
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=")


def _plain(uri: object) -> str | None:
    """Return an address as it is compared (RFC 9449 section 4.3): without query, fragment and default port."""
    try:
        parts = urlsplit(uri if isinstance(uri, str) else "")
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if not parts.hostname or parts.username is not None:
        return None
    return f"{parts.scheme}://{parts.hostname}:{port}{parts.path or '/'}"


def _jti(claims: Mapping[str, Any]) -> str:
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= _LONGEST_JTI:
        raise BadProof(f"The proof needs a jti of 1 to {_LONGEST_JTI} characters.")
    return jti


def _nonce(claims: Mapping[str, Any]) -> str | None:
    nonce = claims.get("nonce")
    if nonce is not None and not isinstance(nonce, str):
        raise BadProof("The nonce of the proof is not a string.")
    return nonce


def _until(claims: Mapping[str, Any], now: float) -> float:
    issued = claims.get("iat")
    if not is_time(issued):
        raise BadProof("The proof has no time of issue (iat).")
    until = float(str(issued)) + MAX_AGE + LEEWAY
    if now >= until:
        raise BadProof("The proof is too old (iat). Make a new one for each request.")
    if float(str(issued)) > now + LEEWAY:
        raise BadProof("The proof is from the future (iat). Set the clock.")
    return until


class Nonces:
    """What this installation gives out to be signed: derived from the time and a key, so that nothing is stored.

    Args:
        key: 32 bytes that every server of the installation has.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def current(self, now: float) -> str:
        """Return the nonce to use now."""
        return self._of(int(now // NONCE_SECONDS))

    def accepts(self, nonce: str, now: float) -> bool:
        """Return whether ``nonce`` was given out lately."""
        window = int(now // NONCE_SECONDS)
        given = nonce.encode()
        return any(hmac.compare_digest(given, self._of(one).encode()) for one in (window, window - 1))

    def _of(self, window: int) -> str:
        return hmac.new(self._key, window.to_bytes(8), hashlib.sha256).hexdigest()[:32]


Spend = Callable[[str, str, float, float], bool]
"""Remembers (thumbprint, jti, until, now); False when it was spent before, or cannot be remembered."""


class Checker:
    """Checks proofs for one kind of server.

    Args:
        nonces: what proofs must have signed.
        spend: the memory of used proofs.
    """

    def __init__(self, nonces: Nonces, spend: Spend) -> None:
        self.nonces = nonces
        self._spend = spend

    def thumbprint(self, proof: str, expected: Expected, now: float) -> str:
        """Return whose proof it is.

        Raises:
            BadProof: it does not hold, its nonce is not ours or too old, or it was used before.
        """
        found = verify(proof, expected, now)
        if found.nonce is None or not self.nonces.accepts(found.nonce, now):
            raise BadProof("Sign the nonce of the DPoP-Nonce header, and try again.", "use_dpop_nonce")
        if not self._spend(found.thumbprint, found.jti, found.until, now):
            raise BadProof("The proof was used before (jti). Make a new one for each request.")
        return found.thumbprint


class Memory:
    """Used proofs of one process, in two generations: the older is forgotten when all in it are too old.

    When a generation is full, nothing more is accepted until it is forgotten: a flood of proofs, for which somebody
    must hold a live token, may hinder others but makes no proof work twice.

    Args:
        most: how many a generation holds.
    """

    def __init__(self, most: int = 1 << 18) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._turn = 0.0
        self._new: set[bytes] = set()
        self._old: set[bytes] = set()

    def spend(self, thumbprint: str, jti: str, until: float, now: float) -> bool:
        """Remember one proof; False when it was spent before, or there is no room."""
        name = hashlib.sha256(f"{thumbprint} {jti}".encode()).digest()
        with self._lock:
            if now >= self._turn:  # whatever is in the old generation ended before the last turn
                self._old = self._new if now < self._turn + _LIFE else set()
                self._new = set()
                self._turn = now + _LIFE
            if name in self._new or name in self._old or len(self._new) >= self._most:
                return False
            self._new.add(name)
        return until > now


_LIFE: Final = MAX_AGE + 2 * LEEWAY
"""Seconds between the earliest and the latest moment at which one proof can be taken."""
