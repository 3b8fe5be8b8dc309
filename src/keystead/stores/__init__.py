"""Where sign-ins rest. One protocol, several places; the contract is :mod:`keystead.testing.store_contract`.

A store is a view of one profile: whoever holds it cannot reach another account's login (R-04).
"""

from contextlib import AbstractContextManager
from typing import Final, Protocol

from keystead.credentials import Login, LoginKind

DEFAULT_PROFILE: Final = "default"


class TokenStore(Protocol):
    """At most one login of each kind, for one profile; :meth:`at` is the same place for another profile.

    Reading writes nothing. Writing is all or nothing: after a crash the store holds the old login or the new
    one. Only the holder of :meth:`lock` may write what it renewed; the lock dies with its process.
    """

    @property
    def location(self) -> str:
        """Where it is, for people: a path, or a word."""

    @property
    def profile(self) -> str:
        """The profile whose logins this view holds."""

    def at(self, profile: str) -> "TokenStore":
        """Return the view of another profile in the same place."""

    def still(self) -> "TokenStore":
        """Return the store as it is at the first look, for one decision: what it says does not change meanwhile."""

    def profiles(self) -> tuple[str, ...]:
        """Return the name of every profile that has a login here, sorted.

        Raises:
            UnreadableFile: as :meth:`load`.
        """

    def rename(self, profile: str) -> None:
        """Give this profile's logins another name. Hold the locks of both kinds, or a renewal may bring one back.

        Raises:
            ConfigurationError: there are logins of that name already.
            StoreUnavailable: it could not be written; nothing was renamed.
        """

    def load(self, kind: LoginKind) -> Login | None:
        """Return the login, or None when there is none.

        Raises:
            UnreadableFile: there is something, and it cannot be read or must not be trusted.
        """

    def peek(self, kind: LoginKind) -> Login | None:
        """Return the login, possibly with empty tokens, without asking a person or a keyring (R-06).

        Raises:
            UnreadableFile: as :meth:`load`.
        """

    def save(self, login: Login) -> Login:
        """Keep ``login`` durably in place of the one of its kind; return it with the next generation.

        A login of somebody else that it takes the place of stays restorable.

        Raises:
            StoreUnavailable: it could not be written; what was there is still there.
        """

    def restore(self, kind: LoginKind) -> Login:
        """Go one step back: put a retired login in force again, else the sign-in before this one; return it.

        Raises:
            NoCredential: there is nothing to go back to.
            StoreUnavailable: it could not be written; nothing was changed.
        """

    def forget(self, login: Login) -> None:
        """Make ``login``, which another took the place of, no longer restorable: its server has ended it."""

    def delete(self, kind: LoginKind) -> Login | None:
        """Remove the login and every earlier generation of it; return what was removed."""

    def lock(self, kind: LoginKind, timeout: float) -> AbstractContextManager[None]:
        """Hold the right to renew the login of ``kind``, across all processes on this machine.

        Locks of different profiles are independent.

        Args:
            kind: which login.
            timeout: seconds to wait for another holder.

        Raises:
            StoreBusy: another process held it longer than that.
        """

    def notes(self) -> tuple[str, ...]:
        """Return sentences about what reading found out of order, such as a damaged file."""
