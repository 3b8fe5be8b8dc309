"""The server's own identity, as its platform mounts it, exchanged for the vendor's short-lived token (RFC 7523).

No stored secret: the platform replaces the identity token, and each exchange shows the one that is there.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from keystead.clock import SYSTEM_CLOCK, Clock
from keystead.credentials.federation import Federation
from keystead.drivers import conversation
from keystead.drivers.transport import HttpTransport
from keystead.flows import federation
from keystead.secret import Secret
from keystead.server.fixed_credential import FixedCredential
from keystead.server.outbound import Reach
from keystead.server.upstream_network import Guard
from keystead.server.upstream_shape import CredentialUnavailable, Unsigned
from keystead.sources.federation import BETA

AHEAD: Final = 300.0
"""Seconds before its end that a token is renewed, or half of its life where that is shorter."""
DEADLINE: Final = 10.0


class _State(NamedTuple):
    """What is shown; replaced as a whole, since another thread reads it."""

    lines: bytes | None = None
    version: int = 0
    renew_at: float = 0.0
    ends_at: float = 0.0


class WorkloadCredential:
    """Implements :class:`~keystead.server.upstream_shape.UpstreamCredential`.

    Args:
        values: the fields of the method but for the next.
        identity: reads the identity token that is there now.
        base_url: the API, which also issues the token.
        within: what the operator has opened.
        clock: by which a token ends.
    """

    def __init__(
        self,
        values: Mapping[str, Secret],
        identity: Callable[[], Secret],
        base_url: str,
        within: Reach,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        text = {name: value.reveal() for name, value in values.items()}
        self._rule = Federation(
            text["federation_rule_id"],
            text["organization_id"],
            service_account_id=text.get("service_account_id"),
            workspace_id=text.get("workspace_id"),
        )
        self._identity = identity
        self._base_url = base_url
        self._transport = HttpTransport(deadline=DEADLINE, guard=Guard(within).choose(base_url))
        self._clock = clock
        self._state = _State()

    def refresh(self) -> None:
        """Exchange the identity for a token if there is none, or it ends soon; it may wait for the vendor.

        Raises:
            KeysteadError: the exchange failed; a token that has not ended yet goes on.
        """
        state, now = self._state, self._clock.now()
        if now < state.renew_at:
            return
        try:
            flow = federation.exchange(self._rule, self._base_url, self._identity(), now)
            tokens = conversation.run(flow, self._transport, self._clock)
        except Exception:
            if now >= state.ends_at:
                self._state = _State(version=state.version + 1)
            raise
        ahead = min(AHEAD, tokens.expires_in / 2)
        line = FixedCredential(tokens.access_token, "authorization", "the vendor's token").fixed or b""
        lines = b"%banthropic-beta: %b\r\n" % (line, BETA.encode("ascii"))
        self._state = _State(lines, state.version + 1, tokens.expires_at - ahead, tokens.expires_at)

    @property
    def fixed(self) -> bytes | None:
        """The lines of the token that is there, until it is renewed."""
        return self._state.lines

    @property
    def version(self) -> int:
        """Grows with each token."""
        return self._state.version

    def lines(self, _request: Unsigned) -> bytes:
        """Return the lines."""
        if self._state.lines is None:
            raise CredentialUnavailable("the identity could not be exchanged for a token")
        return self._state.lines
