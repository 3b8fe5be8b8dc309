"""End a sign-in on the server (RFC 7009): the refresh token first, for it can make new access tokens."""

from keystead.credentials import Login
from keystead.flows import Flow, answers
from keystead.secret import Secret
from keystead.wire.http import Request


def revoke(login: Login) -> Flow[bool]:
    """Return True when the server confirmed that the tokens are dead, False when it has no such endpoint.

    Raises:
        TemporaryFailure: no usable answer; the tokens may still be alive.
    """
    if login.revocation_endpoint is None:
        return False
    hints = {"refresh_token": login.tokens.refresh_token, "access_token": login.tokens.access_token}
    for hint, token in hints.items():
        if token is None:
            continue
        form: dict[str, str | Secret] = {"token": token, "token_type_hint": hint, "client_id": login.client_id}
        response = answers.arrived(
            (yield Request("POST", login.revocation_endpoint, {"accept": "application/json"}, form))
        )
        if response.status != 200:
            raise answers.failure(response, "the revocation")
    return True
