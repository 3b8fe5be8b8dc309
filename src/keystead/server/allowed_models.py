"""Which models each caller may use, answered from memory.

The gateway asks at every request and must not wait for a database. So what the policies of every organization allow
lies in a snapshot, filled at start, corrected whenever the control plane publishes a
:class:`~keystead.server.changes.Change`, and read again every few seconds. Who is given what their organization's base
allows takes no memory; of the others, all with the same list share it, and keys take none at all.

A policy that cannot be read allows nothing to those it is for. A database that cannot be read leaves what was read
last.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keystead.server.changes import Change, Changes
from keystead.server.policy import Principal
from keystead.server.policy.managed_settings import MemberFacts, Policy, merged, models, sources_for
from keystead.server.policy.model_access import ModelAccess, ModelRules, Unreadable, access_to

_LOG: Final = logging.getLogger("keystead.server")
_NOBODY: Final = MemberFacts(frozenset(), "")
"""What a match sees of a service account."""

Access = ModelAccess | Unreadable | None
"""What somebody may use: these models, nobody knows, all."""
_NOT_THERE: Final = Unreadable()


@dataclass(frozen=True, slots=True)
class PolicyTruth:
    """The control plane's answers, as functions that read the database.

    Attributes:
        organizations: every organization's policies in their order, by the organization's identifier.
        members: of one organization with these policies, each member whom one that names somebody could be for, with
            what a match looks at.
        member: the organization of one member identifier and what a match looks at, or None when there is none.
    """

    organizations: Callable[[], Mapping[str, Sequence[Policy]]]
    members: Callable[[str, Sequence[Policy]], Iterable[tuple[str, MemberFacts]]]
    member: Callable[[str], tuple[str, MemberFacts] | None]


def policy_truth() -> PolicyTruth:
    """Return the answers of this server's database."""
    from keystead.server.policies import facts

    return PolicyTruth(facts.by_organization, facts.members_meant, facts.of_member)


class _Organization:
    """One organization's policies, and what each way to be meant by them gives."""

    def __init__(self, policies: Sequence[Policy], lists: dict[ModelRules, ModelAccess]) -> None:
        self.policies = policies
        self.groups = frozenset[str]().union(*(policy.match.groups for policy in policies))
        self._lists = lists
        self._known: dict[tuple[str, ...], Access] = {}
        self.base = self.access(_NOBODY)

    @property
    def distinguishes(self) -> bool:
        """Whether anybody could be given something else than the base."""
        named = (policy for policy in self.policies if not policy.match.is_everybody)
        everybody = sources_for(self.policies, _NOBODY)
        return any(self._of((*everybody, policy)) is not self.base for policy in named)

    def access(self, facts: MemberFacts) -> Access:
        return self._of(sources_for(self.policies, facts))

    def _of(self, sources: tuple[Policy, ...]) -> Access:
        name = tuple(policy.id for policy in sources)
        if name not in self._known:
            self._known[name] = self._read(sources)
        return self._known[name]

    def _read(self, sources: tuple[Policy, ...]) -> Access:
        try:
            rules = models(merged(sources))
        except (AttributeError, TypeError, ValueError) as error:
            _LOG.error("policy %s cannot be read: %s", sources[-1].id, error)
            return Unreadable(f"policy {sources[-1].id}")
        return None if rules is None else self._lists.setdefault(rules, access_to(rules))


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What was read at one time; ``members`` are those who are not given the base of their organization."""

    organizations: Mapping[str, _Organization]
    bases: Mapping[str, Access]
    members: dict[str, Access]


class AllowedModels:
    """The gateway's answer over :class:`PolicyTruth`."""

    def __init__(self, truth: PolicyTruth, changes: Changes) -> None:
        self._truth = truth
        self._lock = threading.Lock()
        self._unsubscribe = changes.subscribe(self._apply)
        self.refresh()

    def close(self) -> None:
        """Stop listening."""
        self._unsubscribe()

    def of(self, principal: Principal) -> ModelAccess | None:
        """Return the models that a caller may use, or None for all.

        Raises:
            Unreadable: the policy that is for them cannot be read.
        """
        snapshot = self._snapshot
        access = snapshot.members.get(principal.member_id or "", _NOT_THERE)
        if access is _NOT_THERE:
            access = snapshot.bases.get(principal.organization_id)
        if isinstance(access, Unreadable):
            raise Unreadable(str(access))  # a new one: an exception that is raised again grows
        return access

    def refresh(self) -> None:
        """Read everything again: what other processes may have changed, or a change that could not be read."""
        with self._lock:
            lists: dict[ModelRules, ModelAccess] = {}
            found = self._truth.organizations()
            organizations = {name: _Organization(policies, lists) for name, policies in found.items()}
            members: dict[str, Access] = {}
            for name, one in organizations.items():
                if one.distinguishes:
                    for member_id, facts in self._truth.members(name, one.policies):
                        access = one.access(facts)
                        if access is not one.base:
                            members[member_id] = access
            bases = {name: one.base for name, one in organizations.items()}
            self._snapshot = _Snapshot(organizations, bases, members)

    def _apply(self, change: Change) -> None:
        try:
            if change.subject == "policy":
                self.refresh()
            elif change.subject == "group":
                self._reread_group(change.id)
            elif change.subject in {"member", "member_address"}:
                self._reread_member(change.id)
        except Exception as error:  # noqa: BLE001  what was changed is stored; whoever did it need not hear of this
            _LOG.warning("what models are allowed is read again within seconds: %s", type(error).__name__)

    def _reread_group(self, group_id: str) -> None:
        """Read again whom a group's policies mean; of a group that no policy names nothing depends."""
        if any(group_id in one.groups for one in self._snapshot.organizations.values()):
            self.refresh()

    def _reread_member(self, member_id: str) -> None:
        with self._lock:
            snapshot = self._snapshot
            if not any(one.distinguishes for one in snapshot.organizations.values()):
                return  # nobody is given anything else than a base, whoever joins
            name, facts = self._truth.member(member_id) or ("", _NOBODY)
            organization = snapshot.organizations.get(name)
            access = None if organization is None else organization.access(facts)
            if organization is None or access is organization.base:
                snapshot.members.pop(member_id, None)
            else:
                snapshot.members[member_id] = access
