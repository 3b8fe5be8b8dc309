"""A store that ends with the process: for tests, and for machines where nothing may be written."""

import copy
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from keystead.credentials import Login, LoginKind
from keystead.errors import StoreBusy
from keystead.stores import DEFAULT_PROFILE
from keystead.stores.generations import restored, successor, without
from keystead.stores.record import Key, require_unused


class MemoryStore:
    """Logins in a dictionary; the locks are between threads."""

    def __init__(self) -> None:
        self._profile = DEFAULT_PROFILE
        self._logins: dict[Key, Login] = {}
        self._locks: defaultdict[Key, threading.Lock] = defaultdict(threading.Lock)

    @property
    def location(self) -> str:
        return "memory"

    @property
    def profile(self) -> str:
        return self._profile

    def at(self, profile: str) -> Self:
        view = copy.copy(self)
        view._profile = profile
        return view

    def still(self) -> Self:
        view = copy.copy(self)
        view._logins = dict(self._logins)
        return view

    def profiles(self) -> tuple[str, ...]:
        return tuple(sorted({profile for profile, _ in self._logins}))

    def rename(self, profile: str) -> None:
        require_unused(self._logins, profile)
        for key in [key for key in self._logins if key[0] == self._profile]:
            self._logins[profile, key[1]] = self._logins.pop(key)

    def load(self, kind: LoginKind) -> Login | None:
        return self._logins.get((self._profile, kind))

    def peek(self, kind: LoginKind) -> Login | None:
        return self.load(kind)

    def save(self, login: Login) -> Login:
        return self._keep(successor(login, self.load(login.kind)))

    def restore(self, kind: LoginKind) -> Login:
        return self._keep(restored(self.load(kind)))

    def forget(self, login: Login) -> None:
        stored = self.load(login.kind)
        if stored is not None:
            self._keep(without(stored, login))

    def _keep(self, login: Login) -> Login:
        self._logins[self._profile, login.kind] = login
        return login

    def delete(self, kind: LoginKind) -> Login | None:
        return self._logins.pop((self._profile, kind), None)

    @contextmanager
    def lock(self, kind: LoginKind, timeout: float) -> Iterator[None]:
        held = self._locks[self._profile, kind]
        if not held.acquire(timeout=timeout):
            raise StoreBusy(f"The {kind} login is being renewed elsewhere in this process.", hint="Try again.")
        try:
            yield
        finally:
            held.release()

    def notes(self) -> tuple[str, ...]:
        return ()
