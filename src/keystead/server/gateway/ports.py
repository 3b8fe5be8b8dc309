"""What the gateway needs from the rest of the server, as shapes; it imports none of it.

:mod:`keystead.server.app` passes the real ones in, tests pass simple ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from keystead.server.limits.line import Line
from keystead.server.limits.over import Denial
from keystead.server.policy import Principal
from keystead.server.policy.decide import Deny, Permit
from keystead.server.policy.managed_settings import Delivery
from keystead.server.upstream_shape import (
    COMING,
    Addresses,
    CredentialComing,
    CredentialUnavailable,
    Kind,
    RenewedCredential,
    Unsigned,
    Upstream,
    UpstreamCredential,
)
from keystead.server.usage.record import UsageRecord

__all__ = [
    "COMING",
    "Addresses",
    "Allowances",
    "Answered",
    "Ask",
    "Collectors",
    "CredentialComing",
    "CredentialUnavailable",
    "Denials",
    "Directory",
    "DirectoryUnavailable",
    "Kind",
    "Ledger",
    "Limits",
    "ManagedSettings",
    "Observer",
    "Permits",
    "Quick",
    "Readiness",
    "RenewedCredential",
    "Span",
    "Telemetry",
    "Tracer",
    "Unsigned",
    "Upstream",
    "UpstreamCredential",
    "Upstreams",
]


Headers = Sequence[tuple[bytes, bytes]]


class DirectoryUnavailable(Exception):
    """Who the caller is cannot be looked up now. Answered with 503 and ``Retry-After``, never with 401 (G-06)."""


class Directory(Protocol):
    """Who a credential belongs to. Both methods are called on the event loop: they must not block."""

    def by_key(self, digest: bytes) -> Principal | None:
        """Return the owner of the API key with this :func:`keystead.wire.tokens.digest`, or None.

        Raises:
            DirectoryUnavailable: the answer is not known now.
        """

    def by_bearer(self, token: bytes) -> Principal | None:
        """Return whom this access token stands for, or None if it is invalid, expired or revoked.

        Raises:
            DirectoryUnavailable: the answer is not known now.
        """


class Allowances(Protocol):
    """What is left of callers' limits. Called on the event loop at every request: it must not block."""

    def reserve(
        self,
        principal: Principal,
        request_id: str,
        model: str,
        size: tuple[int, int | None],
        seller: tuple[str, str],
        now: float,
        /,
    ) -> Denial | str:
        """Hold what a request may use until it is settled; or return why it is refused.

        Args:
            principal: who asks.
            request_id: the identifier that its record will have.
            model: as it was asked for.
            size: bytes of the request's body, and the most tokens of an answer that it names.
            seller: name and kind of the upstream that is asked first.
            now: Unix seconds.

        Returns:
            The denial; or what to tell the caller beside the answer, most often nothing.
        """

    def settle(self, record: UsageRecord, /) -> UsageRecord:
        """Count what a request used; once, whatever happens to it.

        Returns:
            The record, with what of its cost an allowance covers.
        """

    def standing(self, principal: Principal, now: float, /) -> Denial | tuple[Line, ...]:
        """Return every limit that holds for a caller with what is used of it, or why that cannot be known."""


class Ledger(Protocol):
    """Where usage is written down."""

    @property
    def saturated(self) -> bool:
        """Whether it cannot take more for now; until it can, no request is served that it would have to hold (G-01)."""

    def append(self, record: UsageRecord) -> None:
        """Take the record without blocking; making it durable happens elsewhere."""


class ManagedSettings(Protocol):
    """Which settings a caller is given."""

    async def __call__(self, principal: Principal, /) -> Delivery | None:
        """Return what its policies deliver, or None when no policy is for it.

        Raises:
            DirectoryUnavailable: the answer is not known now.
        """


class Permits(Protocol):
    """What somebody may do. Called on the event loop at every request: it must not block."""

    def __call__(self, principal: Principal, /) -> Permit:
        """Return what this caller may do; the same object until something about it changed."""


class Denials(Protocol):
    """Where it is noted that a caller was refused. Called on the event loop: it must not block."""

    def __call__(self, principal: Principal, deny: Deny, now: float, /) -> None:
        """Note that a rule refused a request at that time (Unix seconds)."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that is not streamed.

    Attributes:
        head: its header lines, each with its line end; ``Content-Length`` is one of them.
    """

    status: int
    head: bytes
    body: bytes


Ask = Callable[[bytes, Callable[[Answered], None]], None]
"""Asks with a request's body; the answer is told later, on the event loop."""


class Quick(Protocol):
    """Which small requests are answered without ASGI, whose objects cost more than many an answer."""

    def __call__(self, target: bytes, headers: Headers, peer: str | None, size: int, /) -> Ask | None:
        """Return what asks, or None when the request is not quite ordinary or not for it; then it becomes ASGI.

        Args:
            target: of a POST, path and query.
            headers: names in lower case.
            peer: address of the other end of the connection.
            size: bytes of the body, which has come with the head; there is nothing after it.
        """


class Telemetry(NamedTuple):
    """What an agent tells of itself, as it came.

    Attributes:
        signal: ``metrics``, ``logs`` or ``traces``.
        content_type: ``application/json`` or ``application/x-protobuf``.
        encoding: ``gzip``, ``deflate`` or empty.
    """

    signal: str
    content_type: str
    encoding: str
    data: bytes


class Collectors(Protocol):
    """Where telemetry goes."""

    def __call__(self, principal: Principal, telemetry: Telemetry, /) -> None:
        """Take it without blocking, or drop it."""


class Observer(Protocol):
    """Who counts what happens. Called on the event loop at every request: nothing blocks, and nothing raises."""

    def finished(self, record: UsageRecord, seconds: float, first_byte: float, /) -> None:
        """Take the row of a request that has ended.

        Args:
            record: as the ledger has it.
            seconds: from its head to its end.
            first_byte: from its head to the first byte of the answer, or 0 when there was none.
        """

    def refused(self, status: int, kind: str, /) -> None:
        """The gateway answered by itself, with an error of this type."""

    def limited(self, denial: Denial, /) -> None:
        """A limit stood against a request."""

    def failed(self, upstream: str, /) -> None:
        """The upstream of this name failed, by a fault that is its own."""

    def passed_by(self, upstream: str, /) -> None:
        """A request goes on to another upstream than the one of this name."""


Span = tuple[str, str, str]
"""Identifiers of a trace, of a span, and of its parent or nothing."""


class Tracer(Protocol):
    """What traces requests. Called on the event loop: nothing blocks, and nothing raises."""

    def begin(self, forward: bytes, /) -> tuple[bytes, Span] | None:
        """Return the header lines for the upstream and a span; None when the request is not traced.

        Args:
            forward: the client's header lines, each with its line end.
        """

    def end(self, span: Span, record: UsageRecord, seconds: float, first_byte: float, /) -> None:
        """Take a request that has ended, as :meth:`Observer.finished` does."""


class Readiness(Protocol):
    """Whether the server can do its work."""

    async def __call__(self) -> str | None:
        """Return None when ready, or one sentence that says what is missing."""


class Upstreams(Protocol):
    """Which upstreams a caller's requests may go to. Called on the event loop at every request: must not block."""

    def __call__(self, principal: Principal, /) -> Sequence[Upstream]:
        """Return them in the order of preference; the same objects until something about them changed.

        Raises:
            DirectoryUnavailable: the answer is not known now.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound of the data plane. Times are seconds, sizes bytes.

    Attributes:
        head_bytes: request line and headers together; more is 431.
        header_count: header lines; more is 431.
        body_bytes: request body; more is 413.
        arriving_bytes: request bodies that are not complete yet, together; of more, some are 529, to within a sweep.
        head_seconds: from a request's first byte to the end of its headers.
        body_seconds: from there to the end of its body.
        keep_alive_seconds: how long an idle client connection stays open.
        connect_seconds: to reach the upstream, TLS included.
        first_byte_seconds: how long the upstream may think before it answers.
        rest_seconds: for the rest of an error whose head is there, before the next upstream is asked.
        silence_seconds: between two bytes of an answer, in either direction.
        linger_seconds: how long a refused client is listened to, so that it can read the refusal.
        farewell_seconds: how long an idle connection stays open while the server stops; a request may be on its way.
        sweep_seconds: how often the times above are looked at; each is kept to within this.
        upstream_connections: open at a time to one upstream.
        upstream_waiting: requests that may wait for one; more are 529.
        upstream_idle_seconds: how long an unused upstream connection is kept.
    """

    head_bytes: int = 65_536
    header_count: int = 128
    body_bytes: int = 33_554_432
    arriving_bytes: int = 1 << 30
    head_seconds: float = 15.0
    body_seconds: float = 120.0
    keep_alive_seconds: float = 75.0
    connect_seconds: float = 10.0
    first_byte_seconds: float = 600.0
    rest_seconds: float = 5.0
    silence_seconds: float = 300.0
    linger_seconds: float = 2.0
    farewell_seconds: float = 1.0
    sweep_seconds: float = 1.0
    upstream_connections: int = 8192
    upstream_waiting: int = 8192
    upstream_idle_seconds: float = 60.0
