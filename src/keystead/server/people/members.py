"""Members as an administrator sees and changes them: found page by page, and never against the rules.

Whoever changes a member holds a lock on the organization meanwhile, and reads actor and member again under it. So what
two administrators do to each other at once happens one after the other, and the second is judged by what the first did.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

from django.db import transaction
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet

from keystead.errors import PolicyDenied
from keystead.server.audit import operations as audit
from keystead.server.factors import operations as factors
from keystead.server.identity import browser_sessions
from keystead.server.identity.models import Person
from keystead.server.organizations import memberships, roles
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Group, Membership, Organization
from keystead.server.organizations.roles import Permission, Role
from keystead.server.scim import tokens as scim_tokens
from keystead.server.sso.models import Identity
from keystead.wire import ids

T = TypeVar("T")

AT_ONCE: Final = 50
"""Members on a page."""

STATES: Final = {"active": "Active", "ended": "Ended"}
"""What can be listed; the first unless one is asked for."""


@dataclass(frozen=True, slots=True)
class Member:
    """One line of the list.

    Attributes:
        ways: how they sign in, in words.
        is_provisioned: an identity provider looks after them by SCIM, and alone may end and bring back.
        role_is_told: single sign-on gives the role at each sign-in, until somebody changes it here.
    """

    membership: Membership
    ways: tuple[str, ...]
    is_provisioned: bool
    role_is_told: bool

    @property
    def wire_id(self) -> str:
        """The membership's identifier, ``mem_…``."""
        return ids.dump("membership", self.membership.pk)

    @property
    def is_active(self) -> bool:
        """Whether they may act here."""
        return self.membership.deactivated_at is None and self.membership.person.is_active

    @property
    def groups(self) -> list[Group]:
        """The groups they are in, by name."""
        return list(self.membership.groups.all())


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the members.

    Attributes:
        following: the identifier to ask for the next page with; None on the last.
    """

    members: list[Member] = field(default_factory=list)
    following: str | None = None


def require_reading(member: Membership) -> None:
    """Check that ``member`` may see who the others are.

    Raises:
        PolicyDenied: their role may not.
    """
    organizations.require(member, Permission.MEMBERS_READ, "see the members")


def require(member: Membership) -> None:
    """Check that ``member`` may change members, invitations and groups.

    Raises:
        PolicyDenied: their role may not.
    """
    organizations.require(member, Permission.MEMBERS_MANAGE, "manage members")


def require_standing(member: Membership) -> None:
    """Check the same of ``member`` as it was read just now, and that it has not ended.

    Raises:
        PolicyDenied: it has, or their role may not.
    """
    if member.deactivated_at is not None or not member.person.is_active:
        raise PolicyDenied("Your own membership has ended.", hint="Ask an administrator to bring you back.")
    require(member)


def page(by: Membership, search: str = "", state: str = "active", after: str = "", group: Group | None = None) -> Page:
    """Return the members whose address or name begins with ``search``, in the order of their addresses.

    A page is found by an index, wherever it begins; it costs the same number of questions whoever is on it.

    Args:
        by: who asks; the page is of their organization.
        search: the beginning of an e-mail address or of a name, in any case; empty for everybody.
        state: a key of :data:`STATES`; anything else counts as the first.
        after: the identifier of the member before the first one of the page; empty for the beginning.
        group: only those who are in it, in whatever state.
    """
    people = Person.objects.filter(_belongs(by.organization, state, group)).order_by("email")
    wanted = search.strip().replace("\0", "")
    if wanted:
        people = people.filter(Q(email__startswith=wanted.lower()) | Q(name__istartswith=wanted))
    before = _find(by, after) if after else None
    if before is not None:
        people = people.filter(email__gt=before.person.email)
    found = list(people.values_list("pk", flat=True)[: AT_ONCE + 1])
    shown = list(_of(by.organization).filter(person__in=found[:AT_ONCE]))
    following = ids.dump("membership", shown[-1].pk) if len(found) > AT_ONCE else None
    return Page(_described(by.organization, shown), following)


def _belongs(organization: Organization, state: str, group: Group | None) -> Q:
    """Return the condition on people that they are members in ``state``.

    Of those who stand it is asked person by person, along the index over addresses, so that a page costs its own length
    and not the organization's: joined, SQLite would sort all members for every page. Those who ended, and those in a
    group, are found by an index of their own.
    """
    theirs = Membership.objects.filter(organization=organization)
    if group is not None:
        return Q(pk__in=theirs.filter(groups=group).values("person"))
    if state == "ended":
        return Q(pk__in=theirs.filter(deactivated_at__isnull=False).values("person"))
    return Q(Exists(theirs.filter(deactivated_at=None, person=OuterRef("pk"))))


def find(by: Membership, member_id: str) -> Member | None:
    """Return the member ``mem_…`` of the same organization, or None."""
    found = _find(by, member_id)
    return None if found is None else _described(by.organization, [found])[0]


def roles_given_by(by: Membership) -> list[Role]:
    """Return the roles that ``by`` may give and take: those that can do nothing they cannot do themselves."""
    return [role for role in Role if roles.covers(by.role, role)]


def change_role(by: Membership, member: Membership, role: Role, now: datetime) -> None:
    """Give a member another role; it stays, whatever single sign-on says of it later.

    Raises:
        PolicyDenied: the actor's role may not, or not to this member or role; or it is the last administrator.
    """

    def change(actor: Membership, subject: Membership) -> None:
        _require_cover(actor, role, f"give the role {role}")
        if subject.role == role:
            return
        memberships.change_role(subject, role, _name(actor), now)
        of_here = Identity.objects.filter(connection__organization=subject.organization_id)
        of_here.filter(person=subject.person_id).update(manages_role=False)

    _under_lock(by, member, change)


def end(by: Membership, member: Membership, now: datetime) -> bool:
    """End a membership with all that was begun under it; returns False when it had ended before.

    Raises:
        PolicyDenied: the actor's role may not, or not to this member; it is the last administrator, or provisioned.
    """

    def end(actor: Membership, subject: Membership) -> bool:
        refuse_if_provisioned(subject)
        if actor.pk == subject.pk:
            return memberships.deactivate(subject, _name(actor), "left", now)
        browser_sessions.forget(subject.person)
        return memberships.deactivate(subject, _name(actor), "ended_in_console", now)

    return _under_lock(by, member, end)


def end_sessions(by: Membership, member: Membership, now: datetime) -> bool:
    """Sign a member out of every browser; returns False when they are signed in with none.

    Raises:
        PolicyDenied: the actor's role may not, or not to this member.
    """

    def end(actor: Membership, subject: Membership) -> bool:
        if not browser_sessions.forget(subject.person):
            return False
        audit.record(
            organization=subject.organization,
            actor=_name(actor),
            action="person:end_browser_sessions",
            target=_name(subject),
            at=now,
        )
        return True

    return _under_lock(by, member, end)


def bring_back(by: Membership, member: Membership, now: datetime) -> bool:
    """Let a member act again; returns False when they already may.

    Raises:
        PolicyDenied: the actor's role may not, or not to this member; or they are provisioned.
    """

    def bring_back(actor: Membership, subject: Membership) -> bool:
        refuse_if_provisioned(subject)
        return memberships.reactivate(subject, _name(actor), now)

    return _under_lock(by, member, bring_back)


def forget_factors(by: Membership, member: Membership, now: datetime) -> bool:
    """Remove the second factors of a member who lost them; returns False when there are none.

    Raises:
        PolicyDenied: the actor's role may not, or not to this member; or another organization relies on them too.
    """

    def forget(actor: Membership, subject: Membership) -> bool:
        elsewhere = subject.person.memberships.filter(deactivated_at=None).exclude(organization=actor.organization)
        if elsewhere.exists():
            raise PolicyDenied(
                f"{subject.person} belongs to another organization too, which relies on the same second factor.",
                hint="Whoever runs the server can remove it: keystead server forget-factors EMAIL.",
            )
        return factors.forget(subject.person, now, organization=subject.organization, by=_name(actor))

    return _under_lock(by, member, forget)


def _under_lock(by: Membership, member: Membership, change: Callable[[Membership, Membership], T]) -> T:
    """Do ``change`` with the two as they are now, while nobody else changes a member of the organization."""
    with transaction.atomic():
        Organization.objects.select_for_update(no_key=True).get(pk=by.organization_id)
        there = Membership.objects.select_related("person", "organization").filter(organization=by.organization_id)
        actor, subject = there.get(pk=by.pk), there.get(pk=member.pk)
        require_standing(actor)
        _require_cover(actor, subject.role, f"change somebody who is {subject.role}")
        return change(actor, subject)


def _require_cover(actor: Membership, role: str, doing: str) -> None:
    if not roles.covers(actor.role, role):
        raise PolicyDenied(
            f"Your role {actor.role} may not {doing}, which can do more than you.", hint="Ask an administrator."
        )


def refuse_if_provisioned(subject: Membership) -> None:
    """Check that nobody else ends and brings back this membership.

    Raises:
        PolicyDenied: an identity provider does, by SCIM.
    """
    if _described(subject.organization, [subject])[0].is_provisioned:
        raise PolicyDenied(
            f"{subject.person} is looked after by your identity provider (SCIM).",
            hint="End or bring back the account there; it follows here at once.",
        )


def _name(actor: Membership) -> str:
    return ids.dump("person", actor.person_id)


def _of(organization: Organization) -> QuerySet[Membership]:
    """Return the memberships with what a line shows of them, in the order of addresses."""
    rows = Membership.objects.filter(organization=organization)
    related = rows.select_related("person", "organization", "scim")
    return related.prefetch_related(Prefetch("groups", Group.objects.order_by("name"))).order_by("person__email")


def _find(by: Membership, member_id: str) -> Membership | None:
    try:
        return _of(by.organization).filter(pk=ids.parse("membership", member_id)).first()
    except ValueError:
        return None


def _described(organization: Organization, found: Iterable[Membership]) -> list[Member]:
    """Say how each signs in, with one question for all of them."""
    rows = list(found)
    linked = Identity.objects.filter(connection__organization=organization, connection__deleted_at=None)
    linked = linked.filter(person__in=[row.person_id for row in rows]).select_related("connection")
    known: dict[object, list[Identity]] = {}
    for identity in linked.order_by("connection__name"):
        known.setdefault(identity.person_id, []).append(identity)
    provisions = bool(scim_tokens.live(organization))
    return [_member(row, known.get(row.person_id, []), provisions) for row in rows]


def _member(row: Membership, identities: list[Identity], provisions: bool) -> Member:
    """Put one line together; once no SCIM token works, nobody is in an identity provider's care any longer."""
    user = getattr(row, "scim", None)
    is_provisioned = provisions and user is not None and user.managed
    ways = [
        *(["password"] if row.person.has_usable_password() else []),
        *(f"single sign-on ({one.connection.name})" for one in identities),
        *(["SCIM"] if is_provisioned else []),
    ]
    return Member(row, tuple(ways), is_provisioned, any(one.manages_role for one in identities))
