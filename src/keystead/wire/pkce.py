"""Proof key for code exchange (RFC 7636), method S256 only."""

import base64
import hashlib
from collections.abc import Callable

from keystead.secret import Secret


def verifier(random_bytes: Callable[[int], bytes]) -> Secret:
    """Return a new code verifier: 32 random bytes as 43 characters (RFC 7636 section 4.1)."""
    return Secret(_base64url(random_bytes(32)))


def challenge(code_verifier: Secret) -> str:
    """Return the S256 challenge of a verifier (RFC 7636 section 4.2)."""
    return _base64url(hashlib.sha256(code_verifier.reveal().encode("ascii")).digest())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
