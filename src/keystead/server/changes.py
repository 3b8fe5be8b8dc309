"""News inside one server process: the control plane publishes what changed, the gateway's snapshot listens.

A change says only *what to look at again*; the database stays the truth. Publishing happens after the
transaction has committed, so a listener that reads the database sees the new state.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Subject = Literal[
    "api_key",
    "client",
    "grant",
    "group",
    "ledger",
    "limit",
    "member",
    "member_address",
    "organization",
    "policy",
    "service_account",
    "signing_key",
    "suspension",
    "switches",
    "terms",
    "upstream",
]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing to look at again: ``id`` is the wire identifier (:mod:`keystead.wire.ids`).

    Of the ledger it is the Unix time at which a request began that was written down late.
    """

    subject: Subject
    id: str


Listener = Callable[[Change], None]


class Changes:
    """A thread-safe list of listeners."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: tuple[Listener, ...] = ()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` for every change from now on; returns the function that ends it."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

        def unsubscribe() -> None:
            with self._lock:
                self._listeners = tuple(one for one in self._listeners if one is not listener)

        return unsubscribe

    def publish(self, change: Change) -> None:
        """Tell every listener, in the caller's thread."""
        for listener in self._listeners:
            listener(change)


CHANGES = Changes()
