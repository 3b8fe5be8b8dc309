"""The identity token of a workload for a short token of a service account (RFC 7523 section 2.1)."""

from dataclasses import replace

from keystead.server.authorization import federated, sign_ins
from keystead.server.authorization.checks import scopes
from keystead.server.authorization.clients import WORKLOAD, find
from keystead.server.authorization.grants.question import Question
from keystead.server.authorization.parameters import required
from keystead.server.authorization.refusals import Refusal, invalid_grant
from keystead.server.authorization.sign_ins import Redeemed, ServiceApproval


def prepare(question: Question) -> Question:
    """Find out who is identified; a workload need not say which client it is."""
    client = question.client or find(WORKLOAD)
    assertion = required(question.parameters, "assertion")
    asked = federated.Asked(question.parameters, question.client, at_once=question.at_once)
    identity = federated.identify(assertion, asked, question.now)
    return replace(question, client=client, identity=identity)


def redeem(question: Question) -> Redeemed | Refusal:
    """Use the identity up and begin a short sign-in of the service account that its rule names."""
    identity, client = question.identity, question.client
    if identity is None or client is None:
        raise invalid_grant(federated.NO_RULE)
    identity.spend()
    rule = identity.rule
    scope = scopes.for_service(question.parameters.get("scope"), rule.scope)
    approval = ServiceApproval(client, rule.service_account, scope, identity.lifetime, identity.because)
    return sign_ins.begin_service(approval, question.label, question.now)
