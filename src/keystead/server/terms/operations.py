"""Publishing terms, choosing which govern, accepting them, and what the gateway needs to know of it (S-21).

A version is accepted with all that were published before it: who accepted next month's owes this month's no longer.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Count, Q, QuerySet

from keystead.errors import UsageError
from keystead.server.audit import operations as audit
from keystead.server.changes import CHANGES, Change
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership, Organization
from keystead.server.organizations.roles import Permission
from keystead.server.policy.terms import DEFAULT, NOTHING, Kind, Standing, Unaccepted
from keystead.server.remembered import Remembered
from keystead.server.terms.models import Acceptance, Governance, Terms
from keystead.wire import ids

LONGEST: Final = 500_000
"""Characters of a text."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_ORDER: Final = ("published_at", "id")


@dataclass(frozen=True, slots=True)
class Version:
    """A version without its text, as it is kept in memory."""

    id: UUID
    kind: str
    name: str
    in_force_at: datetime


@dataclass(frozen=True, slots=True)
class Owed:
    """What somebody is asked to accept.

    Attributes:
        version: the newest of the kind that governs them.
        for_organization: their organization has not accepted it, and they may do that.
        for_oneself: they have not accepted it themselves.
        in_force: it is already.
    """

    version: Version
    for_organization: bool
    for_oneself: bool
    in_force: bool


_PUBLISHED: Final = Remembered[tuple[Version, ...]]("terms")


def publish(kind: Kind, version: str, text: str, in_force_at: datetime, now: datetime) -> Terms:
    """Store a new version, which is the newest of its kind from now on.

    Args:
        kind: of the terms.
        version: a name of letters, digits, dots, hyphens and underscores, at most 40.
        text: plain text.
        in_force_at: when the gateway begins to ask for it; a moment that has passed is now.
        now: when.

    Raises:
        UsageError: the name or the text will not do, or that version is published.
    """
    if not _NAME.fullmatch(version):
        raise UsageError(
            f"The version {version[:60]!r} cannot be a name.",
            hint="Use 1 to 40 letters, digits, dots, hyphens and underscores.",
        )
    if not text.strip() or len(text) > LONGEST or "\0" in text:
        raise UsageError(f"The text must have 1 to {LONGEST} characters.", hint="Give a file of plain text in UTF-8.")
    digest = hashlib.sha256(text.encode()).digest()
    row = {"kind": kind.value, "version": version, "text": text, "digest": digest}
    try:
        with transaction.atomic():
            made = Terms.objects.create(**row, published_at=now, in_force_at=max(in_force_at, now))
            _record(None, audit.SYSTEM, "publish", made.wire_id, {**_facts(made), "in_force": _day(made)}, now)
    except IntegrityError as error:
        raise UsageError(
            f"Version {version} of the {kind.value} terms is published, and a published text never changes.",
            hint="Give the new text a version of its own.",
        ) from error
    return made


@dataclass(frozen=True, slots=True)
class Listed:
    """A version, and how many organizations and members have accepted it."""

    terms: Terms
    organizations: int
    members: int


def listed() -> list[Listed]:
    """Return every version in the order of publication."""
    counted = Acceptance.objects.values_list("terms", "for_organization").annotate(Count("pk")).order_by()
    counts = {(terms, for_organization): count for terms, for_organization, count in counted}
    rows = Terms.objects.defer("text").order_by(*_ORDER)
    return [Listed(one, counts.get((one.pk, True), 0), counts.get((one.pk, False), 0)) for one in rows]


def of_kind(kind: str) -> QuerySet[Terms]:
    """Return the versions of a kind, the newest first."""
    return Terms.objects.filter(kind=kind).order_by(*(f"-{name}" for name in _ORDER))


def find(wire_id: str) -> Terms | None:
    """Return the version of that identifier, or None."""
    try:
        return Terms.objects.filter(pk=ids.parse("terms", wire_id)).first()
    except ValueError:
        return None


def kind_of(organization_id: UUID) -> str:
    """Return which kind governs an organization."""
    return Governance.objects.filter(pk=organization_id).values_list("kind", flat=True).first() or DEFAULT


def is_offered(kind: str) -> bool:
    """Return whether an organization may have that kind govern it: not one without a text while others have one."""
    return of_kind(kind).exists() or not Terms.objects.exists()


def require(member: Membership) -> None:
    """Check that ``member`` may accept terms for their organization, and choose which govern it.

    Raises:
        PolicyDenied: their role may not.
    """
    organizations.require(member, Permission.TERMS_ACCEPT, "accept terms for the organization")


def govern(by: Membership, kind: Kind, now: datetime) -> bool:
    """Have another kind govern the organization; returns False when it does already.

    Raises:
        PolicyDenied: their role may not.
        UsageError: no terms of that kind are published and others are, so that nothing would govern it.
    """
    require(by)
    if not is_offered(kind):
        raise UsageError(f"No {kind.value} terms are published here.", hint="Whoever runs the server publishes them.")
    with transaction.atomic():
        Organization.objects.select_for_update(no_key=True).get(pk=by.organization_id)
        before = kind_of(by.organization_id)
        if before == kind:
            return False
        Governance.objects.update_or_create(organization=by.organization, defaults={"kind": kind.value})
        target = ids.dump("organization", by.organization_id)
        _record(by.organization, _name(by), "govern", target, {"kind": kind.value, "before": before}, now)
    return True


def owed(member: Membership, now: datetime) -> Owed | None:
    """Return what a member is asked to accept, or None; where nothing is published no row is read."""
    published = _published()
    if not published:
        return None
    kind = kind_of(member.organization_id)
    version = next((one for one in reversed(published) if one.kind == kind), None)
    if version is None:
        return None
    ours = Acceptance.objects.filter(Q(by=member) | Q(for_organization=True), organization=member.organization_id)
    found = set(ours.filter(terms=version.id).values_list("for_organization", flat=True))
    may = organizations.may(member, Permission.TERMS_ACCEPT)
    what = Owed(version, may and True not in found, False not in found, version.in_force_at <= now)
    return what if what.for_organization or what.for_oneself else None


def accept(by: Membership, terms: Terms, now: datetime) -> None:
    """Accept a version for oneself and, where one may, for the organization; what is accepted already stays so.

    Raises:
        UsageError: it is not the newest of the kind that governs the organization.
    """
    if of_kind(kind_of(by.organization_id)).values_list("pk", flat=True).first() != terms.pk:
        raise UsageError("These terms have been replaced while you were reading.", hint="Read the newest ones.")
    with transaction.atomic():
        Organization.objects.select_for_update(no_key=True).get(pk=by.organization_id)
        _accept(by, terms, False, Q(by=by), now)
        if organizations.may(by, Permission.TERMS_ACCEPT):
            _accept(by, terms, True, Q(), now)


def _accept(by: Membership, terms: Terms, for_organization: bool, whose: Q, now: datetime) -> None:
    what = {"terms": terms, "organization": by.organization, "for_organization": for_organization}
    if Acceptance.objects.filter(whose, **what).exists():
        return
    Acceptance.objects.create(**what, by=by, at=now)
    details = {**_facts(terms), "for": "organization" if for_organization else "member"}
    _record(by.organization, _name(by), "accept", terms.wire_id, details, now)


def acceptances(organization: Organization) -> QuerySet[Acceptance]:
    """Return what was accepted for an organization, the latest first."""
    rows = Acceptance.objects.filter(organization=organization, for_organization=True)
    return rows.select_related("terms", "by__person").defer("terms__text").order_by("-at", "-id")


def standing(now: datetime, address: str) -> Standing:
    """Return how every organization stands at ``now``, for the gateway's snapshot; ``address`` is where to accept."""
    in_force: dict[str, Unaccepted] = {}
    enough: dict[str, list[UUID]] = {}
    for one in _read():
        if one.in_force_at <= now:
            in_force[one.kind] = Unaccepted(one.kind, one.name, f"{one.in_force_at:%Y-%m-%d}", address)
            enough[one.kind] = []
        enough.setdefault(one.kind, []).append(one.id)
    if not in_force:
        return NOTHING
    sufficient = [id_ for kind in in_force for id_ in enough[kind]]
    accepted = Acceptance.objects.filter(for_organization=True, terms__in=sufficient)
    return Standing(
        in_force,
        {ids.dump("organization", whose): kind for whose, kind in Governance.objects.values_list("pk", "kind")},
        frozenset(
            (ids.dump("organization", whose), kind)
            for whose, kind in accepted.values_list("organization_id", "terms__kind")
        ),
    )


def _published() -> Sequence[Version]:
    return _PUBLISHED.get("", lambda: tuple(_read())) or ()


def _read() -> Iterator[Version]:
    """Yield every version, the oldest first."""
    rows = Terms.objects.order_by(*_ORDER).values_list("pk", "kind", "version", "in_force_at")
    return (Version(*row) for row in rows)


def _facts(terms: Terms) -> audit.Details:
    return {"kind": terms.kind, "version": terms.version, "sha256": bytes(terms.digest).hex()}


def _day(terms: Terms) -> str:
    return f"{terms.in_force_at:%Y-%m-%dT%H:%M:%SZ}"


def _name(member: Membership) -> str:
    return ids.dump("membership", member.pk)


def _record(
    organization: Organization | None, actor: str, verb: str, target: str, details: audit.Details, now: datetime
) -> None:
    """Write the audit event, and tell the gateway once the change is committed."""
    audit.record(organization=organization, actor=actor, action=f"terms:{verb}", target=target, at=now, details=details)
    transaction.on_commit(partial(CHANGES.publish, Change("terms", target)))
