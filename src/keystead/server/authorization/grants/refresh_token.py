"""A refresh token for its successor (RFC 6749 section 6, RFC 9700 section 4.14)."""

from typing import Final

from django.db.models import BinaryField

from keystead.server.authorization import lifetimes, sign_ins
from keystead.server.authorization.checks import scopes
from keystead.server.authorization.grants.question import Question
from keystead.server.authorization.models import RefreshToken
from keystead.server.authorization.parameters import required_token
from keystead.server.authorization.refusals import Refusal, refused_refresh
from keystead.server.authorization.sign_ins import Redeemed
from keystead.server.statements import Parameter, Prepared, use_up
from keystead.wire import ids, tokens
from keystead.wire.tokens import TokenKind

_TOKEN: Final = Prepared(
    lambda: RefreshToken.objects.select_related(
        "grant__client", "grant__membership__person", "grant__organization", "grant__service_account"
    ).filter(digest=Parameter("digest", BinaryField()))
)


def redeem(question: Question) -> Redeemed | Refusal:
    """Rotate the token, or answer a recent replay with the successor it already has.

    A token used longer ago than the window is in two hands, so its whole family ends.
    """
    token = required_token(question.parameters, "refresh_token", TokenKind.REFRESH_TOKEN, refused_refresh)
    found = _TOKEN.first(digest=tokens.digest(token))
    if found is None or question.is_by_another_than(found.grant.client):
        raise refused_refresh("The refresh token is unknown.")
    grant, now = found.grant, question.now
    if grant.revoked_at is not None:
        raise refused_refresh("The sign-in was ended.")
    if min(grant.expires_at, found.expires_at) <= now:
        raise refused_refresh("The sign-in has expired.")
    scope = scopes.asked(question.parameters.get("scope"), grant.scope)
    following = sign_ins.successor(token)
    if use_up(found, now):
        sign_ins.keep(grant, following, found.generation + 1, now)
    elif _is_reuse(found, question):
        sign_ins.end(grant, ids.dump("client", grant.client.id), "refresh_token_reused", now)
        return refused_refresh("The refresh token was used before. The sign-in has been ended.")
    return Redeemed(grant, scope, following, key_thumbprint=grant.key_thumbprint)


def _is_reuse(found: RefreshToken, question: Question) -> bool:
    found.refresh_from_db(fields=["used_at"])
    return found.used_at is None or question.now - found.used_at > lifetimes.REPLAY_WINDOW
