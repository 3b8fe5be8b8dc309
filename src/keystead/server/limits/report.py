"""What is used of limits, and which limit counts for each member: by the ledger, for people to read."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from keystead.server.limits import counted, facts
from keystead.server.limits.models import Limit
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership, Organization
from keystead.server.policy import limits as rules
from keystead.server.policy.limits import MONEY, Caller, Cap, Measure, Scope
from keystead.server.policy.windows import WIDTHS, Counter
from keystead.wire import ids


@dataclass(frozen=True, slots=True)
class Line:
    """One cap and what is used of it.

    Attributes:
        used: micro-units; None for what is counted in no ledger, such as requests per minute.
        resets_at: Unix seconds at which some of what is used counts no more; None when nothing is used.
    """

    cap: Cap
    used: int | None
    resets_at: float | None = None

    @property
    def left(self) -> int | None:
        """How much is left of it; None where it is not known what is used."""
        return None if self.used is None else max(self.cap.amount - self.used, 0)

    @property
    def percent(self) -> int:
        """How much of it is used, of a hundred."""
        return 0 if self.used is None else self.used * 100 // max(self.cap.amount, 1)

    @property
    def is_window(self) -> bool:
        """Whether its period reaches back from now, so that what is used leaves it little by little."""
        return self.cap.limit.period in WIDTHS


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
    at = now.timestamp()
    spent = facts.spent(counted.asked(kept), at)
    groups = facts.groups_of_members(counted.groups(kept))
    workspace = ids.dump("workspace", organizations.default_workspace(organization).pk)

    def line(cap: Cap) -> Line:
        measure, period = cap.limit.measure, cap.limit.period
        if measure not in MONEY:
            return Line(cap, None)
        counter = Counter(period, at)
        counter.reset(spent.get((cap.counted, measure, period), ()), at)
        return Line(cap, counter.used, counter.room_at(counter.used - 1, at) if counter.used else None)

    found = []
    for member in members:
        seat = ids.dump("membership", member.pk)
        caller = Caller(name, workspace, seat, "", groups.get(seat, frozenset()), signed_in=True)
        found.append(Seat(member, tuple(line(cap) for cap in rules.caps(kept[name], caller))))
    return found


def pots(organization: Organization, now: datetime) -> dict[str, int]:
    """Return what is used of each shared spend limit, by its wire identifier."""
    name = ids.dump("organization", organization.pk)
    limits = [facts.rule_of(one) for one in Limit.objects.filter(organization=organization, shared=True)]
    spent = facts.spent(counted.asked({name: limits}), now.timestamp())
    used = {key: sum(amount for _, amount in amounts) for key, amounts in spent.items()}
    return {
        one.id: used.get((one.subject, one.measure, one.period), 0) for one in limits if one.measure is Measure.SPEND
    }
