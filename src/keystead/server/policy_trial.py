"""What policies make of a person: what their agents are given, and whether a model goes through, without asking it.

The same rules decide as at the gateway; only the facts are read from the database, for one person at a time (B-10).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keystead.credentials.rules import Program
from keystead.errors import UsageError
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.policy.decide import (
    Allow,
    Credential,
    Decision,
    Facts,
    Proof,
    Suspension,
    decide,
    program_of,
    proof_of,
)
from keystead.server.policy.managed_settings import Delivery, models
from keystead.server.policy.model_access import ModelAccess, Unreadable, access_to
from keystead.wire import ids

if TYPE_CHECKING:
    from keystead.server.organizations.models import Membership


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for.

    Attributes:
        model: as a client names it.
        client: the OAuth name of the client that the person is signed in to; empty is an API key of theirs.
    """

    model: str
    client: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """One person in one organization.

    Attributes:
        decision: about the model that was asked for, or None without one.
        deciding: names of the policies that it rests on, the base first.
    """

    member: "Membership"
    delivery: Delivery | None
    decision: Decision | None = None
    deciding: tuple[str, ...] = ()

    @property
    def who(self) -> str:
        """The person and the organization, in words."""
        return f"{self.member.person.email} in {self.member.organization.name}"

    def to_json(self) -> dict[str, Any]:
        """Return the facts for programs."""
        delivery = self.delivery
        facts: dict[str, Any] = {
            "email": self.member.person.email,
            "organization": self.member.organization.name,
            "policies": [] if delivery is None else [source.id for source in delivery.sources],
            "checksum": None if delivery is None else delivery.checksum,
            "settings": None if delivery is None else delivery.settings,
        }
        return facts if self.decision is None else {**facts, "decision": self._decision()}

    def _decision(self) -> dict[str, Any]:
        deciding = {"policies": list(self.deciding)}
        if isinstance(self.decision, Allow):
            return {"allowed": True, "client": self.decision.proof, **deciding}
        assert self.decision is not None, "the caller's check"
        rule = self.decision.rule
        cited = {"rule": rule.id, "source": rule.source, "url": rule.url, "dated": rule.dated}
        words = {"message": self.decision.sentence, "alternative": rule.alternative}
        return {"allowed": False, "status": rule.status, **cited, **words, **deciding}

    def told(self) -> Iterator[str]:
        """Yield lines for a person."""
        if self.decision is not None:
            yield from self._told_decision()
            return
        if self.delivery is None:
            yield f"{self.who}: no policy is for them."
            return
        yield f"{self.who}, from {', then '.join(source.name for source in self.delivery.sources)}:"
        yield json.dumps(self.delivery.settings, indent=2, ensure_ascii=False)

    def _told_decision(self) -> Iterator[str]:
        by = f" by {', then '.join(self.deciding)}" if self.deciding else ""
        if isinstance(self.decision, Allow):
            yield f"{self.who}: allowed{by or ', no policy limits it'}."
            yield f"  Client  {self.decision.proof}"
            return
        assert self.decision is not None, "the caller's check"
        rule = self.decision.rule
        yield f"{self.who}: refused with {rule.status} by the rule {rule.id}{by and f', set{by}'}."
        yield f"  Answer  {self.decision.sentence}"
        yield f"  Instead {rule.alternative}"


def run(email: str, organization: str | None, question: Question | None) -> list[Trial]:
    """Return what becomes of a person in each organization they belong to.

    Raises:
        UsageError: nobody has that address, or the client is not known.
    """
    from keystead.server.policies import operations

    found = operations.simulate(email, organization)
    return [Trial(*one) if question is None else _decided(*one, question) for one in found]


def _decided(member: "Membership", delivery: Delivery | None, question: Question) -> Trial:
    facts = _facts(member, delivery, question)
    decision = decide(facts)
    sources = () if delivery is None else delivery.sources
    rests_on_models = isinstance(decision, Allow) or decision.rule.id in {"available-models", "denied-models"}
    named = [one.name for one in sources if {"availableModels", "deniedModels"} & one.settings.keys()]
    return Trial(member, delivery, decision, tuple(named) if rests_on_models else ())


def _facts(member: "Membership", delivery: Delivery | None, question: Question) -> Facts:
    from keystead.server.authorization.surroundings import now
    from keystead.server.limits import facts as limits
    from keystead.server.organizations import operations as organizations
    from keystead.server.organizations import switches
    from keystead.server.organizations.roles import Permission
    from keystead.server.suspensions import operations as suspensions
    from keystead.server.terms import asking
    from keystead.server.terms import operations as terms

    ours, subject = ids.dump("organization", member.organization_id), ids.dump("membership", member.pk)
    client = _client(question.client) if question.client else None
    reasons = {one: suspensions.reason_for(member.organization_id, one) for one in (subject, question.client) if one}
    suspended = next((Suspension(suspensions.kind_of(one).called, why) for one, why in reasons.items() if why), None)
    return Facts(
        credential=Credential.SIGN_IN if client else Credential.API_KEY,
        program=program_of(client, ours) if client else Program.OTHER,
        proof=proof_of(client) if client else Proof.NONE,
        access=_access(delivery),
        plan=limits.plans().of(_principal(member, client is not None)),
        switches=switches.of(member.organization),
        suspended=suspended,
        terms=terms.standing(now(), asking.address()).missing(ours),
        may_use_models=organizations.may(member, Permission.MODELS_USE),
        model=question.model,
    )


def _principal(member: "Membership", signed_in: bool) -> Principal:
    kind = PrincipalKind.SESSION if signed_in else PrincipalKind.API_KEY
    organization, seat = ids.dump("organization", member.organization_id), ids.dump("membership", member.pk)
    return Principal(kind, "", organization, "", seat)


def _client(name: str) -> Any:
    from keystead.server.authorization import operations as authorization

    found = dict(authorization.client_facts()).get(name)
    if found is None:
        raise UsageError(f"There is no client {name}.", hint="The console shows the client ids under Clients.")
    return found


def _access(delivery: Delivery | None) -> ModelAccess | Unreadable | None:
    try:
        rules = None if delivery is None else models(delivery.settings)
    except ValueError as error:
        return Unreadable(str(error))
    return None if rules is None else access_to(rules)
