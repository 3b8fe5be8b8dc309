"""A file that is useless without its key: scrypt (RFC 7914) makes the key, AES-256-GCM seals the record.

::

    {"schema": "keystead.sealed/1", "n": 32768, "r": 8, "p": 1, "salt": "…", "check": "…", "nonce": "…", "box": "…"}

All but the box itself is bound to it as associated data, so that a changed file opens to nothing. ``check`` is
made with the key and tells a wrong passphrase from a damaged file.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from keystead.errors import StoreUnavailable
from keystead.secret import Secret
from keystead.stores.files import Files
from keystead.stores.places import FilePlace, Place

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SCHEMA: Final = "keystead.sealed/1"
STEM: Final = "credentials.sealed"
_WORK: Final = {"n": 2**15, "r": 8, "p": 1}
"""32 MiB and about a tenth of a second, which every command that needs a token pays."""
_MOST_MEMORY: Final = 2**28
_DAMAGED: Final = b"?"
"""What a box that is none opens to: no record, so that the generation before it is used."""


class SealedPlace:
    """A place whose values are sealed before they reach the place below it.

    Args:
        below: where the sealed bytes rest.
        key: asked once, and only when something must be opened or sealed.
        files: the source of randomness.
    """

    def __init__(self, below: Place, key: Callable[[], Secret], files: Files | None = None) -> None:
        self._below = below
        self._key = key
        self._files = files or Files()
        self._secret: Secret | None = None
        self._derived: dict[tuple[int, int, int, bytes], bytes] = {}

    @property
    def location(self) -> str:
        return f"{self._below.location} (encrypted)"

    def read(self) -> bytes | None:
        return self._open(self._below.read())

    def read_previous(self) -> bytes | None:
        return self._open(self._below.read_previous())

    def write(self, data: bytes, previous: bytes | None) -> None:
        self.read()  # a wrong key is found out here, before it seals what the right one will not open
        self._below.write(self._seal(data), None if previous is None else self._seal(previous))

    def set_aside(self, data: bytes) -> None:
        sealed = self._below.read()
        self._below.set_aside(self._seal(data) if data != _DAMAGED or sealed is None else sealed)

    def clear(self, *, but: bytes | None) -> None:
        self._below.clear(but=None if but is None else self._seal(but))

    def _seal(self, data: bytes) -> bytes:
        salt = next((salt for *_, salt in self._derived), None) or self._files.random_bytes(16)
        nonce = self._files.random_bytes(12)
        key, check = self._keys(**_WORK, salt=salt)
        head = {"schema": SCHEMA, **_WORK, "salt": _text(salt), "check": _text(check), "nonce": _text(nonce)}
        box = _cipher(key).encrypt(nonce, data, _bound(head))
        return json.dumps({**head, "box": _text(box)}).encode() + b"\n"

    def _open(self, sealed: bytes | None) -> bytes | None:
        if not sealed:
            return sealed
        try:
            head: dict[str, Any] = json.loads(sealed)
            box = b64decode(head.pop("box"))
            work = {name: int(head[name]) for name in _WORK}
            if head["schema"] != SCHEMA or not _bearable(**work):
                return _DAMAGED
            salt, check, nonce = (b64decode(head[name]) for name in ("salt", "check", "nonce"))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return _DAMAGED
        key, expected = self._keys(**work, salt=salt)
        from hmac import compare_digest

        if not compare_digest(check, expected):
            raise StoreUnavailable(
                f"The key does not open {self._below.location}.",
                hint="Give the passphrase or the key that was chosen with keystead store use sealed.",
            )
        return _decrypted(key, nonce, box, head)

    def _keys(self, *, n: int, r: int, p: int, salt: bytes) -> tuple[bytes, bytes]:
        """Return the key of the box and the check that goes with it."""
        derived = self._derived.get((n, r, p, salt))
        if derived is None:
            from hashlib import scrypt

            self._secret = self._secret or self._key()
            secret = self._secret.reveal().encode()
            derived = scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=2 * _MOST_MEMORY, dklen=48)
            self._derived[n, r, p, salt] = derived
        return derived[:32], derived[32:]


def sealed_file(place: FilePlace, key: Callable[[], Secret]) -> SealedPlace:
    """Return a place for sealed values in files.

    Raises:
        StoreUnavailable: what encrypts is not installed.
    """
    _require_cipher()
    return SealedPlace(place, key)


def _bearable(*, n: int, r: int, p: int) -> bool:
    """Whether scrypt can be asked for this much work: a changed file must not cost memory or minutes."""
    return n > 1 and n & (n - 1) == 0 and r > 0 and 0 < p <= 16 and 128 * n * r <= _MOST_MEMORY


def _decrypted(key: bytes, nonce: bytes, box: bytes, head: dict[str, Any]) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        return _cipher(key).decrypt(nonce, box, _bound(head))
    except (InvalidTag, ValueError):
        return _DAMAGED


def _cipher(key: bytes) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _require_cipher() -> None:
    from importlib.util import find_spec

    if find_spec("cryptography") is None:
        raise StoreUnavailable(
            "The encrypted file needs a package that is not installed (cryptography).",
            hint="Install it with: pip install 'keystead[server]'. Or keystead store use file.",
        )


def _bound(head: dict[str, Any]) -> bytes:
    return json.dumps(head, sort_keys=True).encode()


def _text(data: bytes) -> str:
    return b64encode(data).decode("ascii")
