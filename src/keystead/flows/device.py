"""Sign in on a machine without a browser (RFC 8628): show a code, wait until somebody approves it elsewhere."""

from collections.abc import Callable, Mapping
from typing import Final

from keystead.credentials import OAuthTokens
from keystead.errors import ConfigurationError, CredentialExpired, RateLimited
from keystead.flows import Flow, Wait, answers
from keystead.secret import Secret
from keystead.wire import oauth
from keystead.wire.http import Request, Response
from keystead.wire.oauth import DeviceAuthorization, ServerMetadata

_JSON: Final = {"accept": "application/json"}
SLOW_DOWN: Final = 5.0
"""Seconds added to the interval by every ``slow_down`` (RFC 8628 section 3.5)."""


def start(metadata: ServerMetadata, client_id: str, scope: str) -> Flow[DeviceAuthorization]:
    """Ask for the pair of codes.

    Raises:
        ConfigurationError: the server has no device authorization endpoint.
    """
    if metadata.device_authorization_endpoint is None:
        raise ConfigurationError(
            f"{metadata.issuer} offers no sign-in by device code.",
            hint="Sign in with a browser, or ask whoever runs it.",
        )
    form: dict[str, str | Secret] = {"client_id": client_id, "scope": scope}
    response = yield Request("POST", metadata.device_authorization_endpoint, _JSON, form)
    return answers.read(response, oauth.parse_device_authorization, "the request for a code")


def poll(
    metadata: ServerMetadata, client_id: str, authorization: DeviceAuthorization, now: Callable[[], float]
) -> Flow[OAuthTokens]:
    """Ask for the tokens until they come, the person says no, or the code's lifetime has been waited away.

    Raises:
        Cancelled: denied on the approval page.
        CredentialExpired: nobody approved in time.
    """
    form: Mapping[str, str | Secret] = {
        "grant_type": oauth.DEVICE_CODE_GRANT,
        "device_code": authorization.device_code,
        "client_id": client_id,
    }
    interval, waited = authorization.interval, 0.0
    while waited + interval <= authorization.expires_in:
        yield Wait(interval)
        waited += interval
        response = answers.arrived((yield Request("POST", metadata.token_endpoint, _JSON, form)))
        pause = _pause(response)
        if pause is None:
            return answers.tokens(response, answers.read(response, oauth.parse_token, "the sign-in"), now())
        interval += pause
    raise CredentialExpired("The code was not approved in time.", hint="Run keystead login for a new one.")


def _pause(response: Response) -> float | None:
    """Return how many seconds to add to the interval before asking again, or ``None`` to stop asking.

    A 429 or a 5xx on the way is no answer about the code, so the polling goes on, slower.
    """
    if response.status == 429:
        error = answers.failure(response, "the sign-in")
        return (error.retry_after if isinstance(error, RateLimited) else None) or SLOW_DOWN
    if response.status >= 500:
        return SLOW_DOWN
    fault = answers.fault(response)
    return {"authorization_pending": 0.0, "slow_down": SLOW_DOWN}.get(fault.error) if fault else None
