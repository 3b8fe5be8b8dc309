"""Which programs are known here."""

from typing import Final

from keystead.server.authorization.models import Client
from keystead.server.authorization.refusals import invalid_client

GATEWAY_AGENT: Final = "gateway-agent"
"""Who a device is that does not say: the gateway protocol's clients send no ``client_id``."""


def find(client_id: str) -> Client:
    """Return the client of that name.

    Raises:
        Refusal: ``invalid_client``.
    """
    client = Client.objects.filter(client_id=client_id).first()
    if client is None:
        raise invalid_client()
    return client
