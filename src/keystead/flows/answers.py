"""What every flow does with a response: read the document, or say precisely why there is none.

The law of R-02 stands here: only a JSON ``invalid_grant`` with the status the protocol gives it may call a
credential dead. A captive portal's page, a proxy's 403, a truncated body and a 5xx are the server's trouble.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from keystead.credentials import OAuthTokens
from keystead.errors import (
    Cancelled,
    ConfigurationError,
    CredentialExpired,
    CredentialRejected,
    KeysteadError,
    PolicyDenied,
    RateLimited,
    ServerFailure,
)
from keystead.wire import dates, oauth
from keystead.wire.fields import Malformed
from keystead.wire.http import Response

Document = TypeVar("Document")

_SIGN_IN: Final = "Run keystead login to sign in."
_TRY_LATER: Final = "Nothing was lost. Try again in a moment."
_REGISTRATION: Final = "The server does not accept this client; ask whoever runs it."

_FAULTS: Final[dict[str, tuple[type[KeysteadError], str, str]]] = {
    "invalid_grant": (CredentialRejected, "{what} was refused: it is no longer valid", _SIGN_IN),
    "access_denied": (Cancelled, "the sign-in was denied on the approval page", "Run keystead login to try again."),
    "expired_token": (CredentialExpired, "the code was not approved in time", "Run keystead login for a new one."),
    "invalid_client": (ConfigurationError, "{what} was refused: the client is not registered", _REGISTRATION),
    "unauthorized_client": (ConfigurationError, "{what} was refused: the client may not do this", _REGISTRATION),
    "unsupported_grant_type": (ConfigurationError, "the server does not offer this kind of sign-in", _REGISTRATION),
    "invalid_scope": (ConfigurationError, "{what} was refused: the scope is not offered", _REGISTRATION),
    "invalid_request": (ConfigurationError, "{what} was refused: the request is not understood", _REGISTRATION),
    "invalid_target": (PolicyDenied, "{what} was refused: the organization may not be used", "Ask its administrator."),
}
"""OAuth error code -> error class, sentence, hint (RFC 6749 section 5.2, RFC 8628 section 3.5)."""


def read(response: Response | None, parse: Callable[[bytes], Document], what: str) -> Document:
    """Return the document of a 200 response.

    Args:
        response: what the driver sent into the flow.
        parse: reads the body; raises ``Malformed``.
        what: names the request in messages, such as ``the refresh``.

    Raises:
        KeysteadError: of the class :func:`failure` chooses.
    """
    received = arrived(response)
    if received.status != 200:
        raise failure(received, what)
    try:
        return parse(received.body)
    except Malformed as error:
        raise ServerFailure(
            f"{_host(received)} answered {what} with something else: {error}.", hint=_TRY_LATER
        ) from error


def arrived(response: Response | None) -> Response:
    """Return the response a driver sends for a request; ``None`` would be a driver's mistake."""
    if response is None:
        raise RuntimeError("a flow that yields a request is sent a response")
    return response


def fault(response: Response) -> oauth.OAuthFault | None:
    """Return the OAuth error of a 400, 401 or 403 with a JSON body; anything else has none."""
    is_json = response.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
    return oauth.parse_fault(response.body) if is_json and response.status in {400, 401, 403} else None


def failure(response: Response, what: str) -> KeysteadError:
    """Return the error that a response without the document stands for."""
    host = _host(response)
    if response.status == 429:
        wait = retry_after(response)
        hint = f"Try again in {wait:.0f} s." if wait else _TRY_LATER
        return RateLimited(f"{host} asks to wait before {what}.", hint=hint, retry_after=wait)
    found = fault(response)
    if found is not None and found.error in _FAULTS and (found.error != "invalid_grant" or response.status != 403):
        kind, sentence, hint = _FAULTS[found.error]
        return kind(f"{host}: {sentence.format(what=what)} ({found.error}).", hint=hint)
    wait = retry_after(response) if response.status >= 500 else None
    return ServerFailure(f"{host} answered {what} with HTTP {response.status}.", hint=_TRY_LATER, retry_after=wait)


def tokens(response: Response, received: oauth.TokenResponse, now: float) -> OAuthTokens:
    """Return tokens stamped with the local clock and the server's skew against it (R-26)."""
    server_time, lasts = dates.parse(response.headers.get("date", "")), received.revocation_ticket_expires_in
    return OAuthTokens(
        access_token=received.access_token,
        refresh_token=received.refresh_token,
        issued_at=now,
        expires_in=received.expires_in,
        scope=received.scope or "",
        clock_skew=0.0 if server_time is None else server_time - now,
        revocation_ticket=received.revocation_ticket,
        revocable_until=None if lasts is None else now + lasts,
    )


def _host(response: Response) -> str:
    return response.url.partition("?")[0] or "the server"


def retry_after(response: Response) -> float | None:
    """Return the seconds to wait that the server names (RFC 9110 section 10.2.3), or None when it names none.

    A date counts from the server's own ``Date``, so that the clock of this machine does not matter.
    """
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 9:
        return float(text)
    then, now = dates.parse(text), dates.parse(response.headers.get("date", ""))
    return max(0.0, then - now) if then is not None and now is not None else None
