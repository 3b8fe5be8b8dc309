"""End a sign-in on the server (RFC 7009): the refresh token first, for it can make new access tokens."""

from typing import Final

from keystead.credentials import Login
from keystead.flows import Flow, answers
from keystead.secret import Secret
from keystead.wire.http import Request

TICKET: Final = "revocation_ticket"
"""The token type of a ticket that can end a sign-in and do nothing else (RFC 7009 section 2.1 allows others)."""


def revoke(login: Login) -> Flow[bool]:
    """Return True when the server confirmed that the tokens are dead, False when it has no such endpoint.

    Raises:
        TemporaryFailure: no usable answer; the tokens may still be alive.
    """
    if login.revocation_endpoint is None:
        return False
    hints = {"refresh_token": login.tokens.refresh_token, "access_token": login.tokens.access_token}
    for hint, token in hints.items():
        if token is not None:
            yield from present(token, hint, login.revocation_endpoint, login.client_id)
    return True


def present(token: Secret, hint: str, endpoint: str, client_id: str) -> Flow[None]:
    """Ask a revocation endpoint to end what ``token`` belongs to; ``hint`` says what it is.

    Raises:
        TemporaryFailure: no usable answer; it may still be alive.
    """
    form: dict[str, str | Secret] = {"token": token, "token_type_hint": hint, "client_id": client_id}
    response = answers.arrived((yield Request("POST", endpoint, {"accept": "application/json"}, form)))
    if response.status != 200:
        raise answers.failure(response, "the revocation")
