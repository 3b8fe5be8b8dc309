"""The server's own identity, as its platform mounts it, exchanged for the vendor's short-lived token (RFC 7523).

No stored secret: the platform replaces the identity token, and each exchange shows the one that is there.
"""

from collections.abc import Callable, Mapping
from typing import Final

from keystead.clock import SYSTEM_CLOCK, Clock
from keystead.credentials.federation import Federation
from keystead.drivers import conversation
from keystead.drivers.transport import HttpTransport
from keystead.flows import federation
from keystead.secret import Secret
from keystead.server.cloud_credentials.renewed import Token, TokenCredential
from keystead.server.outbound import Reach
from keystead.server.upstream_network import Guard
from keystead.sources.federation import BETA

DEADLINE: Final = 10.0


class WorkloadCredential(TokenCredential):
    """Renewed by an exchange; a token that has not ended goes on when one fails.

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
        rule = Federation(
            text["federation_rule_id"],
            text["organization_id"],
            service_account_id=text.get("service_account_id"),
            workspace_id=text.get("workspace_id"),
        )
        transport = HttpTransport(deadline=DEADLINE, guard=Guard(within).choose(base_url))

        def exchanged() -> Token:
            flow = federation.exchange(rule, base_url, identity(), clock.now())
            tokens = conversation.run(flow, transport, clock)
            return Token(tokens.access_token, tokens.expires_at)

        beta = b"anthropic-beta: %b\r\n" % BETA.encode("ascii")
        super().__init__(exchanged, clock, beta, "the identity could not be exchanged for a token")
