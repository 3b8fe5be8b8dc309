"""A store that ends with the process: for tests, and for machines where nothing may be written."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from keystead.credentials import Login, LoginKind
from keystead.errors import StoreBusy


class MemoryStore:
    """Logins in a dictionary; the locks are between threads."""

    def __init__(self) -> None:
        self._logins: dict[LoginKind, Login] = {}
        self._locks = {kind: threading.Lock() for kind in LoginKind}

    @property
    def location(self) -> str:
        return "memory"

    def load(self, kind: LoginKind) -> Login | None:
        return self._logins.get(kind)

    def save(self, login: Login) -> Login:
        previous = self._logins.get(login.kind)
        saved = replace(login, generation=max(login.generation, previous.generation if previous else 0) + 1)
        self._logins[login.kind] = saved
        return saved

    def delete(self, kind: LoginKind) -> Login | None:
        return self._logins.pop(kind, None)

    @contextmanager
    def lock(self, kind: LoginKind, timeout: float) -> Iterator[None]:
        if not self._locks[kind].acquire(timeout=timeout):
            raise StoreBusy(f"The {kind} login is being renewed elsewhere in this process.", hint="Try again.")
        try:
            yield
        finally:
            self._locks[kind].release()

    def notes(self) -> tuple[str, ...]:
        return ()
