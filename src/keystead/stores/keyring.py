"""The operating system's keyring: macOS Keychain, Windows Credential Manager, Secret Service on Linux.

Nobody here calls a keyring: the caller gives a function that does, with a deadline (:mod:`keystead.drivers.keyring`).
Whatever was written is read back before it counts (R-08).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from keystead.errors import StoreUnavailable

LARGEST_ITEM: Final = {"win32": 1200}
"""Characters that fit into one item; Windows takes 2,560 bytes of UTF-16. Elsewhere one item holds everything."""
PARTS_SCHEMA: Final = "keystead.parts/1"
_MOST_PARTS: Final = 32
_WRITTEN: Final = ("current", "previous", "trial")

Operation = tuple[str, str] | tuple[str, str, str]
"""``("get", name)``, ``("set", name, value)`` or ``("delete", name)``."""
Ask = Callable[[Sequence[Operation]], Sequence[str | None]]
"""Returns what each operation answers, None where there is no value; raises StoreUnavailable."""


class KeyringPlace:
    """One item of the keyring, named by the store's id, and one for the generation before it.

    A value larger than an item is written in parts, in the one of two series that is not in use, and only then the
    item that lists them: a crash in between leaves the value that was there.

    Args:
        store_id: random, kept in the state directory; the same wherever the directory moves (R-25).
        directory: the state directory, told to the list of all stores so that orphans can be found.
        largest: characters of one item; None for no bound.
    """

    def __init__(self, store_id: str, directory: Path, ask: Ask, *, largest: int | None = None) -> None:
        self._id = store_id
        self._directory = directory
        self._ask = ask
        self._largest = largest

    @property
    def location(self) -> str:
        return f"system keyring, item keystead/{self._id}"

    def read(self) -> bytes | None:
        return self._value("current")

    def read_previous(self) -> bytes | None:
        return self._value("previous")

    def write(self, data: bytes, previous: bytes | None) -> None:
        *heads, index = self._ask([*(("get", self._name(slot)) for slot in _WRITTEN), ("get", _INDEX)])
        before = dict(zip(_WRITTEN, heads, strict=True))
        first = {"trial": data} if previous is None else {"previous": previous, "trial": data}
        self._put(first, before)  # a keyring that keeps nothing, or not all, is found out before the old one is touched
        further = [("delete", self._name("trial")), *_registering(index, self._id, self._directory)]
        self._put({"current": data}, before, further)
        self._drop_parts()

    def _put(
        self, values: Mapping[str, bytes], before: Mapping[str, str | None], further: Sequence[Operation] = ()
    ) -> None:
        setting = [
            one for slot, value in values.items() for one in self._setting(slot, value.decode("ascii"), before[slot])
        ]
        self._ask([*setting, *further])
        if any(self._value(slot) != value for slot, value in values.items()):
            raise StoreUnavailable(
                "The system keyring did not keep what was written: reading it back gave something else.",
                hint="What was stored before is still there. Or keep sign-ins elsewhere: keystead store use file.",
            )

    def set_aside(self, data: bytes) -> None:
        self._ask(self._setting("damaged", data.decode("latin-1").encode("unicode_escape").decode("ascii"), None))

    def clear(self, *, but: bytes | None) -> None:
        if but is not None:
            self.write(but, but)
            self._remove(("damaged",))
            return
        self._remove((*_WRITTEN, "damaged"))
        unregister(self._ask, self._id)

    def _name(self, slot: str) -> str:
        return f"{self._id}/{slot}"

    def _setting(self, slot: str, text: str, before: str | None) -> list[Operation]:
        """Return what writes ``text`` into ``slot``; parts go where those of the value before it are not."""
        if self._largest is None or len(text) <= self._largest:
            return [("set", self._name(slot), text)]
        pieces = [text[start : start + self._largest] for start in range(0, len(text), self._largest)]
        if len(pieces) > _MOST_PARTS:
            raise StoreUnavailable(
                f"The sign-ins are too large for this keyring ({len(text)} characters).",
                hint="Remove some with keystead logout, or run: keystead store use file.",
            )
        series = "b" if _head(before).get("series") == "a" else "a"
        digest = sha256(text.encode()).hexdigest()
        head = {"schema": PARTS_SCHEMA, "sha256": digest, "parts": len(pieces), "series": series}
        names = self._parts(slot, series, len(pieces))
        return [
            *(("set", name, piece) for name, piece in zip(names, pieces, strict=True)),
            ("set", self._name(slot), json.dumps(head)),
        ]

    def _value(self, slot: str) -> bytes | None:
        (text,) = self._ask([("get", self._name(slot))])
        head = _head(text)
        if text is None or not head:
            return text.encode("utf-8", "replace") if text is not None else None
        pieces = self._ask([("get", name) for name in self._parts(slot, head["series"], head["parts"])])
        whole = "".join(piece or "" for piece in pieces).encode("utf-8", "replace")
        return whole if sha256(whole).hexdigest() == head["sha256"] else b"?"

    def _parts(self, slot: str, series: str, count: int) -> list[str]:
        return [f"{self._name(slot)}.{series}{number}" for number in range(count)]

    def _remove(self, slots: Sequence[str]) -> None:
        gone = [self._name(slot) for slot in slots]
        if self._largest is not None:
            gone += [name for slot in slots for series in "ab" for name in self._parts(slot, series, _MOST_PARTS)]
        self._ask([("delete", name) for name in gone])
        if any(value is not None for value in self._ask([("get", name) for name in gone])):
            raise StoreUnavailable(
                f"The system keyring still holds keystead/{self._id} after it was told to delete it.",
                hint="Delete that item in the keyring's own application.",
            )

    def _drop_parts(self) -> None:
        """Remove the parts that no item lists, those of a writer that was killed among them."""
        if self._largest is None:
            return
        heads = self._ask([("get", self._name(slot)) for slot in _WRITTEN])
        listed = {(slot, _head(text).get("series")) for slot, text in zip(_WRITTEN, heads, strict=True)}
        unlisted = [(slot, series) for slot in _WRITTEN for series in "ab" if (slot, series) not in listed]
        self._ask([("delete", name) for slot, series in unlisted for name in self._parts(slot, series, _MOST_PARTS)])


def _head(text: str | None) -> dict[str, Any]:
    """Return the list of parts that ``text`` is, or an empty one when it is a value itself."""
    if text is None or PARTS_SCHEMA not in text[:60]:
        return {}
    found = json.loads(text)
    return found if isinstance(found, dict) else {}


_INDEX: Final = "stores"
"""The item that lists every store of this person: no keyring can be asked what it holds for us."""


def registered(ask: Ask) -> dict[str, str]:
    """Return store id -> state directory, for every store with items in this keyring."""
    return _index(ask([("get", _INDEX)])[0])


def unregister(ask: Ask, store_id: str) -> None:
    """Forget the store with ``store_id``."""
    known = registered(ask)
    if known.pop(store_id, None) is not None:
        ask([("set", _INDEX, json.dumps(known))])


def _registering(text: str | None, store_id: str, directory: Path) -> list[Operation]:
    """Return what writes down where the store is, when ``text`` says something else."""
    known, place = _index(text), str(directory.absolute())
    return [] if known.get(store_id) == place else [("set", _INDEX, json.dumps({**known, store_id: place}))]


def _index(text: str | None) -> dict[str, str]:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
