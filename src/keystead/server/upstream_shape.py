"""An upstream, and what it is shown, as the shapes that control plane and gateway both know."""

import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol, runtime_checkable
from urllib.parse import urlsplit


class Kind(StrEnum):
    """What an upstream is, which decides how it is asked."""

    ANTHROPIC = "anthropic"
    AWS = "aws"
    """Claude Platform on AWS."""
    BEDROCK = "bedrock"
    VERTEX = "vertex"
    FOUNDRY = "foundry"
    MESSAGES = "messages"
    """Any other address that speaks the Messages API."""
    OPENAI = "openai"
    """Any address that speaks OpenAI's API."""


@dataclass(frozen=True, slots=True)
class Unsigned:
    """What a signature covers: a request as it will be sent, but for the credential's own lines.

    Attributes:
        host: value of the Host header.
        target: path and query, with the base URL's prefix.
        headers: names in lower case.
    """

    method: bytes
    host: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = field(repr=False)


class CredentialUnavailable(Exception):
    """An upstream's credential cannot be had now; the message is for the operator's log."""


class CredentialComing(CredentialUnavailable):
    """It is being got for the first time, and may be there in a moment."""


class UpstreamCredential(Protocol):
    """What the gateway shows an upstream. Kept fresh elsewhere: nothing here blocks."""

    def lines(self, request: Unsigned) -> bytes:
        """Return the header lines of one request, each with its line end.

        Raises:
            CredentialUnavailable: there is none now.
        """

    @property
    def fixed(self) -> bytes | None:
        """The lines when they are the same for every request until :attr:`version` changes, else None."""

    @property
    def version(self) -> int:
        """Grows when the credential was renewed, so that lines made with the old one are made anew."""


@runtime_checkable
class RenewedCredential(Protocol):
    """One that ends: it is renewed in time by a thread that may wait, and before its time when it was refused."""

    def refresh(self) -> None:
        """Get a new one if it is time; raises what its cloud or vendor has against it."""

    def refused(self) -> None:
        """An upstream did not take it (401): it is renewed at the next look, unless it is as good as new."""


class _Coming:
    """What is shown while a credential is being got for the first time: nothing."""

    fixed: bytes | None = None
    version = 0

    def lines(self, _request: Unsigned) -> bytes:
        raise CredentialComing("its credential is still being got")


COMING: Final = _Coming()

Addresses = Callable[[str, int], Awaitable[Sequence[str]]]
"""Resolves a host and port to the addresses that may be connected to, best first; raises OSError when there is none."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A model server behind the gateway.

    Attributes:
        id: ``upst_…``, or ``default`` for the one of the settings.
        name: how it is called in the ledger and in messages, such as ``anthropic`` or ``test``.
        kind: how it is asked.
        base_url: ``https://host[:port][/prefix]``; ``http`` is accepted for a test upstream and private networks.
        credential: replaces the caller's. None sends none.
        models: the upstream's model identifier by the client's, as an administrator wrote them down.
        known: the same for what is not there, as the vendors have published it
            (:mod:`~keystead.server.cloud_names`); a name that is in neither is sent as it is.
        serves: models that it is asked for, as entries of :class:`~keystead.server.policy.model_access.ModelAccess`;
            empty is every model.
        headers: sent with every request, such as ``anthropic-workspace-id``; names in lower case.
        region: of a cloud, and the next its project.
        first_byte_seconds: how long it may think before it answers; None is the gateway's own limit.
        tls: verification context; by default the system's authorities.
        addresses: where the host may be found; None asks the system.
    """

    id: str
    name: str
    kind: Kind
    base_url: str
    credential: UpstreamCredential | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, str] = field(default_factory=dict)
    serves: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    region: str = ""
    project: str = ""
    first_byte_seconds: float | None = None
    tls: ssl.SSLContext | None = None
    addresses: Addresses | None = None

    @property
    def prefix(self) -> str:
        """The path before every target: the base URL's, for OpenAI without the version that each target begins with."""
        path = urlsplit(self.base_url).path.rstrip("/")
        return path.removesuffix("/v1") if self.kind is Kind.OPENAI else path
