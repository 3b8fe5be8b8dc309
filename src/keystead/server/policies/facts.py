"""What the gateway's snapshot reads of policies and of those they are for, in few queries for very many."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from uuid import UUID

from django.db.models import Q

from keystead.server.organizations.models import GroupMembership, Membership
from keystead.server.policies.models import Policy
from keystead.server.policies.operations import facts_of, rule_of
from keystead.server.policy import managed_settings as rules
from keystead.wire import ids


def by_organization() -> dict[str, list[rules.Policy]]:
    """Return every organization's policies in their order, by its wire identifier."""
    found: dict[str, list[rules.Policy]] = defaultdict(list)
    for policy in Policy.objects.prefetch_related("groups").order_by("position", "id"):
        found[ids.dump("organization", policy.organization_id)].append(rule_of(policy))
    return dict(found)


def members_meant(organization_id: str, policies: Sequence[rules.Policy]) -> Iterator[tuple[str, rules.MemberFacts]]:
    """Yield the members of an organization whom one of ``policies`` names, with what a match looks at.

    Of their groups only those that a policy names are told: nothing depends on the others.
    """
    named = {ids.parse("group", group): group for policy in policies for group in policy.match.groups}
    groups: dict[UUID, set[str]] = defaultdict(set)
    for member, group in GroupMembership.objects.filter(group__in=named).values_list("membership_id", "group_id"):
        groups[member].add(named[group])
    meant = Q(pk__in=GroupMembership.objects.filter(group__in=named).values("membership"))
    for domain in {policy.match.email_domain for policy in policies} - {""}:
        meant |= Q(person__email__iendswith=f"@{domain}")
    members = Membership.objects.filter(meant, organization=ids.parse("organization", organization_id))
    for key, email in members.filter(deactivated_at=None).values_list("pk", "person__email").iterator():
        facts = rules.MemberFacts(frozenset(groups.get(key, ())), email.rpartition("@")[2])
        yield ids.dump("membership", key), facts


def of_member(member_id: str) -> tuple[str, rules.MemberFacts] | None:
    """Return a member's organization and what a match looks at, or None when there is none of that identifier."""
    members = Membership.objects.select_related("person")
    member = members.filter(pk=ids.parse("membership", member_id)).first()
    return None if member is None else (ids.dump("organization", member.organization_id), facts_of(member))
