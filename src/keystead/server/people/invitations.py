"""Invitations: an administrator names an e-mail address and a role, and whoever has the link comes in once.

A link does what its maker may do at the moment it is used, so it ends with their membership or right. Two links are
made where mail is sent: the one in the letter proves that its reader has the address, the one that is shown to the
administrator proves nothing, for they could use it themselves.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from keystead.errors import CredentialRejected, PolicyDenied, UsageError
from keystead.secret import Secret
from keystead.server.audit import operations as audit
from keystead.server.identity import passwords
from keystead.server.identity.models import Person
from keystead.server.organizations import groups as organization_groups
from keystead.server.organizations import memberships, roles
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Group, GroupSource, Invitation, Membership, Organization
from keystead.server.organizations.roles import Permission, Role
from keystead.server.people import members
from keystead.server.sso import connections, domains
from keystead.wire import ids, tokens

LIFETIME: Final = timedelta(days=7)
LISTED: Final = 200
"""Invitations shown at most, the newest first."""

UNKNOWN: Final = "This is not an invitation of this server."
_ASK: Final = "Ask whoever invited you for a new link."
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


@dataclass(frozen=True, slots=True)
class Maker:
    """Who makes links.

    Attributes:
        organization: the organization that invites.
        member: the administrator; None for whoever runs the server.
        by_mail: whether a second link is made for a letter.
        random_bytes: ``secrets.token_bytes`` outside tests.
    """

    organization: Organization
    member: Membership | None
    by_mail: bool
    random_bytes: Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Made:
    """An invitation, and its codes, which exist nowhere else.

    Attributes:
        code: to show and hand on.
        mailed: for the letter; None where none is sent.
    """

    invitation: Invitation
    code: Secret
    mailed: Secret | None


def open_of(by: Membership) -> QuerySet[Invitation]:
    """Return the organization's invitations that nobody has accepted or revoked, those that expired too."""
    return _open(by.organization)[:LISTED]


def find(by: Membership, invitation_id: str) -> Invitation | None:
    """Return the open invitation ``inv_…`` of the member's own organization, or None."""
    try:
        return _open(by.organization).filter(pk=ids.parse("invitation", invitation_id)).first()
    except ValueError:
        return None


def groups_named(organization: Organization, names: Iterable[str]) -> list[Group]:
    """Return the organization's groups of these names.

    Raises:
        UsageError: there is none of one of the names.
    """
    wanted = list(dict.fromkeys(names))
    found = {one.name: one for one in Group.objects.filter(organization=organization, name__in=wanted)}
    missing = [name for name in wanted if name not in found]
    if missing:
        raise UsageError(f"There is no group called {missing[0]}.", hint="Make it in the console first.")
    return [found[name] for name in wanted]


def invite(maker: Maker, email: str, role: Role, groups: Iterable[Group], now: datetime) -> Made:
    """Make an invitation.

    Raises:
        PolicyDenied: the maker may not, or not with this role.
        UsageError: the address or a group will not do, or the address is a member's or invited already.
    """
    email, chosen = email.strip().lower(), list(groups)
    _check_address(email)
    if any(one.organization_id != maker.organization.pk or one.source != GroupSource.CONSOLE for one in chosen):
        raise UsageError("A group is not one of the console's own.", hint="Choose among those.", field="groups")
    with transaction.atomic():
        _take_turns(maker.organization)
        maker = _standing(maker, role)
        _check_newcomer(maker.organization, email)
        code, mailed = _codes(maker)
        try:
            with transaction.atomic():
                invitation = Invitation.objects.create(
                    organization=maker.organization,
                    email=email,
                    role=role.value,
                    **_link(maker, code, mailed, now),
                )
        except IntegrityError as error:
            raise UsageError(
                f"{email} is invited already.",
                hint="Make a new link for that invitation, or revoke it.",
                field="email",
            ) from error
        invitation.groups.set(chosen)
        _record(invitation, _name(maker.member), "create", now, role=role.value)
    return _made(invitation, code, mailed)


def renew(maker: Maker, invitation: Invitation, now: datetime) -> Made:
    """Make a new link for an open invitation; the old one ends.

    Raises:
        PolicyDenied: the maker may not, or not with this role.
        UsageError: it was accepted or revoked meanwhile.
    """
    with transaction.atomic():
        _take_turns(maker.organization)
        maker = _standing(maker, Role(invitation.role))
        code, mailed = _codes(maker)
        if _open(maker.organization).filter(pk=invitation.pk).update(**_link(maker, code, mailed, now)) != 1:
            raise UsageError("The invitation is no longer open.", hint="Look at the list again.")
        _record(invitation, _name(maker.member), "renew", now)
    invitation.refresh_from_db()
    return _made(invitation, code, mailed)


def revoke(by: Membership, invitation: Invitation, now: datetime) -> bool:
    """End an invitation; returns False when it was accepted or revoked before.

    Raises:
        PolicyDenied: the member's role may not.
    """
    members.require(by)
    with transaction.atomic():
        _take_turns(by.organization)
        if _open(by.organization).filter(pk=invitation.pk).update(revoked_at=now) != 1:
            return False
        _record(invitation, _name(by), "revoke", now)
    return True


def digest(code: str) -> bytes:
    """Return what an invitation is found by; a browser that goes through several pages remembers this, not the code."""
    return tokens.digest(code.strip())


def look_up(of: bytes, now: datetime) -> Invitation:
    """Return the invitation that a code's digest lets into.

    Raises:
        CredentialRejected: there is none, or it has ended; an unknown and a mistyped code are answered alike.
    """
    related = Invitation.objects.select_related("organization", "invited_by__person", "invited_by__organization")
    found = related.filter(Q(digest=of) | Q(mailed_digest=of)).first()
    why = UNKNOWN if found is None else _ended(found, now)
    if found is None or why:
        raise CredentialRejected(why, hint=_ASK)
    return found


def needs_single_sign_on(email: str) -> bool:
    """Return whether somebody new with this address comes by single sign-on only, by a connection of its domain."""
    domain = domains.owner(domains.of_address(email))
    return domain is not None and any(connections.enabled_for(domain.organization))


def is_known(email: str) -> bool:
    """Return whether somebody here has the address already, and so signs in."""
    return Person.objects.filter(email=email).exists()


def accept_as_newcomer(of: bytes, name: str, password: str, now: datetime) -> Membership:
    """Use an invitation up and make the person and their membership, all or nothing.

    Raises:
        CredentialRejected: the invitation is unknown or has ended, or somebody was faster.
        PolicyDenied: the address belongs to somebody, or to an organization with single sign-on.
        UsageError: name or password will not do; the invitation still works.
    """
    invitation = look_up(of, now)
    if needs_single_sign_on(invitation.email) or is_known(invitation.email):
        raise PolicyDenied(f"{invitation.email} is to sign in first.", hint="Open the link again.")
    name = name.strip()
    if not _NAME.fullmatch(name):
        raise UsageError(
            "Your name: it needs 1 to 200 printable characters.", hint="Write how others call you.", field="name"
        )
    passwords.check(password, email=invitation.email, organizations=[invitation.organization.name])
    fresh = Person(email=invitation.email, name=name, created_at=now)
    try:
        with transaction.atomic():
            invitation = _use_up(of, now)
            fresh.set_password(password)  # costs memory and time: only whoever is first does it
            fresh.save()
            _record_person(invitation, fresh, now)
            return _join(invitation, of, fresh, now)
    except IntegrityError as error:
        raise PolicyDenied(f"{invitation.email} has an account since a moment ago.", hint="Sign in.") from error


def accept_as(of: bytes, person: Person, now: datetime) -> Membership:
    """Use an invitation up for somebody who is signed in.

    Raises:
        CredentialRejected: the invitation is unknown or has ended, or somebody was faster.
        PolicyDenied: it is for another address, or the membership is looked after by SCIM.
    """
    with transaction.atomic():
        invitation = _use_up(of, now)
        if person.email != invitation.email:
            raise PolicyDenied(
                f"You are signed in as {person.email}, and this invitation is for {invitation.email}.",
                hint="Sign out, then open the link again.",
            )
        return _join(invitation, of, person, now)


def _use_up(of: bytes, now: datetime) -> Invitation:
    """Consume the invitation by compare-and-swap: of many at once exactly one passes."""
    _take_turns(look_up(of, now).organization)
    invitation = look_up(of, now)
    if _open(invitation.organization).filter(pk=invitation.pk, expires_at__gt=now).update(accepted_at=now) != 1:
        raise CredentialRejected("This invitation has ended.", hint=_ASK)
    return invitation


def _join(invitation: Invitation, of: bytes, person: Person, now: datetime) -> Membership:
    """Make the membership, or make the one there is what the invitation says; a role is never lessened by it."""
    role, actor = Role(invitation.role), ids.dump("person", person.pk)
    there = Membership.objects.select_related("person", "organization").filter(organization=invitation.organization)
    member = there.filter(person=person).first()
    if member is None:
        member = organizations.add_member(invitation.organization, person, role, now)
        _record_membership(member, actor, now)
    else:
        if member.deactivated_at is not None:
            members.refuse_if_provisioned(member)
            memberships.reactivate(member, actor, now)
        if member.role != role and roles.covers(role, member.role):
            memberships.change_role(member, role, actor, now)
    for group in invitation.groups.filter(source=GroupSource.CONSOLE.value):
        organization_groups.put_in(group, member, actor, now)
    if _proves_address(invitation, of):
        Person.objects.filter(pk=person.pk, email_verified_at=None).update(email_verified_at=now)
    Invitation.objects.filter(pk=invitation.pk).update(accepted_by=member)
    _record(invitation, actor, "accept", now)
    return member


def _proves_address(invitation: Invitation, of: bytes) -> bool:
    """Return whether who has the code has the address: it was mailed there, or the maker answers for the address."""
    mailed = invitation.mailed_digest is not None and bytes(invitation.mailed_digest) == of
    ours = domains.belongs_to(domains.of_address(invitation.email), invitation.organization)
    return mailed or ours or invitation.invited_by is None


def _ended(invitation: Invitation, now: datetime) -> str:
    """Return why an invitation lets nobody in; empty while it does."""
    if invitation.accepted_at is not None:
        return "This invitation has been used."
    if invitation.revoked_at is not None:
        return "This invitation has been withdrawn."
    if invitation.expires_at <= now:
        return "This invitation has expired."
    by = invitation.invited_by
    if by is not None and not (
        memberships.holds(by, invitation.created_at)
        and organizations.may(by, Permission.MEMBERS_MANAGE)
        and roles.covers(by.role, invitation.role)
    ):
        return "This invitation has ended, because whoever made it may invite nobody any more."
    return ""


def _standing(maker: Maker, role: Role) -> Maker:
    """Return the maker as they are now, under the lock.

    Raises:
        PolicyDenied: they may not invite, or not with this role.
    """
    if maker.member is None:
        return maker
    member = Membership.objects.select_related("person", "organization").get(pk=maker.member.pk)
    members.require_standing(member)
    if not roles.covers(member.role, role):
        raise PolicyDenied(f"Your role {member.role} may not invite somebody as {role}.", hint="Choose a lesser role.")
    return replace(maker, member=member)


def _check_address(email: str) -> None:
    try:
        validate_email(email)
    except ValidationError as error:
        raise UsageError(
            "That is not an e-mail address.", hint="Write it like ada@example.com.", field="email"
        ) from error


def _check_newcomer(organization: Organization, email: str) -> None:
    there = Membership.objects.select_related("person", "organization").filter(organization=organization)
    member = there.filter(person__email=email).first()
    if member is None:
        return
    if member.deactivated_at is None:
        raise UsageError(f"{email} is a member already.", hint="Change the role on the page of members.", field="email")
    members.refuse_if_provisioned(member)


def _codes(maker: Maker) -> tuple[str, str | None]:
    def mint() -> str:
        return tokens.mint(tokens.TokenKind.INVITATION, maker.random_bytes)

    return mint(), mint() if maker.by_mail else None


def _made(invitation: Invitation, code: str, mailed: str | None) -> Made:
    return Made(invitation, Secret(code), None if mailed is None else Secret(mailed))


def _link(maker: Maker, code: str, mailed: str | None, now: datetime) -> dict[str, object]:
    return {
        "digest": digest(code),
        "mailed_digest": None if mailed is None else digest(mailed),
        "invited_by": maker.member,
        "created_at": now,
        "expires_at": now + LIFETIME,
    }


def _take_turns(organization: Organization) -> None:
    """Let changes of who belongs to the organization wait for one another; rows that only point at it need not wait."""
    Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)


def _open(organization: Organization) -> QuerySet[Invitation]:
    waiting = Invitation.objects.filter(organization=organization, accepted_at=None, revoked_at=None)
    related = waiting.select_related("organization", "invited_by__person").prefetch_related("groups")
    return related.order_by("-created_at", "-id")


def _name(member: Membership | None) -> str:
    return audit.SYSTEM if member is None else ids.dump("person", member.person_id)


def _record(invitation: Invitation, actor: str, verb: str, now: datetime, **details: str) -> None:
    """Write the audit event; without the address, which is a person's and must be erasable."""
    audit.record(
        organization=invitation.organization,
        actor=actor,
        action=f"invitation:{verb}",
        target=invitation.wire_id,
        at=now,
        details={**details},
    )


def _record_person(invitation: Invitation, person: Person, now: datetime) -> None:
    wire_id = ids.dump("person", person.pk)
    audit.record(
        organization=invitation.organization,
        actor=wire_id,
        action="person:create",
        target=wire_id,
        at=now,
        details={"invitation": invitation.wire_id},
    )


def _record_membership(member: Membership, actor: str, now: datetime) -> None:
    audit.record(
        organization=member.organization,
        actor=actor,
        action="membership:create",
        target=ids.dump("membership", member.pk),
        at=now,
        details={"role": member.role},
    )
