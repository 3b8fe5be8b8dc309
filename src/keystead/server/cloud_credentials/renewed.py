"""A token that ends and is renewed before that, by a thread that may wait."""

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from keystead.clock import SYSTEM_CLOCK, Clock
from keystead.secret import Secret
from keystead.server.fixed_credential import FixedCredential
from keystead.server.upstream_shape import CredentialUnavailable, Unsigned

AHEAD: Final = 300.0
"""Seconds before its end that a credential is renewed, or half of its life where that is shorter."""


NEW: Final = 60.0
"""Seconds for which a credential that was got is as good as new: who refuses it then would refuse the next one too."""


class Token(NamedTuple):
    """What a cloud issued.

    Attributes:
        ends_at: Unix time.
    """

    value: Secret
    ends_at: float


def renew_at(ends_at: float, now: float) -> float:
    """Return the time from which something that ends is renewed."""
    return ends_at - min(AHEAD, max(ends_at - now, 0.0) / 2)


class Ending(Protocol):
    """Something that ends; all are Unix times.

    Attributes:
        renew_at: from when it is renewed.
        got_at: since when it is there.
    """

    @property
    def renew_at(self) -> float: ...

    @property
    def got_at(self) -> float: ...


def renewal_due(state: Ending, *, refused: bool) -> float:
    """Return the time from which it is renewed: before its time when it was refused, unless it was as good as new."""
    return min(state.renew_at, state.got_at + NEW) if refused else state.renew_at


class _State(NamedTuple):
    """What is shown; replaced as a whole, since another thread reads it."""

    line: bytes | None = None
    version: int = 0
    renew_at: float = 0.0
    ends_at: float = 0.0
    got_at: float = 0.0


class TokenCredential:
    """Implements :class:`~keystead.server.upstream_shape.UpstreamCredential`.

    Args:
        ask: gets a token; it may wait, and raises a KeysteadError with what to do.
        clock: by which a token ends.
        more: header lines that go with it, each with its line end.
        missing: what the operator reads while there is none.
    """

    def __init__(
        self,
        ask: Callable[[], Token],
        clock: Clock = SYSTEM_CLOCK,
        more: bytes = b"",
        missing: str = "the cloud has issued no token",
    ) -> None:
        self._ask = ask
        self._more = more
        self._missing = missing
        self._clock = clock
        self._state = _State()
        self._refused = -1

    def refused(self) -> None:
        """See :class:`~keystead.server.upstream_shape.RenewedCredential`."""
        self._refused = self._state.version

    def refresh(self) -> None:
        """Get a token if there is none, or it ends soon.

        Raises:
            KeysteadError: there is none to be had; one that has not ended yet goes on.
        """
        state, now = self._state, self._clock.now()
        if now < renewal_due(state, refused=self._refused == state.version):
            return
        try:
            token = self._ask()
        except Exception:
            if state.line is not None and now >= state.ends_at:
                self._state = _State(version=state.version + 1)
            raise
        line = FixedCredential(token.value, "authorization", "the token that was issued").fixed or b""
        self._state = _State(line + self._more, state.version + 1, renew_at(token.ends_at, now), token.ends_at, now)

    @property
    def fixed(self) -> bytes | None:
        """The line of the token that is there, until it is renewed."""
        return self._state.line

    @property
    def version(self) -> int:
        """Grows with each token."""
        return self._state.version

    def lines(self, _request: Unsigned) -> bytes:
        """Return the line.

        Raises:
            CredentialUnavailable: there is no token that has not ended.
        """
        if self._state.line is None:
            raise CredentialUnavailable(self._missing)
        return self._state.line
