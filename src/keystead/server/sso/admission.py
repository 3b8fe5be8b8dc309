"""Who comes in, and as what: one table of refusals and one of roles. Pure.

An account is never taken over by an address alone: the address must be in a domain that the organization has proven
to be its own, and a person who is already known to the connection by another subject stays that one.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from keystead.server.organizations.roles import Role
from keystead.server.sso.asserted import Asserted
from keystead.server.sso.faults import SignInFault


@dataclass(frozen=True, slots=True)
class Rules:
    """What an administrator decided for one connection.

    Attributes:
        admits: whether somebody without a membership gets one at their first sign-in.
        default_role: for those whom no group gives another role.
        group_roles: pairs of group and role; the first that applies counts.
        needs_group: whether only people in one of these groups may come in.
    """

    admits: bool = True
    default_role: Role = Role.AGENT_USER
    group_roles: tuple[tuple[str, Role], ...] = ()
    needs_group: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a row."""
        return {
            "admits": self.admits,
            "default_role": self.default_role.value,
            "group_roles": [[group, role.value] for group, role in self.group_roles],
            "needs_group": self.needs_group,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Rules":
        """Read what :meth:`to_json` gave; an empty object is the default."""
        return cls(
            admits=values.get("admits", True),
            default_role=Role(values.get("default_role", Role.AGENT_USER.value)),
            group_roles=tuple((group, Role(role)) for group, role in values.get("group_roles", [])),
            needs_group=values.get("needs_group", False),
        )

    def role_for(self, groups: tuple[str, ...]) -> Role | None:
        """Return the role of the first rule that applies, or None."""
        return next((role for group, role in self.group_roles if group in groups), None)


@dataclass(frozen=True, slots=True)
class Facts:
    """What this server knows about the person beforehand.

    Attributes:
        is_known: the connection has vouched for this subject before.
        domain_is_ours: the address's domain is proven to be the organization's.
        has_account: somebody here has this address (or is the known person).
        address_verified: that somebody has shown that the address is theirs.
        is_another_subject: that somebody is known to the connection by another subject.
        is_active: their account is not switched off.
        role: their role in the organization; None without a membership.
        membership_ended: they had one, and an administrator ended it.
        manages_role: the connection gave them that role, and so may change it.
        acts_elsewhere: whoever signs in as them acts for another organization.
        is_last_administrator: nobody else could undo a change of their role.
    """

    is_known: bool
    domain_is_ours: bool
    has_account: bool
    address_verified: bool = True
    is_another_subject: bool = False
    is_active: bool = True
    role: Role | None = None
    membership_ended: bool = False
    manages_role: bool = False
    acts_elsewhere: bool = False
    is_last_administrator: bool = False


@dataclass(frozen=True, slots=True)
class Admission:
    """What a sign-in changes.

    Attributes:
        role: the person's role afterwards.
        creates_account: no account has the address yet.
        creates_membership: the person joins the organization by this sign-in.
        links: the account and the subject meet for the first time.
        changes_role: the groups give another role than before.
    """

    role: Role
    creates_account: bool
    creates_membership: bool
    links: bool
    changes_role: bool


_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{4,253}")
"""One address in plain ASCII: no quotes, comments or second @, which two readers could take apart differently."""

Check = Callable[[Asserted, Facts, Rules], bool]

REFUSALS: Final[tuple[tuple[str, Check, str, str], ...]] = (
    (
        "email_missing",
        lambda asserted, _facts, _rules: not asserted.email,
        "The identity provider did not say which e-mail address is yours.",
        "It must send the address (scope or attribute email).",
    ),
    (
        "email_malformed",
        lambda asserted, _facts, _rules: not _ADDRESS.fullmatch(asserted.email),
        "What the identity provider sent as your e-mail address is not one.",
        "It must send one plain address.",
    ),
    (
        "email_unverified",
        lambda asserted, _facts, _rules: not asserted.email_verified,
        "The identity provider does not vouch for your e-mail address.",
        "It must send email_verified as true.",
    ),
    (
        "domain_not_proven",
        lambda _asserted, facts, _rules: not facts.domain_is_ours,
        "The domain of your e-mail address is not one that this organization has proven to be its own.",
        "An administrator adds and verifies it on the page Single sign-on.",
    ),
    (
        "subject_swapped",
        lambda _asserted, facts, _rules: facts.is_another_subject,
        "Your e-mail address belongs here to another person of the same identity provider.",
        "An administrator removes the old person first.",
    ),
    (
        "address_unverified",
        lambda _asserted, facts, _rules: facts.has_account and not facts.is_known and not facts.address_verified,
        "There is an account with your e-mail address that has not yet shown that the address is its own.",
        "Sign in with your password, verify the address on the page Account, and come again.",
    ),
    (
        "account_inactive",
        lambda _asserted, facts, _rules: not facts.is_active,
        "This account has been switched off.",
        "Ask an administrator if that is a mistake.",
    ),
    (
        "membership_ended",
        lambda _asserted, facts, _rules: facts.membership_ended,
        "Your membership of this organization has been ended.",
        "Ask an administrator if that is a mistake.",
    ),
    (
        "acts_elsewhere",
        lambda _asserted, facts, _rules: facts.acts_elsewhere,
        "Your account acts for another organization, which this identity provider does not speak for.",
        "Sign in the way that organization has arranged.",
    ),
    (
        "group_missing",
        lambda asserted, _facts, rules: rules.needs_group and rules.role_for(asserted.groups) is None,
        "You are in none of the groups that may use this.",
        "Ask whoever manages the groups at your identity provider.",
    ),
    (
        "not_invited",
        lambda _asserted, facts, rules: facts.role is None and not rules.admits,
        "You are no member of this organization, and this connection does not make members.",
        "Ask an administrator to invite you.",
    ),
)
"""The first row that applies is the answer."""


def decide(asserted: Asserted, facts: Facts, rules: Rules) -> Admission:
    """Return what this sign-in does.

    Raises:
        SignInFault: the person may not come in.
    """
    for reason, applies, sentence, hint in REFUSALS:
        if applies(asserted, facts, rules):
            raise SignInFault(reason, sentence, hint=hint)
    role = _role(asserted, facts, rules)
    return Admission(
        role=role,
        creates_account=not facts.has_account,
        creates_membership=facts.role is None,
        links=not facts.is_known,
        changes_role=facts.role is not None and facts.role != role,
    )


def _role(asserted: Asserted, facts: Facts, rules: Rules) -> Role:
    """Return the role afterwards; one that an administrator gave stays, and so does the last administrator."""
    if facts.role is not None and (not facts.manages_role or facts.is_last_administrator):
        return facts.role
    return rules.role_for(asserted.groups) or rules.default_role
