"""Let a credential go onto a request: only to the origins it belongs to, and in place of any other (R-07)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from keystead.credentials import Header
from keystead.errors import PolicyDenied, UnsupportedCredential
from keystead.secret import Secret
from keystead.sources.candidate import Candidate, HelperCommand
from keystead.sources.federation import BETA
from keystead.wire import origin as wire_origin
from keystead.wire import surfaces

if TYPE_CHECKING:
    from keystead.credentials.cloud import Unsigned
    from keystead.sources.cloud_route import Route

GATEWAY: Final = "gateway_session"
"""The source whose credential is a session with a gateway."""
FEDERATED = frozenset({"profile", "workload_identity", "active_profile"})
"""The sources whose credential is a token that this machine's identity is exchanged for."""

Sendable = TypeVar("Sendable")
"""A request about to be sent, with ``url`` and ``headers`` as in httpx2, httpx and requests; or one of urllib."""

_CREDENTIALS: Final = frozenset({*Header, "api-key"})
"""Headers that clients put credentials in; ``api-key`` is Azure's."""
_REFUSED: Final = frozenset({401})
_COVERED: Final = ("content-type", "anthropic-")
"""How the names of the headers begin that a signature covers, beside those that the signer adds."""


@dataclass(frozen=True, slots=True)
class Authorized:
    """A credential ready to be sent.

    Attributes:
        header: the one header it goes into.
        secret: the bare value, without ``Bearer``.
        api_base: base URL for model requests, without ``/v1``.
        candidate: where it came from, who pays, when it ends.
        generation: of the stored login it comes from; None for other sources.
        route: of a cloud: how the Messages API is spoken there; None where it is spoken as it is.
        surface: what a gateway is told of where the agent runs (S-14).
    """

    header: Header
    secret: Secret
    api_base: str
    candidate: Candidate
    generation: int | None = field(default=None, repr=False)
    route: "Route | None" = None
    surface: surfaces.Surface = surfaces.Surface.UNSAID

    @property
    def told(self) -> surfaces.Surface:
        """What its server is told of where the agent runs: a gateway the surface, any other nothing."""
        return self.surface if self.candidate.source == GATEWAY else surfaces.Surface.UNSAID

    def for_url(self, url: str) -> Mapping[str, Secret]:
        """Return the header, by lower-case name, for a request to ``url``.

        A federated token comes with the ``anthropic-beta`` without which the API does not take it, and a gateway's with
        the surface, if the process declares one. No other server is told where this agent runs.

        Raises:
            PolicyDenied: the credential does not belong to the origin of ``url`` (R-07).
        """
        check(self.candidate, url)
        bearer = self.header is Header.AUTHORIZATION
        named = {self.header.value: Secret(f"Bearer {self.secret.reveal()}") if bearer else self.secret}
        if self.told:
            return named | {surfaces.HEADER: Secret(self.told.value)}
        return named | {"anthropic-beta": Secret(BETA)} if self.candidate.source in FEDERATED else named

    def headers_for(
        self,
        method: str,  # noqa: ARG002  the shape of what signs
        url: str,
        headers: Mapping[str, str],  # noqa: ARG002
        body: bytes | None,  # noqa: ARG002
    ) -> Mapping[str, Secret]:
        """Return the header for one request; see :meth:`for_url`."""
        return self.for_url(url)

    def masked(self, text: str) -> str:
        """Return a server's words without the credential, for one that repeats what it was sent."""
        return text.replace(self.secret.reveal(), "…")

    def is_refused(self, status: int) -> bool:
        """Whether an answer with this HTTP status means that a renewed credential may do (R-09)."""
        helper = self.candidate.credential
        return status in (helper.refusals if isinstance(helper, HelperCommand) else _REFUSED)

    def add_to(self, request: Sendable) -> Sendable:
        """Put the header on ``request`` in place of any other credential, and return the request.

        Raises:
            PolicyDenied: the credential does not belong to the request's origin (R-07); the request is as it was.
        """
        outgoing: Any = request
        headers = self.for_url(str(getattr(outgoing, "full_url", None) or outgoing.url))
        clear(outgoing)
        for name, value in headers.items():
            put(outgoing, name, value.reveal())
        return request


@dataclass(frozen=True, slots=True)
class Signed:
    """What lets requests through to a cloud that takes no token: each is signed by the cloud's own SDK.

    Where a proxy adds the credentials (``CLAUDE_CODE_SKIP_BEDROCK_AUTH``) nothing is put on a request at all.

    Attributes:
        api_base: base URL for model requests.
        candidate: where the credential came from and who pays.
        route: how the Messages API is spoken there, and the region.
        service: by which name AWS knows the service in a signature; None where a proxy signs.
        signer: signs.
    """

    api_base: str
    candidate: Candidate
    route: "Route"
    service: str | None
    signer: "Callable[[Unsigned], Mapping[str, Secret]]" = field(repr=False)

    def masked(self, text: str) -> str:
        """Return a server's words as they are: no secret of this process was sent to it."""
        return text

    def is_refused(self, status: int) -> bool:
        """Whether an answer with this HTTP status refuses what was signed."""
        return status in _REFUSED

    def headers_for(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Mapping[str, Secret]:
        """Return what signs one request, by lower-case name.

        Raises:
            PolicyDenied: the credential does not belong to the origin of ``url``; nothing was signed.
            KeysteadError: the credentials are missing or have ended.
        """
        check(self.candidate, url)
        if self.service is None:
            return {}
        covered = {name.lower(): value for name, value in headers.items() if name.lower().startswith(_COVERED)}
        from hashlib import sha256  # on demand: it loads OpenSSL

        from keystead.credentials.cloud import Unsigned

        digest = sha256(body or b"").hexdigest()
        return self.signer(Unsigned(method, url, covered, digest, self.service, self.route.region))

    def add_to(self, request: Sendable) -> Sendable:
        """Sign ``request``, whose body must be at hand, and return it.

        Raises:
            UnsupportedCredential: it is not known here where such a request keeps its method and body.
            KeysteadError: as :meth:`headers_for`; the request is as it was.
        """
        outgoing: Any = request
        method, body = getattr(outgoing, "method", None), _body(outgoing)
        if not isinstance(method, str):
            raise UnsupportedCredential(
                f"A request of this library cannot be signed for {self.candidate.title}.",
                hint="Use httpx2 or httpx with keystead.auth, or the client that anthropic_client() returns.",
            )
        url = str(getattr(outgoing, "full_url", None) or outgoing.url)
        signature = self.headers_for(method, url, dict(outgoing.headers.items()), body)
        clear(outgoing)
        for name, value in signature.items():
            put(outgoing, name, value.reveal())
        return request


Access = Authorized | Signed
"""What lets requests through."""


def check(candidate: Candidate, url: str) -> None:
    """Say no to an address that the credential does not belong to.

    Raises:
        PolicyDenied: it does not belong to the origin of ``url`` (R-07).
    """
    try:
        origin = wire_origin.parse(url)
    except ValueError as error:
        raise PolicyDenied(f"The credential is not sent to that address: {error}.", move="you") from None
    if origin not in candidate.allowed_origins:
        allowed = ", ".join(sorted(candidate.allowed_origins))
        raise PolicyDenied(
            f"{candidate.title} is not sent to {origin}: it belongs to {allowed}.",
            hint=f"Send the request to {allowed}, or sign in to {origin} with `keystead login`.",
            move="you",
        )


def clear(request: Any) -> None:
    """Take every credential off."""
    for headers in (request.headers, getattr(request, "unredirected_hdrs", {})):
        for name in [one for one in headers if one.lower() in _CREDENTIALS]:
            del headers[name]


def put(request: Any, name: str, value: str) -> None:
    """Put one header on, in a way that no redirect takes along where the library has one."""
    if hasattr(request, "add_unredirected_header"):  # urllib's, which takes any other header along on a redirect
        request.add_unredirected_header(name, value)
    elif name != "anthropic-beta" or not request.headers.get(name):
        request.headers[name] = value
    elif value not in request.headers[name].split(","):  # a list, to which the program may have said something too
        request.headers[name] = f"{request.headers[name]},{value}"


def _body(request: Any) -> bytes | None:
    """Return the body of a request of httpx2, httpx (``content``), requests (``body``) or urllib (``data``)."""
    try:
        found = next((one for name in ("content", "body", "data") if (one := getattr(request, name, None))), None)
        return found.encode() if isinstance(found, str) else found if found is None else bytes(found)
    except (RuntimeError, TypeError):
        raise UnsupportedCredential(
            "A request whose body is a stream cannot be signed.", hint="Give the body as bytes."
        ) from None
