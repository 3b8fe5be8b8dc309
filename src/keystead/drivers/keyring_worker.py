"""The other end of :mod:`keystead.drivers.keyring`: a process of its own that talks to the operating system's keyring.

Run as ``python -P -m keystead.drivers.keyring_worker``. One JSON document on stdin, one on stdout, nothing in
``argv``::

    {"service": "keystead", "operations": [["set", "name", "value"], ["get", "name"], ["delete", "name"]]}
    {"backend": "SecretService Keyring", "answers": [null, "value", null]}
    {"error": "locked"}

It is a process because a keyring may wait for a person, hang on a dead bus or crash: it can be killed, a thread
cannot. It answers in words of its own and never repeats what a backend said, which may quote the value.
"""

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

_NO_KEYRING = ("keyring.backends.fail", "keyring.backends.null")
"""Backends that keep nothing."""


def main() -> None:
    """Answer the one request on stdin."""
    json.dump(answer(json.load(sys.stdin)), sys.stdout)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the answers to all operations, or one word for what went wrong."""
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return {"error": "not_installed"}
    try:
        backend = keyring.get_keyring()
        if type(backend).__module__ in _NO_KEYRING:
            return {"error": "no_keyring"}
        answers = [_operate(backend, request["service"], *operation) for operation in request["operations"]]
    except keyring.errors.KeyringLocked:
        return {"error": "locked"}
    except (keyring.errors.NoKeyringError, keyring.errors.InitError):
        return {"error": "no_keyring"}
    except Exception as error:  # noqa: BLE001  backends raise whatever their platform raises
        return {"error": "failed", "kind": type(error).__name__}
    return {"backend": backend.name, "answers": answers}


def _operate(backend: "KeyringBackend", service: str, action: str, name: str, value: str = "") -> str | None:
    if action == "get":
        return backend.get_password(service, name)
    if action == "set":
        backend.set_password(service, name, value)
    elif action == "delete" and backend.get_password(service, name) is not None:
        backend.delete_password(service, name)
    return None


if __name__ == "__main__":
    main()
