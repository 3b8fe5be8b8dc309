"""A confidential client in its own name: a short token of the service account it stands for (RFC 6749 section 4.4)."""

from keystead.server.authorization import lifetimes, sign_ins
from keystead.server.authorization.checks import scopes
from keystead.server.authorization.grants.question import Question
from keystead.server.authorization.refusals import Refusal, unauthenticated
from keystead.server.authorization.sign_ins import Redeemed, ServiceApproval


def redeem(question: Question) -> Redeemed | Refusal:
    """Begin a short sign-in of the client's service account; there is no refresh token, it asks again."""
    client = question.client
    if client is None or not client.is_confidential:
        raise unauthenticated("A client that asks in its own name must authenticate.")
    if client.service_account is None:
        raise Refusal("unauthorized_client", "This client stands for no service account.")
    if client.service_account.disabled_at is not None:
        raise Refusal("unauthorized_client", "The service account of this client has been disabled.")
    scope = scopes.for_service(question.parameters.get("scope"), client.scope)
    approval = ServiceApproval(client, client.service_account, scope, lifetimes.SERVICE_SIGN_IN, {})
    return sign_ins.begin_service(approval, question.label, question.now)
