"""Which sums the counters ask the ledger for. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keystead.server.policy.limits import MONEY, Limit, Measure, Period, Scope

Count = tuple[str, Measure, Period]
"""Whose use of what, in which period: one counter."""

Spent = Mapping[Count, Sequence[tuple[float, int]]]
"""(When, how many micro-units) by whom, measure and period."""


class Counted(NamedTuple):
    """What all of a kind in an organization used in one period.

    Attributes:
        by: a scope; :attr:`~keystead.server.policy.limits.Scope.USER` for every seat.
        subject: what the scope names, or empty for every seat.
        measure: what is billed, or what allowances covered.
    """

    organization_id: str
    by: Scope
    period: Period
    subject: str = ""
    measure: Measure = Measure.SPEND


def asked(limits: Mapping[str, Sequence[Limit]]) -> frozenset[Counted]:
    """Return the sums that these limits, by organization, need."""
    return frozenset(
        Counted(organization, one.scope, one.period, one.subject, one.measure)
        if one.shared
        else Counted(organization, Scope.USER, one.period, measure=one.measure)
        for organization, each in limits.items()
        for one in each
        if one.measure in MONEY
    )


def groups(limits: Mapping[str, Sequence[Limit]]) -> frozenset[str]:
    """Return the groups that these limits name."""
    return frozenset(one.subject for each in limits.values() for one in each if one.scope is Scope.GROUP)
