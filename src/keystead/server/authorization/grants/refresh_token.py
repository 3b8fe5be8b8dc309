"""A refresh token for its successor (RFC 6749 section 6, RFC 9700 section 4.14)."""

from typing import Final

from django.db.models import BinaryField

from keystead.server.authorization import clients, lifetimes, sign_ins
from keystead.server.authorization.checks import scopes, vouching
from keystead.server.authorization.grants.question import Question
from keystead.server.authorization.models import RefreshToken
from keystead.server.authorization.parameters import required_token
from keystead.server.authorization.refusals import MustWait, Refusal, refused_refresh
from keystead.server.authorization.sign_ins import Redeemed
from keystead.server.statements import Parameter, Prepared, use_up
from keystead.wire import ids, tokens
from keystead.wire.tokens import TokenKind

_UNASKED: Final = (
    *("created_at", "organization"),
    *(f"grant__{name}" for name in ("label", "authenticated_at", "authentication_methods")),
    *(f"grant__membership__{name}" for name in ("created_at", "changed_at")),
    *(f"grant__membership__person__{name}" for name in ("password", "last_login", "email", "name", "created_at")),
)
"""What no refresh looks at."""
_TOKEN: Final = Prepared(
    lambda: (
        RefreshToken.objects.select_related("grant__membership__person")
        .defer(*_UNASKED)
        .annotate(vouched_for=vouching.vouched_for("grant"))
        .filter(digest=Parameter("digest", BinaryField()))
    )
)
"""All that a refresh asks the database of its token, in one question."""


def redeem(question: Question) -> Redeemed | Refusal:
    """Rotate the token, or answer a recent replay with the successor it already has.

    A token used longer ago than the window is in two hands, so its whole family ends.

    Raises:
        MustWait: the person's identity provider may have to be asked first, and the answer was to be at once.
    """
    token = required_token(question.parameters, "refresh_token", TokenKind.REFRESH_TOKEN, refused_refresh)
    found = _TOKEN.first(digest=tokens.digest(token))
    if found is None:
        raise refused_refresh("The refresh token is unknown.")
    grant, now = found.grant, question.now
    grant.client = clients.of_key(grant.client_id)
    if question.is_by_another_than(grant.client):
        raise refused_refresh("The refresh token is unknown.")
    if grant.revoked_at is not None:
        raise refused_refresh("The sign-in was ended.")
    if min(grant.expires_at, found.expires_at) <= now:
        raise refused_refresh("The sign-in has expired.")
    if question.at_once and found.used_at is None and getattr(found, "vouched_for"):  # noqa: B009  an annotation
        raise MustWait
    scope = scopes.asked(question.parameters.get("scope"), grant.scope)
    following = sign_ins.successor(token)
    if use_up(found, now):
        sign_ins.keep(grant, following, found.generation + 1, now)
    elif _is_reuse(found, question):
        sign_ins.end(grant, ids.dump("client", grant.client.id), "refresh_token_reused", now)
        return refused_refresh("The refresh token was used before. The sign-in has been ended.")
    else:
        following = sign_ins.kept_successor(token)
    return Redeemed(grant, scope, following, key_thumbprint=grant.key_thumbprint)


def _is_reuse(found: RefreshToken, question: Question) -> bool:
    found.refresh_from_db(fields=["used_at"])
    return found.used_at is None or question.now - found.used_at > lifetimes.REPLAY_WINDOW
