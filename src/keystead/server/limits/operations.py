"""Setting, changing and removing limits, and writing down who did."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from keystead.errors import UsageError
from keystead.server.audit import operations as audit
from keystead.server.changes import CHANGES, Change
from keystead.server.keys.models import ApiKey
from keystead.server.limits.facts import KINDS
from keystead.server.limits.models import Limit
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Group, Membership, Organization, Workspace
from keystead.server.organizations.roles import Permission
from keystead.server.policy.limits import ALLOWING, MICRO_PER_CENT, PERIODS, SHARED, Beyond, Measure, Period, Scope
from keystead.wire import ids

LARGEST: Final = 10**12
"""Cents, or a number: enough for anybody, and no sum of it breaks a column."""
_DIGITS: Final = re.compile(r"[0-9]{1,13}")
_CURRENCY: Final = re.compile(r"([0-9]{1,10})(?:\.([0-9]{1,2}))?")


@dataclass(frozen=True, slots=True)
class Draft:
    """A limit as an administrator wants it.

    Attributes:
        subject: the wire identifier of what the scope names; empty for the organization.
        amount: micro-units, or a number; None for no limit.
        beyond: what becomes of requests that it has no room for.
    """

    scope: Scope
    subject: str
    measure: Measure
    period: Period
    amount: int | None
    shared: bool = False
    beyond: Beyond = Beyond.STOPPED


def require(member: Membership) -> None:
    """Check that ``member`` may set limits.

    Raises:
        PolicyDenied: their role may not.
    """
    organizations.require(member, Permission.LIMITS_MANAGE, "set limits")


def require_reader(member: Membership) -> None:
    """Check that ``member`` may see everybody's limits.

    Raises:
        PolicyDenied: their role may not.
    """
    organizations.require(member, Permission.USAGE_READ_ALL, "see the limits of others")


def all_of(organization: Organization) -> QuerySet[Limit]:
    """Return an organization's limits, the oldest first."""
    return Limit.objects.filter(organization=organization).order_by("created_at", "id")


def find(organization: Organization, limit_id: str) -> Limit | None:
    """Return the organization's limit with that wire identifier."""
    try:
        return all_of(organization).filter(id=ids.parse("limit", limit_id)).first()
    except ValueError:
        return None


def put(member: Membership, draft: Draft, now: datetime) -> Limit:
    """Set a limit; one of the same scope, measure and period gets what is new and keeps its identifier.

    Raises:
        PolicyDenied: the member's role may not.
        UsageError: the limit cannot be; the message names the field.
    """
    require(member)
    return _put(member.organization, member, draft, now)


def put_as_operator(organization: Organization, draft: Draft, now: datetime) -> Limit:
    """Set a limit as whoever runs the server; otherwise as :func:`put`."""
    return _put(organization, None, draft, now)


def _put(organization: Organization, member: Membership | None, draft: Draft, now: datetime) -> Limit:
    subject = _checked(organization, draft)
    kind = {
        "organization": organization,
        "scope": draft.scope.value,
        "subject": subject,
        "shared": draft.shared,
        "measure": draft.measure.value,
        "period": draft.period.value,
    }
    given = {"amount": draft.amount, "beyond": draft.beyond.value, "updated_at": now}
    fresh = {**given, "created_by": member, "created_at": now}
    with transaction.atomic():
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        limit, is_new = Limit.objects.get_or_create(**kind, defaults=fresh)
        before = None if is_new else limit.amount
        if not is_new:
            limit.amount, limit.beyond, limit.updated_at = draft.amount, draft.beyond.value, now
            limit.save(update_fields=list(given))
        _record(limit, member, "limit:create" if is_new else "limit:update", before, now)
    return limit


def remove(member: Membership, limit: Limit, now: datetime) -> bool:
    """Remove a limit; what was used stays in the ledger. Returns False when somebody was faster.

    Raises:
        PolicyDenied: the member's role may not.
    """
    require(member)
    return _remove(member.organization, member, limit, now)


def remove_as_operator(organization: Organization, limit: Limit, now: datetime) -> bool:
    """Remove a limit as whoever runs the server; otherwise as :func:`remove`."""
    return _remove(organization, None, limit, now)


def _remove(organization: Organization, member: Membership | None, limit: Limit, now: datetime) -> bool:
    with transaction.atomic():
        gone, _ = Limit.objects.filter(pk=limit.pk, organization=organization).delete()
        if gone:
            _record(limit, member, "limit:remove", limit.amount, now)
    return bool(gone)


def cents(text: str) -> int:
    """Return micro-units from whole cents as they are on the wire.

    Raises:
        UsageError: it is not a whole number of cents.
    """
    if not _DIGITS.fullmatch(text) or int(text) > LARGEST:
        raise UsageError("amount is not a whole number of cents.", hint='Such as "50000" for 500.00, or null.')
    return int(text) * MICRO_PER_CENT


def money(text: str) -> int:
    """Return micro-units from an amount as people write it.

    Raises:
        UsageError: it is not an amount.
    """
    found = _CURRENCY.fullmatch(text.strip())
    if found is None:
        raise UsageError("The amount is not one.", hint="Write it like 250 or 12.50.", field="amount")
    return (int(found[1]) * 100 + int((found[2] or "0").ljust(2, "0"))) * MICRO_PER_CENT


def number(text: str) -> int:
    """Return a number of requests or tokens.

    Raises:
        UsageError: it is not one.
    """
    if not _DIGITS.fullmatch(text.strip()) or int(text) > LARGEST:
        raise UsageError("The amount is not a whole number.", hint="Write it like 60.", field="amount")
    return int(text)


def _checked(organization: Organization, draft: Draft) -> UUID:
    if draft.period not in PERIODS[draft.measure]:
        possible = ", ".join(PERIODS[draft.measure])
        raise UsageError(f"period: {draft.measure.value} is limited over: {possible}.", hint="Choose one of them.")
    if draft.measure is Measure.ALLOWANCE and (draft.scope not in ALLOWING or draft.shared):
        raise UsageError("scope: an allowance is for people, each.", hint="Give it to everybody, a group or a person.")
    if draft.beyond is Beyond.METERED and draft.measure is not Measure.ALLOWANCE:
        raise UsageError("beyond: only an allowance can be metered beyond.", hint="Beyond a limit, requests stop.")
    if draft.shared not in SHARED[draft.scope]:
        is_one = "of one person" if draft.shared else "shared by all who draw on it"
        raise UsageError(f"shared: a limit of {draft.scope.value} is always {is_one}.", hint="Choose that.")
    if draft.shared and draft.amount is None:
        raise UsageError("amount: a shared limit has one.", hint="Remove the limit instead.")
    return _subject(organization, draft)


def _subject(organization: Organization, draft: Draft) -> UUID:
    if draft.scope is Scope.ORGANIZATION:
        return organization.pk
    model = {Scope.WORKSPACE: Workspace, Scope.GROUP: Group, Scope.USER: Membership, Scope.KEY: ApiKey}[draft.scope]
    try:
        subject = ids.parse(KINDS[draft.scope], draft.subject)
    except ValueError:
        subject = None
    if subject is None or not model.objects.filter(pk=subject, organization=organization).exists():  # type: ignore[attr-defined]
        raise UsageError(
            f"The organization has no such {draft.scope.value}: {draft.subject[:64]}.",
            hint="Choose one of its own.",
            field="subject",
        )
    return subject


def _record(limit: Limit, by: Membership | None, action: str, before: int | None, now: datetime) -> None:
    """Write the audit event, and tell the gateway once the change is committed."""
    details: audit.Details = {
        "scope": limit.scope,
        "subject": ids.dump(KINDS[Scope(limit.scope)], limit.subject),
        "shared": limit.shared,
        "measure": limit.measure,
        "period": limit.period,
        "beyond": limit.beyond,
        "before": before,
        "amount": None if action == "limit:remove" else limit.amount,
    }
    audit.record(
        organization=limit.organization,
        actor=audit.SYSTEM if by is None else ids.dump("membership", by.pk),
        action=action,
        target=limit.wire_id,
        at=now,
        details=details,
    )
    transaction.on_commit(partial(CHANGES.publish, Change("limit", limit.wire_id)))
