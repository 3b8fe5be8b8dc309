"""What is used of limits, and which limit counts for each member: by the ledger, for people to read."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from keystead.server.limits import counted, facts
from keystead.server.limits.models import Limit
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership, Organization
from keystead.server.policy import limits as rules
from keystead.server.policy.limits import Caller, Cap, Measure, Scope
from keystead.wire import ids


@dataclass(frozen=True, slots=True)
class Line:
    """One cap and what is used of it.

    Attributes:
        used: micro-units; None for what is counted in no ledger, such as requests per minute.
    """

    cap: Cap
    used: int | None

    @property
    def percent(self) -> int:
        """How much of it is used, of a hundred."""
        return 0 if self.used is None else self.used * 100 // max(self.cap.amount, 1)


@dataclass(frozen=True, slots=True)
class Seat:
    """One member and what holds for them."""

    member: Membership
    lines: tuple[Line, ...]


def seats(organization: Organization, members: Iterable[Membership], now: datetime) -> list[Seat]:
    """Return what holds for each of these members of an organization, per seat and shared.

    A limit of a key is not among it: it holds for that key alone.
    """
    name = ids.dump("organization", organization.pk)
    limits = [facts.rule_of(one) for one in Limit.objects.filter(organization=organization)]
    kept = {name: [one for one in limits if one.scope is not Scope.KEY]}
    spent = facts.spent(counted.asked(kept), now.timestamp())
    used = {key: sum(amount for _, amount in amounts) for key, amounts in spent.items()}
    groups = facts.groups_of_members(counted.groups(kept))
    workspace = ids.dump("workspace", organizations.default_workspace(organization).pk)

    def line(cap: Cap) -> Line:
        is_spend = cap.limit.measure is Measure.SPEND
        return Line(cap, used.get((cap.counted, cap.limit.period), 0) if is_spend else None)

    found = []
    for member in members:
        seat = ids.dump("membership", member.pk)
        caller = Caller(name, workspace, seat, "", groups.get(seat, frozenset()))
        found.append(Seat(member, tuple(line(cap) for cap in rules.caps(kept[name], caller))))
    return found


def pots(organization: Organization, now: datetime) -> dict[str, int]:
    """Return what is used of each shared spend limit, by its wire identifier."""
    name = ids.dump("organization", organization.pk)
    limits = [facts.rule_of(one) for one in Limit.objects.filter(organization=organization, shared=True)]
    spent = facts.spent(counted.asked({name: limits}), now.timestamp())
    used = {key: sum(amount for _, amount in amounts) for key, amounts in spent.items()}
    return {one.id: used.get((one.subject, one.period), 0) for one in limits if one.measure is Measure.SPEND}
