"""Google: the key of a service account, or Application Default Credentials of the server's own machine."""

import functools
import json
from collections.abc import Mapping
from datetime import UTC
from typing import Any, Final

import google.auth
import google.auth.exceptions
import google.auth.transport.requests
from google.oauth2.service_account import Credentials as _Key

from keystead.clock import SYSTEM_CLOCK
from keystead.drivers.cloud import STEP
from keystead.drivers.command import redacted
from keystead.errors import CloudNotReady, ConfigurationError, ServerUnreachable
from keystead.secret import Secret
from keystead.server.cloud_credentials.renewed import Token, TokenCredential
from keystead.server.upstream_shape import Kind

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_FIX: Final = "Check the service account, its key and the server's identity in Google Cloud."


def make(_kind: Kind, method: str, fields: Mapping[str, Secret], _region: str) -> TokenCredential:
    """Return what gets tokens; see :func:`keystead.server.cloud_credentials.of`."""
    if method == "chain":
        return TokenCredential(functools.partial(_asked, _Default()))
    return TokenCredential(functools.partial(_asked, _Account(fields["service_account_json"])))


class _Default:
    """Application Default Credentials, looked for when they are first needed."""

    found: Any = None

    def __call__(self, request: Any) -> Any:
        if self.found is None:
            self.found, _ = google.auth.default(scopes=[SCOPE], request=request)
        return self.found


class _Account:
    """A service account."""

    def __init__(self, key: Secret) -> None:
        try:
            key_file = json.loads(key.reveal())
            self._credentials = _Key.from_service_account_info(key_file, scopes=[SCOPE])  # type: ignore[no-untyped-call]
        except (ValueError, KeyError, TypeError, google.auth.exceptions.GoogleAuthError) as error:
            raise ConfigurationError(
                f"The key of the service account cannot be used ({type(error).__name__}).",
                hint="Enter the whole file that Google Cloud gave you.",
                move="administrator",
            ) from None

    def __call__(self, _request: Any) -> Any:
        return self._credentials


def _asked(found: "_Default | _Account") -> Token:
    """Return a new token.

    Raises:
        KeysteadError: Google issued none.
    """
    request = functools.partial(google.auth.transport.requests.Request(), timeout=STEP)
    try:
        credentials = found(request)
        credentials.refresh(request)
    except google.auth.exceptions.TransportError as error:
        raise ServerUnreachable("Google's token endpoint cannot be reached.", hint="Check the network.") from error
    except google.auth.exceptions.GoogleAuthError as error:
        raise CloudNotReady(f"Google issued no token: {redacted(_said(error))}", hint=_FIX) from None
    expiry = credentials.expiry
    ends_at = expiry.replace(tzinfo=UTC).timestamp() if expiry else SYSTEM_CLOCK.now() + 600.0
    return Token(Secret(credentials.token), ends_at)


def _said(error: BaseException) -> str:
    """Return the words of an error, also of one that is wrapped in another of google-auth's."""
    said: Any = error
    while isinstance(said, BaseException):
        said = said.args[0] if said.args else type(said).__name__
    return str(said)
