"""Keystead: sign-in, credentials and a gateway for coding agents.

The public library. Everything but the errors is imported on first use (PEP 562), so that ``import keystead`` stays
cheap enough for a shell prompt.
"""

from typing import TYPE_CHECKING, Any

from keystead.errors import (
    Cancelled,
    CloudNotReady,
    ConfigurationError,
    CredentialExpired,
    CredentialRejected,
    ExpectationFailed,
    HelperFailed,
    KeysteadError,
    MalformedSecret,
    NoCredential,
    PolicyDenied,
    RateLimited,
    ServerFailure,
    ServerUnreachable,
    SignInRequired,
    StoreBusy,
    StoreUnavailable,
    TemporaryFailure,
    UnreadableFile,
    UnsupportedCredential,
    UsageError,
)

if TYPE_CHECKING:
    from keystead.client import Authorized as Authorized
    from keystead.client import Client as Client
    from keystead.resolver import Resolution as Resolution
    from keystead.secret import Secret as Secret
    from keystead.sources.candidate import Candidate as Candidate

__version__ = "0.1.0"

_HOMES = {
    "Authorized": "keystead.client",
    "Candidate": "keystead.sources.candidate",
    "Client": "keystead.client",
    "Resolution": "keystead.resolver",
    "Secret": "keystead.secret",
}

__all__ = [
    "Authorized",
    "Cancelled",
    "Candidate",
    "Client",
    "CloudNotReady",
    "ConfigurationError",
    "CredentialExpired",
    "CredentialRejected",
    "ExpectationFailed",
    "HelperFailed",
    "KeysteadError",
    "MalformedSecret",
    "NoCredential",
    "PolicyDenied",
    "RateLimited",
    "Resolution",
    "Secret",
    "ServerFailure",
    "ServerUnreachable",
    "SignInRequired",
    "StoreBusy",
    "StoreUnavailable",
    "TemporaryFailure",
    "UnreadableFile",
    "UnsupportedCredential",
    "UsageError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
