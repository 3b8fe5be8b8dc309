"""HTTP: the only file that sends by it (:mod:`keystead.auth` lends a credential to a program's own client).

No redirect is followed, because a redirect is how a secret travels to another origin (R-07). TLS is always verified,
proxy and certificate variables are honoured, and every call has a deadline. On loopback no proxy is asked: the
tokens are for this machine.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit, urlunsplit

from keystead import __version__
from keystead.clock import SYSTEM_CLOCK, Clock
from keystead.drivers import certificates
from keystead.environment import Environment
from keystead.errors import ConfigurationError, KeysteadError, ServerFailure, ServerUnreachable
from keystead.secret import Secret
from keystead.wire import origin, proxies
from keystead.wire.http import Request, Response
from keystead.wire.proxies import Proxy

if TYPE_CHECKING:
    import ssl

    import httpx2

DEADLINE: Final = 30.0
"""Seconds for a whole call that is not streamed."""
CONNECT: Final = 10.0
"""Seconds until a connection must stand."""
SILENCE: Final = 300.0
"""Seconds without a byte after which a stream counts as dead; the gateway protocol sends pings before that."""
AGENT: Final = f"keystead/{__version__} ({sys.platform})"
"""Shown on the approval page and in the list of signed-in devices."""
LARGEST_ANSWER: Final = 16 * 1024 * 1024


class StreamedResponse(Protocol):
    """A response whose body is still arriving; ``headers`` by lower-case name."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    def iter_bytes(self) -> Iterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            ServerFailure: the stream broke before its end.
        """


class Transport(Protocol):
    """Carries requests."""

    def send(self, request: Request) -> Response:
        """Return the whole response, whatever its status.

        Raises:
            ServerUnreachable: no answer.
            ServerFailure: the answer broke off, was too large, or was not HTTP.
        """

    def stream(self, request: Request) -> AbstractContextManager[StreamedResponse]:
        """Return the response as soon as its headers are there; the connection closes with the context."""


class HttpTransport:
    """The real network.

    Args:
        deadline: seconds for a whole :meth:`send`.
        variables: say which proxy to use and which certificates to trust; by default this process's.
        guard: told host and port, returns the address to connect to, or refuses; it is asked before each request that
            goes through no proxy, so that the address that was judged is the address that is used.
    """

    def __init__(
        self,
        clock: Clock = SYSTEM_CLOCK,
        *,
        deadline: float = DEADLINE,
        connect: float = CONNECT,
        variables: Mapping[str, str] | None = None,
        guard: Callable[[str, int], str] | None = None,
    ) -> None:
        own = Environment.capture().variables if variables is None else variables
        self._variables = {**_system_proxies(own), **own}
        self._clock = clock
        self._deadline = deadline
        self._connect = min(connect, deadline)
        self._guard = guard

    def send(self, request: Request) -> Response:
        end = self._clock.monotonic() + self._deadline
        with self._open(request, self._deadline) as received:
            body = bytearray()
            for chunk in received.iter_bytes():
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    raise ServerFailure(f"{_place(request)} sent more than {LARGEST_ANSWER} bytes.")
                if self._clock.monotonic() > end:
                    raise ServerUnreachable(f"{_place(request)} did not finish its answer in {self._deadline:.0f} s.")
            return Response(received.status, received.headers, bytes(body), request.url)

    def stream(self, request: Request) -> AbstractContextManager[StreamedResponse]:
        return self._open(request, SILENCE)

    @contextmanager
    def _open(self, request: Request, read: float) -> Iterator["_Received"]:
        import httpx2

        timeout = httpx2.Timeout(read, connect=self._connect)
        place = _origin(request)
        proxy = None if origin.is_private_to_machine(place) else proxies.choose(place, self._variables)
        through, context = self._way(place, proxy)
        address, pinned, extensions = self._pinned(request, proxy)
        try:
            with httpx2.Client(
                timeout=timeout, trust_env=False, verify=context, proxy=through, follow_redirects=False
            ) as client:
                outgoing = client.build_request(
                    request.method,
                    address,
                    headers={"user-agent": AGENT, **pinned, **_reveal(request.headers)},
                    data=_reveal(request.form) if request.form is not None else None,
                    content=request.body,
                    extensions=extensions,
                )
                response = client.send(outgoing, stream=True, auth=None)
                try:
                    yield _Received(response, request)
                finally:
                    response.close()
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            raise _translate(error, request, proxy) from None  # the library's error may quote headers

    def _pinned(self, request: Request, proxy: Proxy | None) -> tuple[str, dict[str, str], dict[str, str]]:
        """Return the URL to connect to, the header and the TLS name that keep the host's name, as the guard has it."""
        if self._guard is None or proxy is not None:
            return request.url, {}, {}
        parts = urlsplit(request.url)
        host = parts.hostname or ""
        default = 443 if parts.scheme == "https" else 80
        chosen = self._guard(host, parts.port or default)
        literal = f"[{chosen}]" if ":" in chosen else chosen
        netloc = literal if parts.port is None else f"{literal}:{parts.port}"
        return urlunsplit(parts._replace(netloc=netloc)), {"host": parts.netloc}, {"sni_hostname": host}

    def _way(self, place: str, proxy: Proxy | None) -> "tuple[httpx2.Proxy | None, ssl.SSLContext]":
        """Return the proxy as the library wants it, and what is trusted on the way to ``place``."""
        import ssl
        from importlib.util import find_spec

        import httpx2

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody; enough where no TLS is spoken
        if place.startswith("https:") or (proxy is not None and proxy.url.startswith("https:")):
            replaced = certificates.replacement(self._variables)
            context = httpx2.create_ssl_context(trust_env=False) if replaced is None else replaced
            certificates.extend(context, self._variables)
        if proxy is None:
            return None, context
        if proxy.url.startswith("socks") and find_spec("socksio") is None:
            raise ConfigurationError(
                f"{proxy.name} names a SOCKS proxy, and what speaks SOCKS is not installed.",
                hint="Install the Python package socksio beside Keystead, or name an HTTP proxy.",
            )
        try:
            return httpx2.Proxy(proxy.url, ssl_context=context if proxy.url.startswith("https:") else None), context
        except (ValueError, httpx2.InvalidURL):
            raise ConfigurationError(
                f"{proxy.name} is not the address of a proxy.", hint="Write it like http://proxy.example.com:3128."
            ) from None


class _Received:
    """An httpx2 response as a :class:`StreamedResponse`."""

    def __init__(self, response: "httpx2.Response", request: Request) -> None:
        self._response = response
        self._request = request
        self.status = response.status_code
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}

    def iter_bytes(self) -> Iterator[bytes]:
        yield from self._response.iter_bytes()


def _system_proxies(variables: Mapping[str, str]) -> Mapping[str, str]:
    """Return what is set in the system's own dialog, where no variable says anything."""
    if sys.platform not in ("darwin", "win32") or any(
        variables.get(spelling) for name in proxies.VARIABLES for spelling in (name, name.lower())
    ):
        return {}
    from urllib.request import getproxies

    return {f"{scheme}_proxy": value for scheme, value in getproxies().items()}


def _reveal(fields: Mapping[str, str | Secret]) -> dict[str, str]:
    return {name: value.reveal() if isinstance(value, Secret) else value for name, value in fields.items()}


def _place(request: Request) -> str:
    """Return where a request went, without the query, which may carry a code."""
    return request.url.partition("?")[0]


def _origin(request: Request) -> str:
    try:
        return origin.parse(request.url)
    except ValueError as error:
        raise ConfigurationError(
            f"{_place(request)} is not an address that can be asked: {error}.", hint="Correct the address."
        ) from None


def _translate(error: Exception, request: Request, proxy: Proxy | None = None) -> KeysteadError:
    """Return what happened in the words of the error tree; the first matching row counts."""
    import httpx2

    place = _place(request)
    text = str(error)
    if isinstance(error, httpx2.InvalidURL):
        return ConfigurationError(f"{place} is not an address that can be asked.", hint="Correct the address.")
    if isinstance(error, httpx2.ProxyError):
        return _held_up(place, text, proxy)
    if "CERTIFICATE" in text.upper():
        return _distrusted(request, error, proxy)
    if proxy is not None and isinstance(error, httpx2.ConnectTimeout | httpx2.ConnectError):
        return ServerUnreachable(
            f"The proxy {proxy.shown}, through which {place} is asked, cannot be reached.",
            hint=f"Correct {proxy.name}, or name the host in NO_PROXY.",
        )
    if isinstance(error, httpx2.ConnectTimeout | httpx2.ConnectError):
        return ServerUnreachable(f"{place} cannot be reached.", hint="Check the address, and that the server runs.")
    if isinstance(error, httpx2.TimeoutException):
        return ServerUnreachable(f"{place} did not answer in time.", hint="Try again in a moment.")
    return ServerFailure(f"{place} broke off its answer.", hint="Try again in a moment.")


def _held_up(place: str, text: str, proxy: Proxy | None) -> KeysteadError:
    """The proxy answered, and not as wanted."""
    named = "The proxy" if proxy is None else f"The proxy {proxy.shown}"
    if text.startswith("407"):
        return ServerUnreachable(
            f"{named} wants to know who asks before it lets the request to {place} through (407).",
            hint="Put name and password into the proxy variable, as http://NAME:PASSWORD@proxy:3128.",
            move="you",
        )
    return ServerUnreachable(
        f"{named} did not let the request to {place} through.", hint="Check HTTPS_PROXY and NO_PROXY."
    )


def _distrusted(request: Request, error: BaseException, proxy: Proxy | None) -> KeysteadError:
    """The certificate did not verify: say whose it is, for that tells the company's inspection from an attack."""
    parts = urlsplit(request.url)
    issuer = None if proxy is not None else certificates.issuer(parts.hostname or "", parts.port or 443)
    whose = f" It was issued by {issuer}." if issuer else ""
    way = f" It was asked through {proxy.shown}." if proxy is not None else ""
    return ServerUnreachable(
        f"{_place(request)} shows a certificate that this machine does not trust{_reason(error)}.{whose}{way}",
        hint="If your company inspects TLS, point NODE_EXTRA_CA_CERTS or SSL_CERT_FILE at its certificate.",
    )


def _reason(error: BaseException | None) -> str:
    """Return why it did not verify, in OpenSSL's words, from wherever in the chain they are."""
    while error is not None:
        said = getattr(error, "verify_message", None)
        if said:
            return f" ({said})"
        error = error.__cause__ or error.__context__
    return ""
