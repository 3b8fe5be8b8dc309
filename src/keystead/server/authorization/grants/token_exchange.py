"""A token for a narrower one, in which a client acts for somebody (RFC 8693).

What comes out is never more than what went in: its scope, its end and the life of its sign-in are those of the subject
token at most, and its ``act`` claim says who acts, so that nobody is impersonated unseen. A token that is bound to a
key (RFC 9449) is of use to its holder only, here as anywhere: whoever hands it on signs the request with that key, and
what comes out is bound to it too.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from keystead.server.authorization import access_tokens, federated, sign_ins
from keystead.server.authorization.access_tokens import Claims
from keystead.server.authorization.checks import binding, scopes, standing, suspended
from keystead.server.authorization.federated import Identity
from keystead.server.authorization.grants.question import Question
from keystead.server.authorization.models import Client, Grant
from keystead.server.authorization.parameters import Parameters, required
from keystead.server.authorization.refusals import Refusal, invalid_request, unauthenticated
from keystead.server.authorization.sign_ins import Exchange, Redeemed, ServiceApproval
from keystead.server.authorization.surroundings import issuer, server
from keystead.wire.oauth import ACCESS_TOKEN_TYPE, TOKEN_EXCHANGE_GRANT

_OF_OTHERS: Final = frozenset({"urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"})
_DEEPEST: Final = 4
"""Actors in a row that a token may name; more is a loop, not an organization."""


def prepare(question: Question) -> Question:
    """Check who asks and what for; find out who is identified when the subject is another issuer's."""
    client, parameters = question.client, question.parameters
    if client is None or not client.is_confidential:
        raise unauthenticated("A client that exchanges tokens must authenticate.")
    if client.organization_id is None:
        raise Refusal("unauthorized_client", "This client belongs to no organization whose tokens it could exchange.")
    _check_target(parameters)
    kind, subject = required(parameters, "subject_token_type"), required(parameters, "subject_token")
    if kind == ACCESS_TOKEN_TYPE:
        return question
    if kind not in _OF_OTHERS:
        raise invalid_request("The subject_token_type must be that of an access token, a JWT or an ID token.")
    try:
        identity = federated.identify(subject, federated.Asked(parameters, client), question.now)
    except Refusal as refusal:
        raise _unacceptable(refusal) from refusal
    _check_may_act(identity, client)
    return replace(question, identity=identity)


def redeem(question: Question) -> Redeemed | Refusal:
    """Begin a short sign-in below the subject's, or one of the service account that an identity stands for."""
    client = question.client
    if client is None:
        raise unauthenticated()
    actor = _actor(question, client)
    if question.identity is not None:
        return _for_identity(question, question.identity, client, actor)
    claims, parent = _subject(question, client)
    act = _nested(actor, parent.act)
    allowed = " ".join(name for name in claims.scope.split() if name in client.scope.split())
    scope = _narrowed(question.parameters, allowed)
    ends = datetime.fromtimestamp(claims.expires_at, UTC)
    approval = Exchange(client, parent, scope, min(ends, question.now + _lifetime(question.parameters)), act)
    return sign_ins.begin_exchanged(approval, question.label, question.now)


def _for_identity(question: Question, identity: Identity, client: Client, actor: str) -> Redeemed:
    try:
        identity.spend()
    except Refusal as refusal:
        raise _unacceptable(refusal) from refusal
    rule = identity.rule
    allowed = " ".join(name for name in rule.scope.split() if name in client.scope.split())
    scope = scopes.for_service(question.parameters.get("scope"), allowed)
    lifetime = min(identity.lifetime, _lifetime(question.parameters))
    act = {"sub": actor}
    approval = ServiceApproval(client, rule.service_account, scope, lifetime, identity.because, act)
    return sign_ins.begin_service(approval, question.label, question.now)


def _subject(question: Question, client: Client) -> tuple[Claims, Grant]:
    """Return the subject's token and its living sign-in, if this client may act for whoever it is."""
    token = question.parameters["subject_token"]
    claims, grant = _living(token, question, "subject_token")
    if grant.organization_id != client.organization_id:
        raise invalid_request("The subject_token is not acceptable.")
    if claims.client_id not in {client.client_id, *client.may_act_for}:
        raise invalid_request("This client may not act for people who are signed in to that one.")
    return claims, grant


def _actor(question: Question, client: Client) -> str:
    """Return who acts: the client itself, or whoever its own actor token stands for."""
    parameters = question.parameters
    if "actor_token" not in parameters:
        if "actor_token_type" in parameters:
            raise invalid_request("The actor_token_type stands without an actor_token.")
        return client.client_id
    if required(parameters, "actor_token_type") != ACCESS_TOKEN_TYPE:
        raise invalid_request("The actor_token_type must be that of an access token.")
    claims, grant = _living(parameters["actor_token"], question, "actor_token")
    if grant.organization_id != client.organization_id or claims.client_id != client.client_id:
        raise invalid_request("The actor_token is not acceptable.")
    return claims.subject_id


def _living(token: str, question: Question, name: str) -> tuple[Claims, Grant]:
    """Return what a token says and its sign-in, if both hold and the request is signed by the key it is bound to."""
    claims = access_tokens.verify(token, question.now.timestamp())
    grant = None if claims is None else sign_ins.of_wire_id(claims.grant_id)
    if claims is None or grant is None or grant.revoked_at is not None or not standing.holds(grant):
        raise invalid_request(f"The {name} is not a living access token of this server.")
    if claims.key_thumbprint not in ("", question.key):
        raise binding.other_key(name)
    suspended.check(grant, TOKEN_EXCHANGE_GRANT)
    return claims, grant


def _nested(actor: str, before: dict[str, Any] | None) -> dict[str, Any]:
    """Return the ``act`` claim: who acts now, and within it who acted before (RFC 8693 section 4.1)."""
    depth, one = 1, before
    while one is not None:
        depth, one = depth + 1, one.get("act")
    if depth > _DEEPEST:
        raise invalid_request("The subject_token has been handed on too often.")
    return {"sub": actor} if before is None else {"sub": actor, "act": before}


def _narrowed(parameters: Parameters, allowed: str) -> str:
    """Return what was asked for of what is allowed; staying signed in is not handed on."""
    own = " ".join(name for name in allowed.split() if name != "offline_access")
    scope = scopes.asked(parameters.get("scope"), own)
    if not scope:
        raise Refusal("invalid_scope", "Nothing of the subject_token is within the scope of this client.")
    return scope


def _lifetime(parameters: Parameters) -> timedelta:
    """Return how long the token may live: as asked by ``expires_in`` (an extension), the server's limit at most."""
    longest = server().access_token_seconds
    asked = parameters.get("expires_in", str(longest))
    if not (asked.isascii() and asked.isdigit()) or len(asked) > 9 or int(asked) < 1:
        raise invalid_request("The parameter expires_in is not a number of seconds.")
    return timedelta(seconds=min(int(asked), longest))


def _check_target(parameters: Parameters) -> None:
    if parameters.get("requested_token_type", ACCESS_TOKEN_TYPE) != ACCESS_TOKEN_TYPE:
        raise invalid_request("Only access tokens are given out.")
    for name in ("resource", "audience"):
        if parameters.get(name, issuer()) not in {issuer(), f"{issuer()}/"}:
            raise Refusal("invalid_target", f"This server gives out no tokens for that {name}.")


def _check_may_act(identity: Identity, client: Client) -> None:
    """Hold what the issuer says of who may act for its subject (RFC 8693 section 4.4); saying nothing allows."""
    may_act = identity.claims.get("may_act")
    if may_act is None:
        return
    named = may_act if isinstance(may_act, dict) else {}
    if named.get("sub") != client.client_id or named.get("iss", issuer()) != issuer():
        raise invalid_request("The subject_token names somebody else who may act for its subject.")


def _unacceptable(refusal: Refusal) -> Refusal:
    """Return the refusal as section 2.2.2 has it: a token that is not acceptable is ``invalid_request``."""
    if refusal.error != "invalid_grant":
        return refusal
    return invalid_request(refusal.description)
