"""Whether whoever would get a token is suspended (S-23): what the gateway would refuse is not given out to begin with.

Nothing is ended and nothing used up: once the suspension is lifted, the same refresh token works again.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final
from uuid import UUID

from keystead.server.authorization.models import Client, Grant
from keystead.server.authorization.refusals import Refusal, invalid_grant, invalid_request, refused_refresh
from keystead.server.policy.decide import Suspension
from keystead.server.remembered import Remembered
from keystead.server.suspensions import operations as suspensions
from keystead.wire import ids
from keystead.wire.oauth import DEVICE_CODE_GRANT, TOKEN_EXCHANGE_GRANT

_STANDING: Final = Remembered[Mapping[tuple[str, str], Suspension]]("suspension")
"""Every suspension there is, so that a request asks the database nothing. One that is not heard of in time is refused
by the gateway, which hears of it by itself."""
_REFUSALS: Final[Mapping[str, Callable[[str], Refusal]]] = {
    "refresh_token": refused_refresh,
    "client_credentials": partial(Refusal, "unauthorized_client"),
    DEVICE_CODE_GRANT: partial(Refusal, "access_denied"),
    TOKEN_EXCHANGE_GRANT: invalid_request,
}
"""How a grant says so: RFC 6749 sections 5.2 and 6, RFC 8628 section 3.5, RFC 8693 section 2.2.2."""
_PLAIN: Final = {chr(code) for code in range(0x20, 0x7F)} - set('"\\')


def check(grant: Grant, grant_type: str) -> None:
    """Refuse a token of a sign-in whose member, service account or client is suspended in its organization.

    Raises:
        Refusal: as the RFC of the grant names it.
    """
    found = _found(grant)
    if found is not None:
        raise _REFUSALS.get(grant_type, invalid_grant)(sentence(found))


def check_client(client: Client) -> None:
    """Refuse to begin anything for an organization's client that is suspended there.

    Whoever asks has shown nothing yet, so the administrator's reason is not for them. What a client of everybody's is
    in one organization is known once a person of it is there (:func:`of_client`).

    Raises:
        Refusal: ``unauthorized_client`` (RFC 6749 section 5.2).
    """
    if client.organization_id is not None and of_client(client, client.organization_id) is not None:
        told = "This client is suspended. Ask an administrator of its organization to lift it."
        raise Refusal("unauthorized_client", told)


def of_client(client: Client, organization_id: UUID) -> Suspension | None:
    """Return the suspension of a client in an organization, if there is one."""
    standing = _STANDING.get("all", suspensions.standing)
    return standing.get((ids.dump("organization", organization_id), client.client_id)) if standing else None


def is_suspended(grant: Grant) -> bool:
    """Return whether the member, service account or client of a sign-in is suspended in its organization."""
    return _found(grant) is not None


def _found(grant: Grant) -> Suspension | None:
    standing = _STANDING.get("all", suspensions.standing)
    if not standing:
        return None
    organization = ids.dump("organization", grant.organization_id)
    found = (standing.get((organization, subject)) for subject in (_owner(grant), grant.client.client_id))
    return next((one for one in found if one is not None), None)


def _owner(grant: Grant) -> str:
    if grant.membership_id is not None:
        return ids.dump("membership", grant.membership_id)
    assert grant.service_account_id is not None, "the constraint one_owner_per_grant"
    return ids.dump("service_account", grant.service_account_id)


def sentence(one: Suspension) -> str:
    """Return what is told: with the administrator's reason, if it has only characters that may stand there."""
    why = f": {one.reason.rstrip('.')}" if _PLAIN.issuperset(one.reason) else ""
    return f"{one.what} is suspended{why}. Ask an administrator to lift it."
