"""Keystead: sign-in, credentials and a gateway for coding agents.

The public library. Everything is imported on first use (PEP 562), so that ``import keystead`` stays cheap enough for a
shell prompt; not even ``typing`` is loaded.
"""

TYPE_CHECKING = False  # as type checkers know it, without loading typing
if TYPE_CHECKING:
    from typing import Any

    from keystead.client import AsyncClient as AsyncClient
    from keystead.client import Client as Client
    from keystead.errors import Cancelled as Cancelled
    from keystead.errors import CloudNotReady as CloudNotReady
    from keystead.errors import ConfigurationError as ConfigurationError
    from keystead.errors import CredentialExpired as CredentialExpired
    from keystead.errors import CredentialRejected as CredentialRejected
    from keystead.errors import ExpectationFailed as ExpectationFailed
    from keystead.errors import HelperFailed as HelperFailed
    from keystead.errors import KeysteadError as KeysteadError
    from keystead.errors import MalformedSecret as MalformedSecret
    from keystead.errors import NoCredential as NoCredential
    from keystead.errors import PolicyDenied as PolicyDenied
    from keystead.errors import RateLimited as RateLimited
    from keystead.errors import ServerFailure as ServerFailure
    from keystead.errors import ServerUnreachable as ServerUnreachable
    from keystead.errors import SignInRequired as SignInRequired
    from keystead.errors import StoreBusy as StoreBusy
    from keystead.errors import StoreUnavailable as StoreUnavailable
    from keystead.errors import TemporaryFailure as TemporaryFailure
    from keystead.errors import UnreadableFile as UnreadableFile
    from keystead.errors import UnsupportedCredential as UnsupportedCredential
    from keystead.errors import UsageError as UsageError
    from keystead.library import anthropic_client as anthropic_client
    from keystead.library import async_anthropic_client as async_anthropic_client
    from keystead.library import authorize as authorize
    from keystead.library import resolve as resolve
    from keystead.release import Authorized as Authorized
    from keystead.release import Signed as Signed
    from keystead.resolver import Resolution as Resolution
    from keystead.secret import Secret as Secret
    from keystead.sources.candidate import Candidate as Candidate

__version__ = "0.1.0"

_HOMES = {
    "AsyncClient": "keystead.client",
    "Authorized": "keystead.release",
    "Cancelled": "keystead.errors",
    "Candidate": "keystead.sources.candidate",
    "Client": "keystead.client",
    "CloudNotReady": "keystead.errors",
    "ConfigurationError": "keystead.errors",
    "CredentialExpired": "keystead.errors",
    "CredentialRejected": "keystead.errors",
    "ExpectationFailed": "keystead.errors",
    "HelperFailed": "keystead.errors",
    "KeysteadError": "keystead.errors",
    "MalformedSecret": "keystead.errors",
    "NoCredential": "keystead.errors",
    "PolicyDenied": "keystead.errors",
    "RateLimited": "keystead.errors",
    "Resolution": "keystead.resolver",
    "Secret": "keystead.secret",
    "ServerFailure": "keystead.errors",
    "ServerUnreachable": "keystead.errors",
    "SignInRequired": "keystead.errors",
    "Signed": "keystead.release",
    "StoreBusy": "keystead.errors",
    "StoreUnavailable": "keystead.errors",
    "TemporaryFailure": "keystead.errors",
    "UnreadableFile": "keystead.errors",
    "UnsupportedCredential": "keystead.errors",
    "UsageError": "keystead.errors",
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
    "Signed",
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


def __getattr__(name: str) -> "Any":
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
