"""What each caller may do at the gateway, answered from memory.

The gateway asks at every request and must not wait for a database. So what decides is held here: the clients of the
registry, what is suspended, what organizations have switched on and which terms they have accepted, the flat rates, and
the models of everybody (:class:`~keystead.server.allowed_models.AllowedModels`). It is filled at start, corrected
whenever the control plane publishes a :class:`~keystead.server.changes.Change`, and read again every few seconds, so
that terms come into force in time.

The answer for one caller is a :class:`~keystead.server.policy.decide.Permit`, made when they first ask and kept until
anything changes that it could rest on. A database that cannot be read leaves what was read last.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from keystead.credentials.rules import Program
from keystead.server.allowed_models import AllowedModels
from keystead.server.changes import Change, Changes
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.policy.decide import (
    NO_SWITCHES,
    Credential,
    Facts,
    Permit,
    Proof,
    RegisteredClient,
    Suspension,
    Switches,
    program_of,
    proof_of,
)
from keystead.server.policy.model_access import ModelAccess, Unreadable
from keystead.server.policy.plans import Plans
from keystead.server.policy.terms import NOTHING, Standing

_LOG: Final = logging.getLogger("keystead.server")
_AT_MOST: Final = 65_536
"""Permits kept; when there are more, all are forgotten, so that nobody fills the memory for good."""
_TOUCHING: Final = frozenset(
    {"client", "group", "limit", "member", "member_address", "policy", "suspension", "switches", "terms"}
)
_OF_PLANS: Final = frozenset({"group", "member"})
"""What decides about somebody's plan, where there is any, beside the limits themselves."""


@dataclass(frozen=True, slots=True)
class PermitTruth:
    """The control plane's answers, as functions that read the database.

    Attributes:
        clients: every client, by its OAuth name.
        client: one client by its wire identifier, with its name; None when there is none.
        suspensions: those that count, by organization and subject.
        switches: those of each organization that has any on.
        plans: the allowances of everybody.
        terms: how organizations stand with the terms that govern them, now.
    """

    clients: Callable[[], Mapping[str, RegisteredClient]]
    client: Callable[[str], tuple[str, RegisteredClient] | None]
    suspensions: Callable[[], Mapping[tuple[str, str], Suspension]]
    switches: Callable[[], Mapping[str, Switches]]
    plans: Callable[[], Plans]
    terms: Callable[[], Standing]


def permit_truth() -> PermitTruth:
    """Return the answers of this server's database."""
    from keystead.server.authorization import operations as authorization
    from keystead.server.authorization.surroundings import now
    from keystead.server.limits import facts
    from keystead.server.organizations import switches
    from keystead.server.suspensions import operations as suspensions
    from keystead.server.terms import asking
    from keystead.server.terms import operations as terms

    return PermitTruth(
        clients=lambda: dict(authorization.client_facts()),
        client=lambda wire_id: next(authorization.client_facts(wire_id), None),
        suspensions=suspensions.standing,
        switches=switches.standing,
        plans=facts.plans,
        terms=lambda: terms.standing(now(), asking.address()),
    )


class Permits:
    """The gateway's answer over :class:`PermitTruth`."""

    def __init__(self, truth: PermitTruth, models: AllowedModels, changes: Changes) -> None:
        self._truth = truth
        self._models = models
        self._lock = threading.Lock()
        self._clients: dict[str, RegisteredClient] = {}
        self._suspended: Mapping[tuple[str, str], Suspension] = {}
        self._switches: Mapping[str, Switches] = {}
        self._plans = Plans({}, {})
        self._terms = NOTHING
        self._known: dict[str, Permit] = {}
        self._unsubscribe = changes.subscribe(self._apply)  # behind the models, which hear of a change before
        self._read()

    def close(self) -> None:
        """Stop listening."""
        self._unsubscribe()

    def of(self, principal: Principal) -> Permit:
        """Return what a caller may do; called on the event loop at every request."""
        name = principal.id + principal.key_thumbprint if principal.key_thumbprint else principal.id
        known = self._known  # whoever makes one while something changes puts it where nobody looks any more
        permit = known.get(name)
        if permit is None:
            if len(known) >= _AT_MOST:
                known.clear()
            permit = known[name] = Permit(self.facts(principal))
        return permit

    def zero_retention(self, principal: Principal) -> bool:
        """Return whether nothing of what this caller asks and is answered may be kept."""
        return self.of(principal).zero_retention

    def facts(self, principal: Principal) -> Facts:
        """Return what is known of a caller."""
        client = self._clients.get(principal.client_id or "")
        return Facts(
            credential=_credential(principal),
            program=Program.OTHER if principal.client_id is None else program_of(client, principal.organization_id),
            proof=Proof.BOUND if principal.key_thumbprint else proof_of(client),
            access=self._access(principal),
            plan=self._plans.of(principal),
            switches=self._switches.get(principal.organization_id, NO_SWITCHES),
            suspended=self._suspension(principal),
            terms=self._terms.missing(principal.organization_id),
        )

    def refresh(self) -> None:
        """Read everything again: what other processes may have changed, or a change that could not be read."""
        self._models.refresh()
        self._read()

    def _access(self, principal: Principal) -> ModelAccess | Unreadable | None:
        try:
            return self._models.of(principal)
        except Unreadable as error:
            return error

    def _suspension(self, principal: Principal) -> Suspension | None:
        subjects = (principal.id, principal.member_id, principal.service_account_id, principal.client_id)
        found = (self._suspended.get((principal.organization_id, subject)) for subject in subjects if subject)
        return next((one for one in found if one is not None), None)

    def _read(self) -> None:
        with self._lock:
            self._clients = dict(self._truth.clients())
            self._suspended = self._truth.suspensions()
            self._switches = self._truth.switches()
            self._plans = self._truth.plans()
            self._terms = self._truth.terms()
            self._known = {}

    def _apply(self, change: Change) -> None:
        if change.subject not in _TOUCHING:
            return
        try:
            with self._lock:
                if change.subject == "client":
                    self._reread_client(change.id)
                elif change.subject == "suspension":
                    self._suspended = self._truth.suspensions()
                elif change.subject == "switches":
                    self._switches = self._truth.switches()
                elif change.subject == "terms":
                    self._terms = self._truth.terms()
                elif change.subject == "limit" or (change.subject in _OF_PLANS and self._plans.allowances):
                    self._plans = self._truth.plans()
        except Exception as error:  # noqa: BLE001  what was changed is stored; whoever did it need not hear of this
            _LOG.warning("what callers may do is read again within seconds: %s", type(error).__name__)
        self._known = {}

    def _reread_client(self, wire_id: str) -> None:
        found = self._truth.client(wire_id)
        if found is not None:
            self._clients[found[0]] = found[1]


def _credential(principal: Principal) -> Credential:
    if principal.kind is PrincipalKind.API_KEY:
        return Credential.API_KEY
    return Credential.SIGN_IN if principal.member_id is not None else Credential.SERVICE
