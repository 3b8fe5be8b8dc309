"""Renew an access token (RFC 6749 section 6) at the endpoint pinned at sign-in."""

from dataclasses import replace

from keystead.credentials import Login, OAuthTokens
from keystead.errors import CredentialExpired
from keystead.flows import Flow, answers
from keystead.secret import Secret
from keystead.wire import oauth
from keystead.wire.http import Request


def refresh(login: Login, now: float) -> Flow[OAuthTokens]:
    """Return new tokens for ``login``.

    A server that rotates sends a new refresh token; one that does not, leaves the old one in force. The ticket that
    can end the sign-in stays the one that came with it.

    Args:
        login: the stored sign-in.
        now: Unix seconds; the lifetime counts from here, which is before the answer and so on the safe side.

    Raises:
        CredentialExpired: the login has no refresh token.
        CredentialRejected: the server said ``invalid_grant``.
        TemporaryFailure: anything else went wrong; the login is as good as it was.
    """
    refresh_token = login.tokens.refresh_token
    if refresh_token is None:
        raise CredentialExpired(
            f"The sign-in to {login.issuer} cannot be renewed.", hint="Run keystead login to sign in again."
        )
    form: dict[str, str | Secret] = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token,
        "client_id": login.client_id,
    }
    response = answers.arrived((yield Request("POST", login.token_endpoint, {"accept": "application/json"}, form)))
    renewed, before = (
        answers.tokens(response, answers.read(response, oauth.parse_token, "the refresh"), now),
        login.tokens,
    )
    has_ticket = renewed if renewed.revocation_ticket is not None else before
    return replace(
        renewed,
        refresh_token=renewed.refresh_token or refresh_token,
        scope=renewed.scope or before.scope,
        revocation_ticket=has_ticket.revocation_ticket,
        revocable_until=has_ticket.revocable_until,
    )
