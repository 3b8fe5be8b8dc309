"""Who would be blocked by a change of a policy: asked before the change is made (B-10).

What people use decides: the models of their requests in the ledger's last days are held against the policies as they
are and as they would be. Whoever could use a model until now and could not any more is told by name.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from keystead.server.organizations.models import Membership
from keystead.server.policies import facts, operations
from keystead.server.policies.models import Policy
from keystead.server.policies.operations import Draft
from keystead.server.policy import managed_settings as rules
from keystead.server.policy.model_access import ModelAccess, access_to
from keystead.server.usage import operations as usage
from keystead.wire import ids

DAYS: Final = 7
NAMED: Final = 50
"""People who are named; of more the number is told."""
_NOBODY: Final = rules.MemberFacts(frozenset(), "")


@dataclass(frozen=True, slots=True)
class Blocked:
    """One who would be: the address, or None for what service accounts use; and the models."""

    email: str | None
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a change would do.

    Attributes:
        blocked: the first of those who would be blocked, by address.
        total: how many would be.
        looked_at: how many used anything.
    """

    blocked: Sequence[Blocked]
    total: int
    looked_at: int


def outcome(by: Membership, policy: Policy | None, draft: Draft, now: datetime) -> Outcome:
    """Return who would be blocked if ``policy`` (or a new one, last in the order) said what ``draft`` does.

    Raises:
        PolicyDenied: the member's role may not.
        UsageError: the draft will not do.
    """
    operations.require(by)
    before = operations.of_organization(by.organization)
    wanted = operations.rule_of_draft(by, draft)
    changed = None if policy is None else policy.wire_id
    after = [*(wanted if one.id == changed else one for one in before), *([wanted] if policy is None else [])]
    used = _used(by, now)
    lost = _lost(by, used, before, after)
    named = Membership.objects.filter(pk__in=[one for one in lost if one is not None]).select_related("person")
    people = sorted((one.person.email, one.pk) for one in named)[:NAMED]
    told = [Blocked(email, lost[key]) for email, key in people]
    told += [Blocked(None, lost[None])] if None in lost else []
    return Outcome(told, len(lost), len(used))


def _used(by: Membership, now: datetime) -> Mapping[UUID | None, set[str]]:
    used: dict[UUID | None, set[str]] = defaultdict(set)
    for member, model in usage.models_used(by.organization, now - timedelta(days=DAYS)):
        used[member].add(model)
    return used


def _lost(
    by: Membership,
    used: Mapping[UUID | None, set[str]],
    before: Sequence[rules.Policy],
    after: Sequence[rules.Policy],
) -> dict[UUID | None, tuple[str, ...]]:
    """Return the models that each could use before and not after, of those they use."""
    meant = dict(facts.members_meant(ids.dump("organization", by.organization_id), [*before, *after]))
    known: dict[tuple[str, ...], ModelAccess | None] = {}
    lost = {}
    for member, models in used.items():
        who = _NOBODY if member is None else meant.get(ids.dump("membership", member), _NOBODY)
        was, becomes = (_access(rules.sources_for(them, who), known, when) for when, them in enumerate((before, after)))
        gone = tuple(sorted(one for one in models if _allows(was, one) and not _allows(becomes, one)))
        if gone:
            lost[member] = gone
    return lost


def _allows(access: ModelAccess | None, model: str) -> bool:
    return access is None or access.allows(model)


def _access(
    sources: Sequence[rules.Policy], known: dict[tuple[str, ...], ModelAccess | None], when: int
) -> ModelAccess | None:
    """Return what these policies allow together; those that cannot be read allow nothing, as at the gateway."""
    name = (str(when), *(one.id for one in sources))
    if name not in known:
        try:
            found = rules.models(rules.merged(sources))
            known[name] = None if found is None else access_to(found)
        except (AttributeError, TypeError, ValueError):
            known[name] = ModelAccess(())
    return known[name]
