"""Microsoft: an Entra application with its secret, or the chain of azure-identity on the server's own machine."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final

from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from azure.identity import ClientSecretCredential
from azure.identity import DefaultAzureCredential as _Chain

from keystead.drivers.cloud import STEP
from keystead.drivers.cloud.entra import SCOPE, is_private
from keystead.drivers.command import redacted
from keystead.environment import Environment
from keystead.errors import CloudNotReady, ServerUnreachable
from keystead.secret import Secret
from keystead.server.cloud_credentials.renewed import Token, TokenCredential
from keystead.server.upstream_shape import Kind

_FIX: Final = "Check the application, its secret and its role on the Foundry resource."
_WAIT: Final[Mapping[str, Any]] = {"connection_timeout": STEP, "read_timeout": STEP, "retry_total": 0}


def make(_kind: Kind, method: str, fields: Mapping[str, Secret], _region: str) -> TokenCredential:
    """Return what gets tokens; see :func:`keystead.server.cloud_credentials.of`."""
    private = is_private(Environment.capture().variables.get("AZURE_AUTHORITY_HOST"))
    how = {**_WAIT, "disable_instance_discovery": private}
    if method == "chain":
        return TokenCredential(functools.partial(_asked, functools.partial(_Chain, process_timeout=int(STEP), **how)))
    text = {name: value.reveal() for name, value in fields.items()}
    application = functools.partial(
        ClientSecretCredential, text["tenant_id"], text["client_id"], text["client_secret"], **how
    )
    return TokenCredential(functools.partial(_asked, application))


def _asked(made: "Callable[[], ClientSecretCredential | _Chain]") -> Token:
    """Return a new token: azure-identity would give the one it has until five minutes before its end, refused or not.

    Raises:
        KeysteadError: Entra issued none.
    """
    try:
        with made() as credential:
            token = credential.get_token(SCOPE)
    except (ServiceRequestError, ServiceResponseError) as error:
        raise ServerUnreachable(f"Entra ID cannot be reached: {redacted(error.message)}") from None
    except (AzureError, ValueError) as error:
        raise CloudNotReady(
            f"Entra ID issued no token: {redacted(str(error).partition(chr(10))[0])}", hint=_FIX
        ) from None
    return Token(Secret(token.token), float(token.expires_on))
