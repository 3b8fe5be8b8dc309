"""A string that does not show itself.

``Secret`` hides in ``repr``, ``str``, ``format``, tracebacks and JSON encoders. The only way to the value is
:meth:`Secret.reveal`, which is easy to search for and rare.
"""

from typing import Any, Final, NoReturn, final

REDACTED: Final = "[redacted]"


@final
class Secret:
    """One secret string.

    Equality is constant-time and only against another ``Secret``; there is no hash, so a secret can be neither
    a dictionary key nor compared by accident with a plain string.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value. Call it where the value is sent or stored, and nowhere else."""
        return self._value

    def fingerprint(self, salt: bytes) -> str:
        """Return 12 hex digits that stand for the value in logs and lists.

        A keyed hash rather than the last characters: those are themselves part of the secret (R-17, R-21).
        """
        import hmac  # on demand: loading OpenSSL would double the start-up of `keystead token`

        return hmac.new(salt, self._value.encode(), "sha256").hexdigest()[:12]

    def __bool__(self) -> bool:
        return bool(self._value)

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        from hmac import compare_digest

        return compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]  # unhashable on purpose, see the class docstring

    def __repr__(self) -> str:
        return f"Secret({REDACTED})"

    def __str__(self) -> str:
        return REDACTED

    def __format__(self, spec: str) -> str:
        return format(REDACTED, spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied to another process")

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Secret":
        return self
