"""Where sign-ins rest. One protocol, several places; the contract is :mod:`keystead.testing.store_contract`."""

from contextlib import AbstractContextManager
from typing import Protocol

from keystead.credentials import Login, LoginKind


class TokenStore(Protocol):
    """At most one login of each kind.

    Reading writes nothing. Writing is all or nothing: after a crash the store holds the old login or the new
    one. Only the holder of :meth:`lock` may write what it renewed; the lock dies with its process.
    """

    @property
    def location(self) -> str:
        """Where it is, for people: a path, or a word."""

    def load(self, kind: LoginKind) -> Login | None:
        """Return the login, or None when there is none.

        Raises:
            UnreadableFile: there is something, and it cannot be read or must not be trusted.
        """

    def save(self, login: Login) -> Login:
        """Keep ``login`` durably in place of the one of its kind; return it with the next generation.

        Raises:
            StoreUnavailable: it could not be written; what was there is still there.
        """

    def delete(self, kind: LoginKind) -> Login | None:
        """Remove the login and every earlier generation of it; return what was removed."""

    def lock(self, kind: LoginKind, timeout: float) -> AbstractContextManager[None]:
        """Hold the right to renew the login of ``kind``, across all processes on this machine.

        Args:
            kind: which login.
            timeout: seconds to wait for another holder.

        Raises:
            StoreBusy: another process held it longer than that.
        """

    def notes(self) -> tuple[str, ...]:
        """Return sentences about what reading found out of order, such as a damaged file."""
