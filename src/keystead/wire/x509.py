"""Who issued a certificate: the one field of X.509 that a person needs to hear about (RFC 5280 section 4.1.2.4).

Not a validator: what is read here was refused already, and is only named.
"""

from collections.abc import Iterator
from typing import Final

_VERSION: Final = 0xA0
_NAMES: Final = {b"\x55\x04\x03": "CN", b"\x55\x04\x0a": "O"}
"""Object identifiers 2.5.4.3 and 2.5.4.10."""
_LONGEST: Final = 100


def issuer(der: bytes) -> str | None:
    """Return the issuer's organization and common name, or None when there is none to read. Total: never raises."""
    try:
        certificate = next(_elements(der))[1]
        fields = list(_elements(next(_elements(certificate))[1]))
        name = fields[3 if fields[0][0] == _VERSION else 2][1]
        found = dict(_attributes(name))
    except (IndexError, StopIteration, ValueError, RuntimeError):
        return None
    text = ", ".join(found[key] for key in ("O", "CN") if found.get(key))
    return "".join(one if one.isprintable() else " " for one in text)[:_LONGEST] or None


def _attributes(name: bytes) -> Iterator[tuple[str, str]]:
    for _, relative in _elements(name):
        for _, pair in _elements(relative):
            (_, identifier), (_, value) = list(_elements(pair))[:2]
            if identifier in _NAMES:
                yield _NAMES[identifier], value.decode("utf-8", "replace")


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each DER element in ``data`` (X.690 section 8.1)."""
    start = 0
    while start < len(data):
        tag, size = data[start], data[start + 1]
        start += 2
        if size & 0x80:
            length = size & 0x7F
            size = int.from_bytes(data[start : start + length])
            start += length
        if start + size > len(data):
            raise ValueError("truncated")
        yield tag, data[start : start + size]
        start += size
