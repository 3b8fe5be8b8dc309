"""Which backend keeps the sign-ins: chosen by a person, remembered in the state directory, never changed by itself."""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from keystead.errors import UnreadableFile
from keystead.stores.files import Files, read_private

SCHEMA: Final = "keystead.store/1"


class Backend(StrEnum):
    """Where sign-ins can rest.

    FILE: a file of mode 0600. KEYRING: the operating system's keyring. SEALED: a file encrypted under a passphrase
    or a key kept elsewhere.
    """

    FILE = "file"
    KEYRING = "keyring"
    SEALED = "sealed"


@dataclass(frozen=True, slots=True)
class Choice:
    """What ``store.json`` says.

    Attributes:
        store_id: random, written once: names the items of this directory in a keyring, wherever it moves (R-25).
        key: for SEALED, the secret reference its key comes from; None asks for a passphrase.
        remembered: whether the file says so, or nothing was chosen yet.
    """

    backend: Backend
    store_id: str = ""
    key: str | None = None
    remembered: bool = True


def read(directory: Path, platform: str) -> Choice:
    """Return the choice, or the default of ``platform`` (``sys.platform``) while nothing was chosen.

    The default is the file, and on macOS the keychain where its extra is installed and no file is there already.

    Raises:
        UnreadableFile: the choice cannot be read; guessing would change the backend silently.
    """
    path = directory / "store.json"
    data = read_private(path)
    if data is None:
        taken = platform != "darwin" or (directory / "credentials.json").exists() or not _keyring_installed()
        return Choice(Backend.FILE if taken else Backend.KEYRING, remembered=False)
    import json

    try:
        document = json.loads(data)
        if document["schema"] != SCHEMA or not isinstance(document["store_id"], str):
            raise ValueError(SCHEMA)
        key = document.get("key")
        return Choice(Backend(document["backend"]), document["store_id"], None if key is None else str(key))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UnreadableFile(
            f"{path} is damaged, so it is not known where sign-ins are kept.",
            hint="Say it again: keystead store use BACKEND (file, keyring or sealed).",
        ) from None


def with_id(choice: Choice, files: Files) -> Choice:
    """Return ``choice`` with a new random id, unless it has one."""
    import uuid

    fresh = choice.store_id or str(uuid.UUID(bytes=files.random_bytes(16), version=4))
    return replace(choice, store_id=fresh, remembered=True)


def write(directory: Path, choice: Choice, files: Files) -> Choice:
    """Remember ``choice`` durably, with a new id when it has none; return it as remembered.

    Raises:
        StoreUnavailable: it could not be written.
    """
    import json

    chosen = with_id(choice, files)
    document = {"schema": SCHEMA, "backend": chosen.backend, "store_id": chosen.store_id, "key": chosen.key}
    path = directory / "store.json"
    files.sweep(path)
    files.put(path, json.dumps(document).encode() + b"\n")
    return chosen


def _keyring_installed() -> bool:
    from importlib.util import find_spec

    return find_spec("keyring") is not None
