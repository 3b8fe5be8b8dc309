"""What every grant is asked."""

from dataclasses import dataclass
from datetime import datetime

from keystead.server.authorization.models import Client
from keystead.server.authorization.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Question:
    """One request to the token endpoint.

    Attributes:
        client: who says it asks, if it says; the gateway protocol's clients do not when they refresh.
        label: what the device says it is.
    """

    parameters: Parameters
    client: Client | None
    label: str
    now: datetime

    def is_by_another_than(self, owner: Client) -> bool:
        """Return whether the request names a client, and it is not ``owner``."""
        return self.client is not None and self.client.pk != owner.pk
