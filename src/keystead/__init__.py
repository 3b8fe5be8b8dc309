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
    from keystead.client import AsyncClient as AsyncClient
    from keystead.client import Authorized as Authorized
    from keystead.client import Client as Client
    from keystead.library import anthropic_client as anthropic_client
    from keystead.library import async_anthropic_client as async_anthropic_client
    from keystead.library import authorize as authorize
    from keystead.library import resolve as resolve
    from keystead.resolver import Resolution as Resolution
    from keystead.secret import Secret as Secret
    from keystead.sources.candidate import Candidate as Candidate

__version__ = "0.1.0"

_HOMES = {
    "AsyncClient": "keystead.client",
    "Authorized": "keystead.client",
    "Candidate": "keystead.sources.candidate",
    "Client": "keystead.client",
    "Resolution": "keystead.resolver",
    "Secret": "keystead.secret",
    "anthropic_client": "keystead.library",
    "async_anthropic_client": "keystead.library",
    "authorize": "keystead.library",
    "resolve": "keystead.library",
}

__all__ = [
    "AsyncClient",
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
    "anthropic_client",
    "async_anthropic_client",
    "authorize",
    "resolve",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
