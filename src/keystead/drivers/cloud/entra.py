"""Microsoft: a Foundry key, or the Entra ID chain of azure-identity, proven by fetching a token with it."""

import base64
import binascii
from typing import Final

from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from azure.identity import AzureAuthorityHosts, DefaultAzureCredential

from keystead.credentials.cloud import CloudIdentity, CloudToken
from keystead.drivers.cloud import STEP
from keystead.drivers.command import redacted
from keystead.environment import Environment
from keystead.errors import CloudNotReady, ServerUnreachable
from keystead.secret import Secret
from keystead.wire.fields import Fields, Malformed

KEY: Final = "ANTHROPIC_FOUNDRY_API_KEY"
PLACES: Final = ("ANTHROPIC_FOUNDRY_RESOURCE", "ANTHROPIC_FOUNDRY_BASE_URL")
SCOPE: Final = "https://cognitiveservices.azure.com/.default"
FIX: Final = f"Run `az login`, or set {KEY}."
_PUBLIC: Final = (
    AzureAuthorityHosts.AZURE_PUBLIC_CLOUD,
    AzureAuthorityHosts.AZURE_CHINA,
    AzureAuthorityHosts.AZURE_GOVERNMENT,
)
_REFUSALS: Final = ("AADSTS", "Authentication failed", "invalid_client", "Unexpected response")
_PRINCIPALS: Final = ("upn", "unique_name", "oid", "appid")


def obtain(cloud: str, environment: Environment, now: float) -> CloudIdentity:
    """Return the token's identity; see :func:`keystead.drivers.cloud.obtain` for the errors."""
    if environment.variables.get(KEY):
        _place(environment)
        return CloudIdentity(cloud, KEY)
    return fetch(cloud, environment, now).identity


def fetch(cloud: str, environment: Environment, now: float) -> CloudToken:  # noqa: ARG001  one shape for all
    """Return the token, and its identity; the errors are those of :func:`obtain`."""
    _place(environment)
    variables = environment.variables
    credential = DefaultAzureCredential(
        process_timeout=int(STEP),
        connection_timeout=STEP,
        read_timeout=STEP,
        retry_total=0,
        disable_instance_discovery=is_private(variables.get("AZURE_AUTHORITY_HOST")),
    )
    try:
        token = credential.get_token(SCOPE)
    except (ServiceRequestError, ServiceResponseError) as error:
        raise ServerUnreachable(f"Entra ID cannot be reached: {redacted(error.message)}") from None
    except (AzureError, ValueError) as error:
        raise _translate(str(error)) from None
    claims = _claims(token.token)
    used = getattr(credential, "_successful_credential", None)
    identity = CloudIdentity(
        cloud,
        type(used).__name__ if used is not None else "DefaultAzureCredential",
        account=_text(claims, "tid"),
        principal=next((text for name in _PRINCIPALS if (text := _text(claims, name))), None),
        expires_at=float(token.expires_on),
        proven=True,
    )
    return CloudToken(identity, Secret(token.token))


def _place(environment: Environment) -> None:
    if not any(environment.variables.get(name) for name in PLACES):
        raise CloudNotReady("No Foundry resource is named.", hint=f"Set {PLACES[0]} to its name, or {PLACES[1]}.")


def is_private(authority: str | None) -> bool:
    """Whether tokens come from a cloud that the public discovery does not know: a private cloud, or Azure Stack."""
    return authority is not None and authority.strip(" /").removeprefix("https://") not in {"", *_PUBLIC}


def _translate(report: str) -> CloudNotReady:
    """Tell "nothing there" from "refused" in a report on every credential; keep the line that matters."""
    telling = next(
        (line[line.find(sign) :] for sign in _REFUSALS for line in report.splitlines() if sign in line), None
    )
    if telling is None:
        return CloudNotReady("Azure credentials were not found in any place that the Azure SDK looks.", hint=FIX)
    return CloudNotReady(f"Entra ID gave no token: {redacted(telling)}", hint=FIX)


def _claims(token: str) -> Fields:
    """Return what the token says about itself, for display only; an opaque token says nothing."""
    payload = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        return Fields.parse(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), "token")
    except (binascii.Error, Malformed):
        return Fields({}, "token")


def _text(claims: Fields, name: str) -> str | None:
    try:
        return claims.optional_text(name)
    except Malformed:
        return None
