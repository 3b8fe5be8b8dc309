"""The opaque tokens Keystead issues: a prefix scanners can find, 256 random bits, and a checksum.

::

    ksk_ 8bJx…43 characters…Qw 0f3kZ1
    │    │                     └ CRC-32 of everything before it, 6 characters, base 62
    │    └ 32 random bytes, 43 characters, base 62
    └ what it is: API key, refresh token, …

The checksum lets a client name a truncated or mistyped token without a request (R-12), and lets a secret
scanner report without false alarms. It protects nothing: the server compares hashes.
"""

import hashlib
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]
_DIGITS: Final = re.compile("[0-9A-Za-z]*")
_BODY: Final = 43
_CHECK: Final = 6


class TokenKind(StrEnum):
    """What a token is, as its prefix."""

    API_KEY = "ksk_"
    REFRESH_TOKEN = "ksr_"
    DEVICE_CODE = "ksd_"
    AUTHORIZATION_CODE = "ksc_"
    SETUP_CODE = "kss_"
    LINK_CODE = "ksl_"
    PUSHED_REQUEST = "ksq_"
    CLIENT_SECRET = "ksx_"
    SCIM_TOKEN = "ksp_"
    REVOCATION_TICKET = "kst_"
    REGISTRATION_TOKEN = "ksi_"
    REGISTRATION_ACCESS_TOKEN = "ksm_"
    INVITATION = "ksv_"


LENGTH: Final = 4 + _BODY + _CHECK
_KINDS: Final = {kind.value: kind for kind in TokenKind}


@dataclass(frozen=True, slots=True)
class TokenFault:
    """Why a string is not a token: one sentence that never contains the string."""

    reason: str


def _base62(number: int, width: int) -> str:
    """Return the last ``width`` digits; in parts of ten that fit a machine word, and those by pairs."""
    pairs = []
    for _ in range(0, width, 10):
        number, part = divmod(number, 62**10)
        for _ in range(5):
            part, pair = divmod(part, 62**2)
            pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs))[-width:]


def mint(kind: TokenKind, random_bytes: Callable[[int], bytes]) -> str:
    """Return a new token of ``kind``; ``random_bytes`` is ``secrets.token_bytes`` outside tests."""
    head = kind.value + _base62(int.from_bytes(random_bytes(32)), _BODY)
    return head + _checksum(head)


def _checksum(head: str) -> str:
    return _base62(zlib.crc32(head.encode("ascii")), _CHECK)


def parse(text: str) -> TokenKind | TokenFault:
    """Return the kind of a well-formed token, or why it is not one.

    Total: any string gives a kind or a fault, never an exception.
    """
    kind = _KINDS.get(text[:4])
    if kind is None:
        return TokenFault("it does not start with a Keystead prefix")
    digits = _DIGITS.match(text, 4)
    if digits is not None and digits.end() < len(text):
        return TokenFault(f"character {digits.end() + 1} is not a letter or digit")
    if len(text) < LENGTH:
        return TokenFault(f"it is truncated at character {len(text)} of {LENGTH}")
    if len(text) > LENGTH:
        return TokenFault(f"it has {len(text)} characters instead of {LENGTH}")
    if _checksum(text[:-_CHECK]) != text[-_CHECK:]:
        return TokenFault("its checksum does not match: a character was changed in copying")
    return kind


def digest(token: str | bytes) -> bytes:
    """Return the SHA-256 under which a server stores the token.

    A plain hash suffices because the token has 256 random bits; there is nothing to guess.
    """
    return hashlib.sha256(token.encode() if isinstance(token, str) else token).digest()
