"""What is used of limits, and which limit counts for each member: by the ledger, for people to read."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from keystead.server.keys.models import ApiKey
from keystead.server.limits import counted, facts, line
from keystead.server.limits.line import Line, nearest_first
from keystead.server.limits.models import Limit
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership, Organization
from keystead.server.policy import limits as rules
from keystead.server.policy.limits import MONEY, Caller, Cap, Measure, Scope
from keystead.server.policy.windows import Counter
from keystead.wire import ids

_FEW: Final = 1_000
"""Members whose rows are asked for by name; a statement does not take any number of them."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One member and what holds for them."""

    member: Membership
    lines: tuple[Line, ...]


def seats(organization: Organization, members: Iterable[Membership], now: datetime) -> list[Seat]:
    """Return what holds for each of these members of an organization, per seat and shared.

    A limit of a key is not among it: it holds for that key alone.
    """
    members = list(members)
    book = _Book(organization, now, members)
    return [Seat(member, book.of(member)) for member in members]


def holding(member: Membership, now: datetime) -> tuple[Line, ...]:
    """Return everything that holds for a member, limits of their usable keys included; the nearest one first.

    What can be used up comes before what cannot be seen in the ledger, such as requests per minute.
    """
    book = _Book(member.organization, now, [member])
    lines = (*book.of(member), *book.of_keys(member))
    return nearest_first(lines)


class _Book:
    """The limits of an organization, and what is used of them by some of its members."""

    def __init__(self, organization: Organization, now: datetime, members: Collection[Membership]) -> None:
        self._name = ids.dump("organization", organization.pk)
        self._limits = [facts.rule_of(one) for one in Limit.objects.filter(organization=organization)]
        self._at = now.timestamp()
        seats = [member.pk for member in members] if len(members) <= _FEW else None
        self._spent = facts.spent(counted.asked({self._name: self._limits}), self._at, seats=seats)
        self._groups = facts.groups_of_members(counted.groups({self._name: self._limits}))
        self._workspace = ids.dump("workspace", organizations.default_workspace(organization).pk)

    def of(self, member: Membership) -> tuple[Line, ...]:
        """Return what holds for a member, whatever they show."""
        seat = ids.dump("membership", member.pk)
        groups = self._groups.get(seat, frozenset())
        caller = Caller(self._name, self._workspace, seat, "", groups, signed_in=True)
        return tuple(map(self._line, rules.caps(self._limits, caller)))

    def of_keys(self, member: Membership) -> tuple[Line, ...]:
        """Return what holds for each of a member's keys alone."""
        of_keys = [one for one in self._limits if one.scope is Scope.KEY]
        if not of_keys:
            return ()
        keys = ApiKey.objects.filter(member=member, revoked_at=None).values_list("id", flat=True)
        own = {ids.dump("api_key", key) for key in keys}
        caps = (Cap(one.amount, one.subject, one) for one in of_keys if one.subject in own and one.amount is not None)
        return tuple(map(self._line, caps))

    def _line(self, cap: Cap) -> Line:
        measure, period = cap.limit.measure, cap.limit.period
        if measure not in MONEY:
            return Line(cap, None)
        counter = Counter(period, self._at)
        counter.reset(self._spent.get((cap.counted, measure, period), ()), self._at)
        return line.counted(cap, counter, self._at)


def pots(organization: Organization, now: datetime) -> dict[str, int]:
    """Return what is used of each shared spend limit, by its wire identifier."""
    name = ids.dump("organization", organization.pk)
    limits = [facts.rule_of(one) for one in Limit.objects.filter(organization=organization, shared=True)]
    spent = facts.spent(counted.asked({name: limits}), now.timestamp())
    used = {key: sum(amount for _, amount in amounts) for key, amounts in spent.items()}
    return {
        one.id: used.get((one.subject, one.measure, one.period), 0) for one in limits if one.measure is Measure.SPEND
    }
