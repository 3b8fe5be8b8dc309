"""Which programs are known here."""

from typing import Final
from uuid import UUID

from django.db.models import CharField, UUIDField

from keystead.server.authorization.models import Client
from keystead.server.authorization.refusals import invalid_client
from keystead.server.remembered import Remembered
from keystead.server.statements import Parameter, Prepared

GATEWAY_AGENT: Final = "gateway-agent"
"""Who a device is that does not say: the gateway protocol's clients send no ``client_id``."""

WORKLOAD: Final = "workload"
"""Who a workload is that shows an identity token and names no client, as the vendor's SDKs do."""

_CLIENT: Final = Prepared(
    lambda: Client.objects.select_related("service_account__organization").filter(
        client_id=Parameter("client_id", CharField())
    )
)
_OF_KEY: Final = Prepared(
    lambda: Client.objects.select_related("service_account__organization").filter(id=Parameter("key", UUIDField()))
)
_REMEMBERED: Final = Remembered[Client]("client", "service_account", "organization")


def find(client_id: str) -> Client:
    """Return the client of that name; whether it is the one that asks is :mod:`checks.client_authentication`.

    Raises:
        Refusal: ``invalid_client``: there is none, or an administrator has disabled it.
    """
    client = _REMEMBERED.get(client_id, lambda: _CLIENT.first(client_id=client_id))
    if client is None:
        raise invalid_client()
    if client.disabled_at is not None:
        raise invalid_client("This client has been disabled.")
    return client


def of_key(key: UUID) -> Client:
    """Return the client of a row that refers to it, disabled or not."""
    client = _REMEMBERED.get(key, lambda: _OF_KEY.first(key=key))
    assert client is not None, "a row that is referred to"
    return client
