"""Keeping policies, and saying what they deliver to whom."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from keystead.credentials import patterns
from keystead.errors import UsageError
from keystead.server.audit import operations as audit
from keystead.server.changes import CHANGES, Change
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Group, Membership, Organization
from keystead.server.organizations.roles import Permission
from keystead.server.policies.models import Policy, PolicyVersion
from keystead.server.policy import Principal
from keystead.server.policy import managed_settings as rules
from keystead.wire import ids

LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Draft:
    """A policy as an administrator typed it.

    Attributes:
        settings: the document, JSON.
    """

    name: str
    settings: str
    groups: tuple[Group, ...] = ()
    email_domain: str = ""


def require(member: Membership) -> None:
    """Check that ``member`` may keep policies.

    Raises:
        PolicyDenied: their role may not.
    """
    organizations.require(member, Permission.POLICIES_MANAGE, "manage policies")


def all_of(member: Membership) -> QuerySet[Policy]:
    """Return the organization's policies in their order."""
    kept = Policy.objects.filter(organization=member.organization_id).prefetch_related("groups")
    return kept.order_by("position", "id")


def find(member: Membership, policy_id: str) -> Policy | None:
    """Return the organization's policy with that wire identifier."""
    try:
        return all_of(member).filter(id=ids.parse("policy", policy_id)).first()
    except ValueError:
        return None


def create(member: Membership, draft: Draft, now: datetime) -> Policy:
    """Keep a new policy, last in the order.

    Raises:
        PolicyDenied: the member's role may not.
        UsageError: name, domain or document will not do; the message names which, and where.
    """
    require(member)
    settings = _checked(member, draft)
    try:
        with transaction.atomic():
            _take_turns(member)
            last = all_of(member).values_list("position", flat=True).last()
            policy = Policy.objects.create(
                organization=member.organization,
                name=draft.name.strip(),
                position=0 if last is None else last + 1,
                for_groups=bool(draft.groups),
                email_domain=draft.email_domain.strip().lower(),
                settings=settings,
                created_at=now,
            )
            policy.groups.set(draft.groups)
            _written(policy, member, "policy:create", now)
    except IntegrityError as error:
        raise _taken(draft.name) from error
    return policy


def update(member: Membership, policy: Policy, draft: Draft, seen: int, now: datetime) -> Policy:
    """Replace what a policy says by a new version.

    Args:
        member: who does.
        policy: the policy.
        draft: what it shall say.
        seen: the version that the administrator had before them; another one means that somebody was faster.
        now: when.

    Raises:
        PolicyDenied: the member's role may not.
        UsageError: the draft will not do, or the policy was changed meanwhile.
    """
    require(member)
    settings = _checked(member, draft)
    said = {
        "name": draft.name.strip(),
        "for_groups": bool(draft.groups),
        "email_domain": draft.email_domain.strip().lower(),
        "settings": settings,
    }
    try:
        with transaction.atomic():
            if not Policy.objects.filter(pk=policy.pk, version=seen).update(version=seen + 1, **said):
                raise UsageError("Somebody changed this policy meanwhile.", hint="Open it again, then change it.")
            policy.refresh_from_db()
            policy.groups.set(draft.groups)
            _written(policy, member, "policy:update", now)
    except IntegrityError as error:
        raise _taken(draft.name) from error
    return policy


def move(member: Membership, policy: Policy, up: bool, now: datetime) -> None:
    """Ask a policy one place earlier or later; at the end of the order nothing happens."""
    require(member)
    with transaction.atomic():
        _take_turns(member)
        order = list(all_of(member))
        here = next((place for place, one in enumerate(order) if one.pk == policy.pk), None)
        there = None if here is None else here + (-1 if up else 1)
        if here is None or there is None or not 0 <= there < len(order):
            return
        order[here], order[there] = order[there], order[here]
        for place, one in enumerate(order):
            Policy.objects.filter(pk=one.pk).update(position=place)
        _record(policy, member, "policy:move", {"to": there + 1}, now)


def remove(member: Membership, policy: Policy, now: datetime) -> None:
    """Remove a policy; what it said stays among the versions."""
    require(member)
    with transaction.atomic():
        _record(policy, member, "policy:remove", {"name": policy.name, "version": policy.version}, now)
        policy.delete()


def of_organization(organization: Organization) -> list[rules.Policy]:
    """Return the policies as the rules read them, in their order."""
    kept = Policy.objects.filter(organization=organization).prefetch_related("groups").order_by("position", "id")
    return [rule_of(policy) for policy in kept]


def facts_of(member: Membership) -> rules.MemberFacts:
    """Return what a match looks at."""
    groups = frozenset(ids.dump("group", key) for key in member.groups.values_list("pk", flat=True))
    return rules.MemberFacts(groups, member.person.email.rpartition("@")[2])


def delivery_to(member: Membership) -> rules.Delivery | None:
    """Return what a member is given; None when no policy is for them."""
    return _delivery(member.organization, facts_of(member))


def delivery(principal: Principal) -> rules.Delivery | None:
    """Return what the caller of a gateway is given.

    A service account is in no group and has no address: the base is for it.
    """
    if principal.member_id is None:
        organization = Organization.objects.get(pk=ids.parse("organization", principal.organization_id))
        return _delivery(organization, rules.MemberFacts(frozenset(), ""))
    members = Membership.objects.select_related("person", "organization")
    return delivery_to(members.get(pk=ids.parse("membership", principal.member_id)))


def _delivery(organization: Organization, facts: rules.MemberFacts) -> rules.Delivery | None:
    kept = of_organization(organization)
    return rules.delivery(kept, facts, zero_retention=organization.zero_retention)


def rule_of(policy: Policy) -> rules.Policy:
    """Return a policy as the rules read it."""
    groups = frozenset(ids.dump("group", group.pk) for group in policy.groups.all())
    match = rules.Match(groups, policy.email_domain, policy.is_for_nobody)
    return rules.Policy(policy.wire_id, policy.name, match, policy.settings)


def rule_of_draft(member: Membership, draft: Draft) -> rules.Policy:
    """Return a draft as the rules would read it.

    Raises:
        UsageError: it will not do; the message names what.
    """
    settings = _checked(member, draft)
    groups = frozenset(ids.dump("group", group.pk) for group in draft.groups)
    return rules.Policy("draft", draft.name.strip(), rules.Match(groups, draft.email_domain.strip().lower()), settings)


def _checked(member: Membership, draft: Draft) -> rules.Document:
    name, domain = draft.name.strip(), draft.email_domain.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise UsageError(
            f"A policy needs a name of 1 to {LONGEST_NAME} printable characters.", hint="Name it.", field="name"
        )
    if domain and ("@" in domain or "." not in domain or not domain.isascii() or not domain.isprintable()):
        raise UsageError(
            "The e-mail domain is not one.", hint="Write it like example.com, without @.", field="email_domain"
        )
    if any(group.organization_id != member.organization_id for group in draft.groups):
        raise UsageError("A group is not of this organization.", hint="Choose among its groups.", field="groups")
    document, wrong = rules.problems(draft.settings)
    if document is None or wrong:
        raise UsageError(" ".join(wrong), hint="Correct the document.", field="settings")
    leaked = next(patterns.leaks(draft.settings), None)
    if leaked is not None:
        raise UsageError(
            f"Line {leaked.line} of the document has what looks like {leaked.kind}.",
            hint="Everybody the policy is for can read it: give people a sign-in or a key of their own instead.",
            field="settings",
        )
    return document


def _take_turns(member: Membership) -> None:
    """Let changes of the order wait for one another."""
    Organization.objects.select_for_update().get(pk=member.organization_id)


def _written(policy: Policy, by: Membership, action: str, now: datetime) -> None:
    PolicyVersion.objects.create(
        organization_id=policy.organization_id,
        policy=policy,
        version=policy.version,
        name=policy.name,
        settings=policy.settings,
        author=by,
        at=now,
    )
    _record(policy, by, action, {"name": policy.name, "version": policy.version}, now)


def _record(policy: Policy, by: Membership, action: str, details: audit.Details, now: datetime) -> None:
    audit.record(
        organization=policy.organization,
        actor=ids.dump("membership", by.pk),
        action=action,
        target=policy.wire_id,
        at=now,
        details=details,
    )
    wire_id = policy.wire_id
    transaction.on_commit(lambda: CHANGES.publish(Change("policy", wire_id)))


def _taken(name: str) -> UsageError:
    return UsageError(f"There is already a policy called {name.strip()}.", hint="Choose another name.", field="name")


def groups_of(member: Membership, chosen: Iterable[str] | None = None) -> QuerySet[Group]:
    """Return the organization's groups by name; with ``chosen``, those of these wire identifiers."""
    groups = Group.objects.filter(organization=member.organization_id).order_by("name")
    return groups if chosen is None else groups.filter(pk__in=[ids.parse("group", one) for one in chosen])


def simulate(email: str, organization: str | None = None) -> list[tuple[Membership, rules.Delivery | None]]:
    """Return what each active membership of a person is given; ``organization`` names one of them (B-10).

    Raises:
        UsageError: nobody with that address belongs to any, or to that one.
    """
    members = Membership.objects.filter(person__email__iexact=email.strip(), deactivated_at=None)
    if organization is not None:
        members = members.filter(organization__name=organization)
    found = [(one, delivery_to(one)) for one in members.select_related("person", "organization").order_by("created_at")]
    if not found:
        where = "any organization" if organization is None else organization
        raise UsageError(f"Nobody with that address belongs to {where}.", hint="Check the spelling.")
    return found
