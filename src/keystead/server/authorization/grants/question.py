"""What every grant is asked."""

from dataclasses import dataclass
from datetime import datetime

from keystead.server.authorization.federated import Identity
from keystead.server.authorization.models import Client
from keystead.server.authorization.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Question:
    """One request to the token endpoint.

    Attributes:
        client: who asks, authenticated if it must be; None if the request does not say. The gateway protocol's
            clients do not say when they refresh.
        label: what the device says it is.
        identity: of the workload that asks, found before the grant's transaction begins.
        at_once: others wait for the answer, so it may not wait for another server.
        key: thumbprint of the key that signed the request, as :mod:`~keystead.server.authorization.checks.binding`
            found, or empty.
    """

    parameters: Parameters
    client: Client | None
    label: str
    now: datetime
    identity: Identity | None = None
    at_once: bool = False
    key: str = ""

    def is_by_another_than(self, owner: Client) -> bool:
        """Return whether another client than ``owner`` asks; one that must authenticate may not stay unnamed."""
        return owner.is_confidential if self.client is None else self.client.pk != owner.pk
