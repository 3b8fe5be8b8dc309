"""A client's request headers: what is read, what is forwarded, what is dropped, what is refused."""

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple, Self
from urllib.parse import parse_qsl

from keystead.server.gateway.refusals import Refusal
from keystead.server.gateway.routes import MESSAGES, ROUTES, Format
from keystead.server.upstream_shape import Kind
from keystead.wire import surfaces
from keystead.wire.tokens import TokenKind

if TYPE_CHECKING:
    from keystead.server.gateway.upstream import Pool

Headers = list[tuple[bytes, bytes]]

_SURFACE: Final = surfaces.HEADER.encode()

_READ: Final = frozenset(
    {
        b"authorization",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"dpop",
        b"expect",
        b"host",
        b"transfer-encoding",
        b"x-api-key",
    }
)
"""Read here and never forwarded."""

_DROPPED: Final = frozenset(
    {
        # other places a credential or its signature can stand (G-07)
        b"api-key",
        b"apikey",
        b"cookie",
        b"cookie2",
        b"ocp-apim-subscription-key",
        b"openai-organization",
        b"openai-project",
        b"proxy-authorization",
        b"x-access-token",
        b"x-amz-content-sha256",
        b"x-amz-date",
        b"x-amz-security-token",
        b"x-auth-token",
        b"x-goog-api-key",
        b"x-goog-user-project",
        # what a proxy that signs people in adds for the server behind it, which is this one and no other
        b"cf-access-jwt-assertion",
        b"x-amzn-oidc-accesstoken",
        b"x-amzn-oidc-data",
        b"x-amzn-oidc-identity",
        b"x-auth-request-access-token",
        b"x-auth-request-email",
        b"x-auth-request-user",
        b"x-forwarded-access-token",
        b"x-forwarded-authorization",
        b"x-forwarded-email",
        b"x-forwarded-user",
        b"x-goog-authenticated-user-email",
        b"x-goog-authenticated-user-id",
        b"x-goog-iap-jwt-assertion",
        b"x-ms-token-aad-access-token",
        b"x-ms-token-aad-id-token",
        b"x-original-authorization",
        # what has some servers act as if another method or address had been asked than the one that is checked here
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-uri",
        b"x-original-url",
        b"x-rewrite-url",
        # about this connection only (RFC 9110 section 7.6.1)
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"upgrade",
        # the answer must be readable for its usage, and the upstream has no business with who is behind us
        b"accept-encoding",
        b"forwarded",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        _SURFACE,
        b"x-real-ip",
        b"x-request-id",
    }
)
_NOT_FORWARDED: Final = _READ | _DROPPED
_ROUTING: Final = (
    b"azureml-",
    b"cf-aig-",
    b"helicone-",
    b"x-ai-eg-",
    b"x-envoy-",
    b"x-gateway-",
    b"x-litellm-",
    b"x-ms-model-",
    b"x-portkey-",
)
"""How headers begin by which gateways and meshes before models choose the model, its place or whose key is used. What
of that is wanted is among the upstream's own headers."""
_CREDENTIAL: Final = re.compile(
    rb"(?:%b|sk-ant-)[0-9A-Za-z]|eyJ[\w-]+\.eyJ" % b"|".join(kind.value.encode() for kind in TokenKind)
)
"""What the tokens of this server and the vendor's credentials look like."""
_USUAL_TYPE: Final = b"content-type: application/json\r\n"
_CONTENT_TYPE: Final = re.compile(rb"^content-type: ([^\r\n]*)\r\n", re.MULTILINE)
_JSON: Final = re.compile(rb'application/json[ \t]*(?:;[ \t]*charset="?utf-8"?[ \t]*)?', re.IGNORECASE)
_MAY_NAME_MODELS: Final = re.compile(rb"[?&;](?:[dfm]|%[46][46d])", re.IGNORECASE)
_NAMES_MODELS: Final = ("deployment", "fallback", "model")
"""How parameters begin that some servers read a model from, and prefer to the body's."""


class OwnFormat(NamedTuple):
    """What is kept of a request in a cloud's own format, for an upstream of the same cloud.

    Attributes:
        kind: the cloud.
        model: its name for the model.
        version: what stood in ``anthropic_version``, or empty.
    """

    kind: Kind
    model: str = ""
    version: str = ""


@dataclass(slots=True)
class RequestHead:
    """The headers of one request, sorted.

    Attributes:
        read: the values of the headers this gateway acts upon, by lower-case name.
        forward: lines for the upstream, as they came, each with its line end.
        target: path and query.
        format: how the body and its answer are written.
        metered: whether an answer there is paid for by the token.
        client: what the client calls itself, for the ledger.
        session_id: the agent session it belongs to, for the ledger.
        surface: where the client says that it runs (S-14), or empty.
        own: what the request was before it was brought into Messages form, if it was.
    """

    read: dict[bytes, bytes]
    forward: bytes = field(repr=False)
    client: str = ""
    session_id: str = ""
    surface: str = ""
    target: bytes = b""
    format: Format = MESSAGES
    metered: bool = False
    own: OwnFormat | None = None
    _upstream: bytes = field(default=b"", repr=False)
    _pool: "Pool | None" = field(default=None, repr=False)
    _version: int = 0

    @property
    def length(self) -> int | None:
        """The declared body length, or None when it comes in chunks or there is none."""
        value = self.read.get(b"content-length")
        return None if value is None else int(value)

    def forwarding(self, lines: bytes) -> Self:
        """Return the same with other lines for the upstream, for one request."""
        return replace(self, forward=lines, _upstream=b"", _pool=None)

    def upstream_lines(self, pool: "Pool") -> bytes:
        """Return the head for the upstream up to the value of Content-Length, the last line that is always the same.

        It is made once for as long as the client repeats its head and the upstream's credential stays what it is.
        """
        version = pool.credential.version
        if self._pool is not pool or self._version != version:
            line = b"POST %b%b HTTP/1.1\r\n" % (pool.prefix, self.target)
            forward = self.forward
            if pool.overridden:
                forward = b"".join([b"%b: %b\r\n" % one for one in self.headers_for(pool, own=False)])
            credential = pool.credential.fixed or b""
            self._upstream = b"%b%b%b%bcontent-length: " % (line, pool.head, credential, forward)
            self._pool, self._version = pool, version
        return self._upstream

    def headers_for(self, pool: "Pool", *, own: bool = True) -> tuple[tuple[bytes, bytes], ...]:
        """Return the client's headers that go to this upstream, and its ``own`` ones; names in lower case."""
        lines = [line.partition(b": ") for line in self.forward.split(b"\r\n") if line]
        passed = [(name, value) for name, _, value in lines if name not in pool.overridden]
        if own:
            passed += [(name.encode("ascii"), value.encode("ascii")) for name, value in pool.upstream.headers]
        return tuple(passed)


def of_messages(method: bytes, target: bytes, headers: Headers) -> RequestHead:
    """Return the head of a request that is relayed raw.

    Raises:
        Refusal: 400 or 405, it cannot be relayed.
    """
    check_line(method, target)
    head = as_json(sort(headers))
    head.target = target.partition(b"#")[0]
    route = ROUTES[head.target.partition(b"?")[0]]
    head.format, head.metered = route.format, route.metered
    return head


def check_line(method: bytes, target: bytes) -> None:
    """Refuse every method but POST, and an address with a credential or a model in its query, which goes upstream as
    it came (G-07): the model that is judged is the body's, or the one in the path.

    Raises:
        Refusal: 400 or 405.
    """
    if method != b"POST":
        raise Refusal(405, "Only POST is supported at this address.", ("allow", "POST"))
    check_address(target)
    if _MAY_NAME_MODELS.search(target) and _names_models(target.partition(b"?")[2].decode("latin-1")):
        raise Refusal(400, "The request's address names a model in its query. Name it in the body alone.")


def check_address(target: bytes) -> None:
    """Refuse an address, or a query, with a credential in it.

    Raises:
        Refusal: 400.
    """
    if _CREDENTIAL.search(target):
        raise Refusal(
            400,
            "There is a credential in the request's address, where logs keep it. Send it in x-api-key or as a bearer "
            "in Authorization, and replace this one.",
        )


def _names_models(query: str) -> bool:
    named = parse_qsl(query.replace(";", "&"), keep_blank_values=True)
    return any(name.lower().startswith(_NAMES_MODELS) for name, _ in named)


def as_json(head: RequestHead) -> RequestHead:
    """Return the head with the body called what it was read as: JSON in UTF-8.

    Told another media type, another charset or two of them, a server could read the body as something else, such as a
    form in which another model stands.
    """
    lines = head.forward
    if lines.count(b"content-type: ") == 1 and (lines.startswith(_USUAL_TYPE) or b"\r\n" + _USUAL_TYPE in lines):
        return head
    said = _CONTENT_TYPE.findall(lines)
    if len(said) != 1 or not _JSON.fullmatch(said[0]):
        head.forward = _CONTENT_TYPE.sub(b"", lines) + _USUAL_TYPE
    return head


def sort(headers: Headers) -> RequestHead:
    """Sort request headers; names are lower-case.

    Raises:
        Refusal: 400, the request is ambiguous or wants something a relay cannot do.
    """
    read: dict[bytes, bytes] = {}
    forward: Headers = []
    for name, value in headers:
        if name not in _NOT_FORWARDED:
            # with "_" WSGI and CGI take it for the same name with "-", and so for one that is not passed on
            if b"_" not in name and not name.startswith(_ROUTING):
                forward.append((name, value))
        elif name in _READ:
            if name in read:
                raise Refusal(400, f"The header {name.decode('ascii')} was sent twice. Send it once.")
            read[name] = value
    _check(read)
    if b"connection" in read and read[b"connection"].lower() not in (b"keep-alive", b"close"):
        forward = _without(forward, read[b"connection"])
    lines = b"".join([b"%b: %b\r\n" % line for line in forward])
    known = dict(headers)
    return RequestHead(
        read, lines, _text(known, b"user-agent"), _text(known, b"x-claude-code-session-id"), _text(known, _SURFACE)
    )


def _text(headers: dict[bytes, bytes], name: bytes) -> str:
    return headers.get(name, b"")[:200].decode("latin-1")


def _check(read: dict[bytes, bytes]) -> None:
    """Refuse what could be understood in two ways; the parser refused most of it before."""
    if not read.get(b"host"):
        raise Refusal(400, "The Host header is missing. Send it once.")
    if b"transfer-encoding" in read and b"content-length" in read:
        raise Refusal(400, "Both Content-Length and Transfer-Encoding were sent. Send one of them.")
    if read.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
        raise Refusal(400, "Only 'chunked' is supported as Transfer-Encoding.")
    if not read.get(b"content-length", b"0").isdigit():
        raise Refusal(400, "The Content-Length header is not a number.")
    if read.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Refusal(400, "A compressed request body is not supported. Send it without Content-Encoding.")
    if read.get(b"expect", b"100-continue").lower() != b"100-continue":
        raise Refusal(400, "Only '100-continue' is supported in the Expect header.")


def _without(forward: Headers, connection: bytes) -> Headers:
    """Return the lines without those that the Connection header names (RFC 9110 section 7.6.1)."""
    named = {token.strip().lower() for token in connection.split(b",")}
    return [line for line in forward if line[0] not in named]
