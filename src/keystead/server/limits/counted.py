"""Which sums the counters ask the ledger for. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keystead.server.policy.limits import Limit, Measure, Period, Scope

Spent = Mapping[tuple[str, Period], Sequence[tuple[float, int]]]
"""(When, how many micro-units) by whom and period."""


class Counted(NamedTuple):
    """The spending of all of a kind in an organization, in one period.

    Attributes:
        by: a scope; :attr:`~keystead.server.policy.limits.Scope.USER` for every seat.
        subject: what the scope names, or empty for every seat.
    """

    organization_id: str
    by: Scope
    period: Period
    subject: str = ""


def asked(limits: Mapping[str, Sequence[Limit]]) -> frozenset[Counted]:
    """Return the sums that these limits, by organization, need."""
    return frozenset(
        Counted(organization, one.scope, one.period, one.subject)
        if one.shared
        else Counted(organization, Scope.USER, one.period)
        for organization, each in limits.items()
        for one in each
        if one.measure is Measure.SPEND
    )


def groups(limits: Mapping[str, Sequence[Limit]]) -> frozenset[str]:
    """Return the groups that these limits name."""
    return frozenset(one.subject for each in limits.values() for one in each if one.scope is Scope.GROUP)
