"""Read a JSON object field by field, with one sentence for the first thing that is wrong."""

import json
from collections.abc import Mapping
from typing import Any, Final


class Malformed(ValueError):
    """Bytes are not the document they should be; the message names the field, never its value."""


class Fields:
    """The typed fields of one JSON object.

    Args:
        values: the decoded object.
        path: what it is called in messages, such as ``token response``.
    """

    def __init__(self, values: Mapping[str, Any], path: str) -> None:
        self._values = values
        self._path = path

    @classmethod
    def parse(cls, body: bytes, path: str) -> "Fields":
        """Decode ``body``.

        Raises:
            Malformed: it is not UTF-8 JSON, or not an object.
        """
        try:
            values = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Malformed(f"the {path} is not JSON") from error
        if not isinstance(values, dict):
            raise Malformed(f"the {path} is not a JSON object")
        return cls(values, path)

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._values.get(name) is not None

    def text(self, name: str) -> str:
        """Return a string field that must be there and not be empty."""
        value = self.optional_text(name)
        if not value:
            raise Malformed(f"the {self._path} has no {name}")
        return value

    def optional_text(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is not None and not isinstance(value, str):
            raise Malformed(f"{name} in the {self._path} is not a string")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """Return a finite number that is not negative; without ``default`` it must be there."""
        value = self._values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
            raise Malformed(f"{name} in the {self._path} is not a number of sensible size")
        return float(value)

    def flag(self, name: str) -> bool:
        """Return a boolean field; absent is false."""
        value = self._values.get(name, False)
        if not isinstance(value, bool):
            raise Malformed(f"{name} in the {self._path} is not true or false")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings; absent is empty."""
        value = self._values.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise Malformed(f"{name} in the {self._path} is not a list of strings")
        return tuple(value)

    def all_texts(self) -> dict[str, str]:
        """Return every field, all of which must be strings."""
        if not all(isinstance(value, str) for value in self._values.values()):
            raise Malformed(f"something in the {self._path} is not a string")
        return dict(self._values)

    def object(self, name: str) -> "Fields":
        """Return a nested object; absent or null is empty."""
        value = self._values.get(name)
        if value is not None and not isinstance(value, dict):
            raise Malformed(f"{name} in the {self._path} is not an object")
        return Fields(value or {}, f"{name} of the {self._path}")

    def objects(self, name: str) -> "tuple[Fields, ...]":
        """Return a list of objects; absent is empty."""
        value = self._values.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise Malformed(f"{name} in the {self._path} is not a list of objects")
        return tuple(Fields(item, f"{name} of the {self._path}") for item in value)


_COMPACT: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def dump(values: Mapping[str, Any]) -> bytes:
    """Return compact JSON without the fields that are ``None``."""
    present = {name: value for name, value in values.items() if value is not None}
    return _COMPACT.encode(present).encode()
