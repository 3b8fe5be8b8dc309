"""Google: Application Default Credentials, proven by fetching a token with them."""

import functools
from collections.abc import Mapping
from datetime import UTC
from typing import Any, Final

import google.auth
import google.auth.exceptions
import google.auth.transport.requests

from keystead.credentials.cloud import CloudIdentity, CloudToken
from keystead.drivers.cloud import STEP
from keystead.drivers.command import redacted
from keystead.environment import Environment
from keystead.errors import CloudNotReady, ServerUnreachable
from keystead.secret import Secret

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
FIX: Final = "Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS."
_NETWORK: Final = "Check the network and HTTPS_PROXY, and try again."
_FILE: Final = "GOOGLE_APPLICATION_CREDENTIALS"
_PROJECTS: Final = ("ANTHROPIC_VERTEX_PROJECT_ID", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT")
_KINDS: Final = {
    "google.auth.compute_engine": "metadata server",
    "google.auth.identity_pool": "workload identity federation",
    "google.auth.aws": "workload identity federation",
    "google.auth.pluggable": "workload identity federation",
    "google.auth.impersonated_credentials": "impersonated service account",
    "google.oauth2.service_account": "service account key",
    "google.oauth2.credentials": "gcloud user login",
}


def obtain(cloud: str, environment: Environment, now: float) -> CloudIdentity:
    """Return the token's identity; see :func:`keystead.drivers.cloud.obtain` for the errors."""
    return fetch(cloud, environment, now).identity


def fetch(cloud: str, environment: Environment, now: float) -> CloudToken:  # noqa: ARG001  one shape for all
    """Return the token, and its identity; the errors are those of :func:`obtain`."""
    variables = environment.variables
    request = functools.partial(google.auth.transport.requests.Request(), timeout=STEP)
    try:
        credentials, project = google.auth.default(scopes=[SCOPE], request=request)  # type: ignore[arg-type]
        credentials.refresh(request)
    except google.auth.exceptions.DefaultCredentialsError as error:
        if "were not found" in str(error):
            raise CloudNotReady(
                "Google credentials were not found in any place that the SDK looks.", hint=FIX
            ) from None
        raise CloudNotReady(f"Google credentials cannot be used: {_said(error)}", hint=FIX) from None
    except google.auth.exceptions.TransportError as error:
        raise ServerUnreachable("Google's token endpoint cannot be reached.", hint=_NETWORK) from error
    except google.auth.exceptions.GoogleAuthError as error:
        if getattr(error, "retryable", False):
            raise ServerUnreachable(f"Google could not issue a token now: {_said(error)}", hint=_NETWORK) from None
        raise CloudNotReady(f"Google refused the credentials: {_said(error)}", hint=FIX) from None
    except (ValueError, KeyError, TypeError) as error:  # a credentials file with holes
        raise CloudNotReady(f"Google credentials could not be read ({type(error).__name__}).", hint=FIX) from None
    return CloudToken(_identity(cloud, credentials, project, variables), Secret(str(credentials.token)))


def _identity(cloud: str, credentials: Any, project: str | None, variables: Mapping[str, str]) -> CloudIdentity:
    project = next((variables[name] for name in _PROJECTS if variables.get(name)), project)
    if project is None:
        raise CloudNotReady(
            "Google credentials are there, but no project is named.", hint=f"Set {_PROJECTS[0]} to the project to bill."
        )
    region = variables.get("CLOUD_ML_REGION")
    expiry = credentials.expiry
    return CloudIdentity(
        cloud,
        _source(credentials, variables),
        account=project,
        principal=getattr(credentials, "service_account_email", None) or getattr(credentials, "account", None) or None,
        region=region,
        expires_at=expiry.replace(tzinfo=UTC).timestamp() if expiry else None,
        proven=True,
        notes=() if region else ("no region is set; set CLOUD_ML_REGION",),
    )


def _source(credentials: Any, variables: Mapping[str, str]) -> str:
    module = type(credentials).__module__
    kind = next((kind for prefix, kind in _KINDS.items() if module.startswith(prefix)), module)
    return f"{kind} ({_FILE})" if variables.get(_FILE) else kind


def _said(error: Exception) -> str:
    return redacted(str(error.args[0] if error.args else type(error).__name__))
