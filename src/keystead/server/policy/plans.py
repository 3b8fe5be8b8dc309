"""How a caller's requests are paid for: by use, or by a flat rate. Pure.

A plan is what somebody's allowances make of it. A person who is signed in and has one is on a flat rate. Their keys are
paid by use, unless all of their windows stop: a flat rate that ends would be none if a key went on beyond it.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from keystead.server.policy import Principal, PrincipalKind
from keystead.server.policy.decide import Plan
from keystead.server.policy.limits import Beyond, Caller, Limit, caps


class Plans(NamedTuple):
    """The allowances there are.

    Attributes:
        allowances: of each organization that has any.
        groups: the members of the groups that these name, each with those they are in.
    """

    allowances: Mapping[str, Sequence[Limit]]
    groups: Mapping[str, frozenset[str]]

    def of(self, principal: Principal) -> Plan:
        """Return how a caller's requests are paid for. A service account has no allowance."""
        limits = self.allowances.get(principal.organization_id)
        member = principal.member_id
        if not limits or not member:
            return Plan.METERED
        groups = self.groups.get(member, frozenset())
        person = Caller(principal.organization_id, principal.workspace_id, member, "", groups, signed_in=True)
        windows = caps(limits, person)
        if not windows:
            return Plan.METERED
        always = principal.kind is PrincipalKind.SESSION
        return Plan.ALLOWANCE if always or all(_stops(one.limit) for one in windows) else Plan.METERED


def _stops(limit: Limit) -> bool:
    return limit.beyond is Beyond.STOPPED
