"""What an organization has switched on for the sake of its data (S-22), and who may ask for its models (S-20).

A business associate agreement covers traffic only while nothing is kept, so that switch is on only while the other is:
the database refuses anything else, whoever asks for it at the same time.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Final

from django.db import transaction
from django.db.models import Q

from keystead.errors import UsageError
from keystead.server.audit import operations as audit
from keystead.server.changes import CHANGES, Change
from keystead.server.organizations import operations
from keystead.server.organizations.models import Membership, Organization
from keystead.server.organizations.roles import Permission
from keystead.server.policy.decide import Switches
from keystead.wire import ids


class Switch(StrEnum):
    """A switch, by the name of its column."""

    ZERO_RETENTION = "zero_retention"
    BAA = "baa"
    PROVEN_CLIENTS = "proven_clients"


_POSSIBLE: Final = {
    (Switch.BAA, True): (
        Q(zero_retention=True),
        "A business associate agreement covers traffic only while zero data retention is on.",
        "Switch zero data retention on first.",
    ),
    (Switch.ZERO_RETENTION, False): (
        Q(baa=False),
        "Zero data retention stays on while the business associate agreement is.",
        "Switch the agreement off first: from then on it covers nothing.",
    ),
}
"""When a switch may not simply be turned: the condition, and what is said where it does not hold."""


def require(member: Membership) -> None:
    """Check that ``member`` may turn the organization's switches.

    Raises:
        PolicyDenied: their role may not.
    """
    operations.require(member, Permission.COMPLIANCE_MANAGE, "change what becomes of the organization's data")


def turn(member: Membership, switch: Switch, on: bool, now: datetime) -> bool:
    """Turn a switch; returns False when it stood so already.

    Raises:
        PolicyDenied: the member's role may not.
        UsageError: the state of another switch forbids it.
    """
    require(member)
    condition, why, fix = _POSSIBLE.get((switch, on), (Q(), "", ""))
    with transaction.atomic():
        there = Organization.objects.filter(**{"pk": member.organization_id, switch.value: not on})
        if there.filter(condition).update(**{switch.value: on}):
            _record(member, switch, on, now)
            return True
        if there.exists():
            raise UsageError(why, hint=fix)
    return False


def of(organization: Organization) -> Switches:
    """Return how an organization's switches stand."""
    return Switches(organization.zero_retention, organization.baa, organization.proven_clients)


def standing() -> Mapping[str, Switches]:
    """Return the switches of each organization that has any on, for the gateway's snapshot."""
    some = Q(zero_retention=True) | Q(baa=True) | Q(proven_clients=True)
    return {ids.dump("organization", one.pk): of(one) for one in Organization.objects.filter(some)}


def _record(member: Membership, switch: Switch, on: bool, now: datetime) -> None:
    """Write the audit event, and tell the gateway once the change is committed."""
    wire_id = ids.dump("organization", member.organization_id)
    audit.record(
        organization=member.organization,
        actor=ids.dump("membership", member.pk),
        action=f"organization:{switch.value}",
        target=wire_id,
        at=now,
        details={"on": on},
    )
    transaction.on_commit(partial(CHANGES.publish, Change("switches", wire_id)))
