"""What a client may send as ``grant_type``: the table, and every phase the grants share.

A grant is one function from a :class:`Question` to what it redeemed. It *raises* a refusal to undo, *returns* one
to keep what it wrote. Whatever must hold for all of them stands here once, so that no grant can forget it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from keystead.credentials.rules import PERSON_SIGN_IN
from keystead.secret import Secret
from keystead.server.authorization import access_tokens, id_tokens
from keystead.server.authorization.checks import binding, resources, scopes, standing, suspended, vouching
from keystead.server.authorization.grants import (
    authorization_code,
    client_credentials,
    device_code,
    jwt_bearer,
    refresh_token,
    token_exchange,
)
from keystead.server.authorization.grants.question import Question
from keystead.server.authorization.parameters import required
from keystead.server.authorization.refusals import Refusal, invalid_client, invalid_grant, refused_refresh
from keystead.server.authorization.sign_ins import Redeemed
from keystead.server.identifiers import new_id
from keystead.server.transactions import undone_alone
from keystead.wire.oauth import (
    ACCESS_TOKEN_TYPE,
    DEVICE_CODE_GRANT,
    JWT_BEARER_GRANT,
    TOKEN_EXCHANGE_GRANT,
    TokenResponse,
)

TABLE: Final[Mapping[str, Callable[[Question], Redeemed | Refusal]]] = {
    "authorization_code": authorization_code.redeem,
    "refresh_token": refresh_token.redeem,
    "client_credentials": client_credentials.redeem,
    DEVICE_CODE_GRANT: device_code.redeem,
    JWT_BEARER_GRANT: jwt_bearer.redeem,
    TOKEN_EXCHANGE_GRANT: token_exchange.redeem,
}
_BEFORE: Final[Mapping[str, Callable[[Question], Question]]] = {
    JWT_BEARER_GRANT: jwt_bearer.prepare,
    TOKEN_EXCHANGE_GRANT: token_exchange.prepare,
    "refresh_token": vouching.hold,
}
"""What must happen before the transaction begins, since it may have to wait for somebody else's answer."""
MAY_WAIT: Final = frozenset({TOKEN_EXCHANGE_GRANT})
"""Grants that may have to; a refresh and a signed JWT learn on their way whether they must, by ``MustWait``."""


def exchange(question: Question) -> TokenResponse:
    """Answer a token request (RFC 6749 sections 4.1.3, 4.4.2, 6; RFC 8628 3.4; RFC 7523 2.1; RFC 8693 2.1).

    Args:
        question: who asks for what; its client as
            :mod:`~keystead.server.authorization.checks.client_authentication` found.

    Raises:
        Refusal: as the RFCs name it.
        MustWait: it was to be answered at once and may have to wait; nothing has been written.
    """
    parameters = question.parameters
    redeem = TABLE.get(required(parameters, "grant_type"))
    if redeem is None:
        raise Refusal("unsupported_grant_type", "This grant_type is not supported.")
    resources.check(parameters)
    prepare = _BEFORE.get(parameters["grant_type"])
    if prepare is not None:
        question = prepare(question)
    with undone_alone():
        redeemed = redeem(question)
        if isinstance(redeemed, Redeemed):
            _check(redeemed, parameters["grant_type"])
            binding.hold(redeemed, question.key)
            answer = _answer(redeemed, question.key, question.now)
            is_exchange = parameters["grant_type"] == TOKEN_EXCHANGE_GRANT
            return replace(answer, issued_token_type=ACCESS_TOKEN_TYPE) if is_exchange else answer
    raise redeemed


def _check(redeemed: Redeemed, grant_type: str) -> None:
    grant = redeemed.grant
    if grant.client.disabled_at is not None:
        raise invalid_client("This client has been disabled.")
    if grant_type not in grant.client.grant_types:
        raise Refusal("unauthorized_client", "This client may not use this grant_type.")
    if grant.client.organization_id not in (None, grant.organization_id):
        raise Refusal("unauthorized_client", "This client belongs to another organization.")
    in_a_name = grant.membership_id is not None and scopes.MODELS_USE in redeemed.scope.split()
    if in_a_name and not grant.client.first_party:
        raise Refusal("unauthorized_client", f"{PERSON_SIGN_IN.denied} (rule {PERSON_SIGN_IN.id}).", 403)
    if not standing.holds(grant):
        refuse = refused_refresh if grant_type == "refresh_token" else invalid_grant
        raise refuse("This account is no longer active.")
    suspended.check(grant, grant_type)


def _answer(redeemed: Redeemed, key: str, now: datetime) -> TokenResponse:
    grant = redeemed.grant
    scope = scopes.effective(redeemed.scope, grant.role)
    token, lifetime = access_tokens.sign(grant, scope, new_id(), now, key)
    about = None
    if redeemed.nonce is not None and "openid" in scope.split():
        about = Secret(id_tokens.sign(grant, token, redeemed.nonce, now))
    following = None if redeemed.refresh_token is None else Secret(redeemed.refresh_token)
    answer = TokenResponse(
        Secret(token), lifetime, following, scope, token_type="DPoP" if key else "Bearer", id_token=about
    )
    if redeemed.ticket is None:
        return answer
    ends = (grant.expires_at - now).total_seconds()
    return replace(answer, revocation_ticket=Secret(redeemed.ticket), revocation_ticket_expires_in=ends)
