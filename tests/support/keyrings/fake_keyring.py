"""A keyring for the worker process, kept in a JSON file, that behaves as ``FAKE_KEYRING`` says."""

import json
import os
import threading
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked


class Keyring(KeyringBackend):
    """``hang``, ``locked``, ``drop`` (keeps nothing), ``truncate`` (at 2 KB), ``crash``, ``fail``; else it works.

    ``late-…`` behaves only once it holds something.
    """

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # keyring types it not
        self._file = Path(os.environ["FAKE_KEYRING_FILE"])
        self._items: dict[str, str] = json.loads(self._file.read_text()) if self._file.exists() else {}
        self._way = os.environ.get("FAKE_KEYRING", "")
        if self._way.startswith("late-"):
            self._way = self._way.removeprefix("late-") if self._items else ""

    def get_password(self, service: str, username: str) -> str | None:
        self._misbehave()
        return self._items.get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._misbehave()
        if self._way != "drop":
            self._items[f"{service}/{username}"] = password[:2048] if self._way == "truncate" else password
            self._file.write_text(json.dumps(self._items))

    def delete_password(self, service: str, username: str) -> None:
        self._misbehave()
        if self._way != "drop":
            del self._items[f"{service}/{username}"]
            self._file.write_text(json.dumps(self._items))

    def _misbehave(self) -> None:
        if self._way == "hang":
            threading.Event().wait()
        if self._way == "locked":
            raise KeyringLocked("canary: the keyring's own words")
        if self._way == "crash":
            os._exit(139)
        if self._way == "fail":
            raise RuntimeError("canary: the keyring's own words")
