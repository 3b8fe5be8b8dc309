"""Who may suspend whom, and the switches that depend on one another."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from keystead.errors import PolicyDenied, UsageError
from keystead.wire import ids

if TYPE_CHECKING:
    from keystead.server.organizations.models import Membership

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def join(administrator: "Membership", name: str, role: str) -> "Membership":
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations
    from keystead.server.organizations.roles import Role

    person = Person.objects.create_user(f"{name}@example.com", None, created_at=NOW)
    return operations.add_member(administrator.organization, person, Role(role), NOW)


def name(member: "Membership") -> str:
    return ids.dump("membership", member.pk)


@pytest.mark.requirement("S-23 suspension")
def test_nobody_suspends_themselves_or_without_the_right_or_a_reason(administrator: "Membership") -> None:
    from keystead.server.suspensions import operations as suspensions

    developer = join(administrator, "bo", "developer")
    with pytest.raises(PolicyDenied, match="your own membership"):
        suspensions.suspend(administrator, name(administrator), "no", NOW)
    for subject in (name(administrator), "key_1", "svac_1", "keystead-cli"):
        with pytest.raises(PolicyDenied, match="Your role developer may not suspend"):
            suspensions.suspend(developer, subject, "no", NOW)
    for reason in ("", "  ", "x" * 201, "a\nb"):
        with pytest.raises(UsageError, match="reason of 1 to 200"):
            suspensions.suspend(administrator, name(developer), reason, NOW)
    assert suspensions.reason_for(administrator.organization_id, name(developer)) == ""


@pytest.mark.requirement("S-23 suspension")
def test_who_is_suspended_lifts_and_suspends_nothing(administrator: "Membership") -> None:
    from keystead.server.audit.models import AuditEvent
    from keystead.server.suspensions import operations as suspensions

    other = join(administrator, "cy", "admin")
    assert suspensions.suspend(administrator, name(other), "Away", NOW)
    with pytest.raises(PolicyDenied, match="Your own membership is suspended"):
        suspensions.suspend(other, name(administrator), "Revenge", NOW)
    with pytest.raises(PolicyDenied, match="your own membership"):
        suspensions.lift(other, name(other), NOW)
    assert [one.subject for one in suspensions.living(administrator.organization)] == [name(other)]
    begun = AuditEvent.objects.get(action="suspension:begin")
    assert (begun.target, begun.details) == (name(other), {"reason": "Away"})


@pytest.mark.requirement("S-22 switches")
def test_the_agreement_is_on_only_while_nothing_is_kept(administrator: "Membership") -> None:
    from django.db import IntegrityError, transaction

    from keystead.server.audit.models import AuditEvent
    from keystead.server.organizations.models import Organization
    from keystead.server.organizations.switches import Switch, of, turn
    from keystead.server.policy.decide import Switches

    with pytest.raises(UsageError, match="only while zero data retention is on"):
        turn(administrator, Switch.BAA, True, NOW)
    assert turn(administrator, Switch.ZERO_RETENTION, True, NOW)
    assert turn(administrator, Switch.BAA, True, NOW)
    assert not turn(administrator, Switch.BAA, True, NOW)
    with pytest.raises(UsageError, match="stays on while the business associate agreement is"):
        turn(administrator, Switch.ZERO_RETENTION, False, NOW)
    organization = Organization.objects.get(pk=administrator.organization_id)
    assert of(organization) == Switches(zero_retention=True, baa=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        Organization.objects.filter(pk=organization.pk).update(zero_retention=False)
    assert turn(administrator, Switch.BAA, False, NOW)
    assert turn(administrator, Switch.ZERO_RETENTION, False, NOW)
    told = AuditEvent.objects.filter(action__startswith="organization:").order_by("id")
    assert [(one.action.partition(":")[2], one.details["on"]) for one in told] == [
        ("zero_retention", True), ("baa", True), ("baa", False), ("zero_retention", False),
    ]  # fmt: skip


@pytest.mark.requirement("S-22 switches")
def test_only_administrators_turn_switches(administrator: "Membership") -> None:
    from keystead.server.organizations.switches import Switch, turn

    for role in ("developer", "agent_user", "billing"):
        with pytest.raises(PolicyDenied, match="may not change what becomes of the organization's data"):
            turn(join(administrator, role, role), Switch.ZERO_RETENTION, True, NOW)
