"""From a verified statement to a person of the organization."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from django.db import IntegrityError, transaction

from keystead.server.audit import operations as audit
from keystead.server.identity.models import Person
from keystead.server.organizations import groups, memberships
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Group, GroupSource, Membership
from keystead.server.organizations.roles import Role
from keystead.server.sealing import seal
from keystead.server.sso import domains
from keystead.server.sso.admission import Admission, Facts, Rules, decide
from keystead.server.sso.asserted import Asserted
from keystead.server.sso.faults import SignInFault
from keystead.server.sso.models import Connection, Identity
from keystead.wire import ids

REFRESH_TOKEN: Final = "sso refresh token"
WITHOUT_ASKING: Final = timedelta(hours=12)
"""How long a sign-in holds when nobody can ask the identity provider again."""

MOST_GROUPS: Final = 200


def preview(connection: Connection, asserted: Asserted) -> Admission:
    """Return what a sign-in would do, and do nothing.

    Raises:
        SignInFault: the person would not come in.
    """
    known = _Known(connection, asserted)
    return decide(asserted, known.facts(), Rules.from_json(connection.rules))


def admit(connection: Connection, asserted: Asserted, now: datetime) -> Identity:
    """Let the person in: account, membership, role and link as the rules have it.

    Raises:
        SignInFault: they may not come in; that is written down.
    """
    try:
        return _admit(connection, asserted, now)
    except IntegrityError:  # the same person in two browsers at once: the second finds what the first made
        return _admit(connection, asserted, now)
    except SignInFault as fault:
        refused(connection, fault, now)
        raise


def refused(connection: Connection, fault: SignInFault, now: datetime) -> None:
    """Write down that a sign-in was not taken, and why; nothing of what came from outside."""
    audit.record(
        organization=connection.organization,
        actor=audit.SYSTEM,
        action="connection:refuse",
        target=connection.wire_id,
        at=now,
        details={"reason": fault.reason},
    )


@transaction.atomic
def _admit(connection: Connection, asserted: Asserted, now: datetime) -> Identity:
    known = _Known(connection, asserted)
    admission = decide(asserted, known.facts(), Rules.from_json(connection.rules))
    person = known.person or _new_person(connection, asserted, now)
    member = known.member or _new_member(connection, person, admission.role, now)
    if admission.changes_role:
        memberships.change_role(member, admission.role, connection.wire_id, now)
    _sort_into_groups(connection, member, asserted.groups, now)
    return _remember(known.identity, connection, person, asserted, admission, now)


class _Known:
    """What the database says about the person of a statement."""

    def __init__(self, connection: Connection, asserted: Asserted) -> None:
        self._connection = connection
        self._asserted = asserted
        related = Identity.objects.select_related("person").filter(connection=connection)
        self.identity = related.filter(subject=asserted.subject).first()
        by_address = Person.objects.filter(email=asserted.email.lower()).first()
        self.person = self.identity.person if self.identity is not None else by_address
        self.member = self._membership()

    def _membership(self) -> Membership | None:
        if self.person is None:
            return None
        mine = Membership.objects.select_related("organization", "person").filter(person=self.person)
        return mine.filter(organization=self._connection.organization).first()

    def facts(self) -> Facts:
        role = None if self.member is None else Role(self.member.role)
        return Facts(
            is_known=self.identity is not None,
            domain_is_ours=domains.belongs_to(domains.of_address(self._asserted.email), self._connection.organization),
            has_account=self.person is not None,
            address_verified=self.person is not None and self.person.email_verified_at is not None,
            is_another_subject=self._is_another_subject(),
            is_active=self.person is None or self.person.is_active,
            role=role,
            membership_ended=self.member is not None and self.member.deactivated_at is not None,
            manages_role=self.identity is not None and self.identity.manages_role,
            acts_elsewhere=self._acts_elsewhere(),
            is_last_administrator=role is Role.ADMIN and not self._others(Role.ADMIN),
        )

    def _is_another_subject(self) -> bool:
        if self.identity is not None or self.person is None:
            return False
        return Identity.objects.filter(connection=self._connection, person=self.person).exists()

    def _acts_elsewhere(self) -> bool:
        acting = None if self.person is None else organizations.membership_of(self.person)
        return acting is not None and acting.organization_id != self._connection.organization_id

    def _others(self, role: Role) -> bool:
        there = Membership.objects.filter(organization=self._connection.organization, role=role.value)
        return there.filter(person__is_active=True, deactivated_at=None).exclude(person=self.person).exists()


def _new_person(connection: Connection, asserted: Asserted, now: datetime) -> Person:
    """Store somebody who has no password: they come in through the connection."""
    person = Person.objects.create_user(
        asserted.email, None, name=asserted.name[:200], created_at=now, email_verified_at=now
    )
    _record(connection, person, "person:create", ids.dump("person", person.id), now)
    return person


def _new_member(connection: Connection, person: Person, role: Role, now: datetime) -> Membership:
    member = organizations.add_member(connection.organization, person, role, now)
    _record(connection, person, "membership:create", ids.dump("membership", member.id), now, role=role.value)
    return member


def _sort_into_groups(connection: Connection, member: Membership, names: Iterable[str], now: datetime) -> None:
    """Put the member into the groups that were named, as far as nobody else manages groups of these names."""
    wanted = []
    for name in dict.fromkeys(one.strip() for one in list(names)[:MOST_GROUPS]):
        if not name or len(name) > groups.LONGEST_NAME or not name.isprintable():
            continue
        group = Group.objects.filter(organization=connection.organization, name=name).first()
        if group is None:
            group = groups.create(
                connection.organization, name, source=GroupSource.SSO, actor=connection.wire_id, now=now
            )
        if group.source == GroupSource.SSO:
            wanted.append(group)
    groups.set_groups(member, wanted, GroupSource.SSO, connection.wire_id, now)


def _remember(
    identity: Identity | None,
    connection: Connection,
    person: Person,
    asserted: Asserted,
    admission: Admission,
    now: datetime,
) -> Identity:
    token = asserted.refresh_token
    fresh = {
        "email": asserted.email.lower(),
        "sealed_refresh_token": "" if token is None else seal(REFRESH_TOKEN, token),
        "valid_until": _valid_until(asserted, now),
        "confirmed_at": now,
        "asked_at": None,
        "refused_at": None,
    }
    if identity is not None:
        Identity.objects.filter(pk=identity.pk).update(**fresh)
        identity.refresh_from_db()
        return identity
    identity = Identity.objects.create(
        connection=connection,
        person=person,
        subject=asserted.subject,
        manages_role=admission.creates_membership,
        created_at=now,
        **fresh,
    )
    _record(connection, person, "identity:link", ids.dump("identity", identity.id), now)
    return identity


def _valid_until(asserted: Asserted, now: datetime) -> datetime | None:
    """Return until when the statement holds; None where the identity provider can be asked again."""
    if asserted.valid_until is not None:
        return asserted.valid_until
    return None if asserted.refresh_token is not None else now + WITHOUT_ASKING


def _record(connection: Connection, person: Person, action: str, target: str, now: datetime, **details: str) -> None:
    audit.record(
        organization=connection.organization,
        actor=ids.dump("person", person.id),
        action=action,
        target=target,
        at=now,
        details={"connection": connection.wire_id, **details},
    )
