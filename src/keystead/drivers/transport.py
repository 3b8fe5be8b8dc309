"""HTTP, and the only file that imports an HTTP library.

No redirect is followed, because a redirect is how a secret travels to another origin (R-07). TLS is always verified,
proxy and certificate variables are honoured, and every call has a deadline. On loopback no proxy is asked: the
tokens are for this machine.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from keystead import __version__
from keystead.clock import SYSTEM_CLOCK, Clock
from keystead.errors import ConfigurationError, KeysteadError, ServerFailure, ServerUnreachable
from keystead.secret import Secret
from keystead.wire import origin
from keystead.wire.http import Request, Response

if TYPE_CHECKING:
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
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK, *, deadline: float = DEADLINE, connect: float = CONNECT) -> None:
        self._clock = clock
        self._deadline = deadline
        self._connect = min(connect, deadline)

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
        direct = origin.is_private_to_machine(_origin(request))
        try:
            with httpx2.Client(timeout=timeout, trust_env=not direct, follow_redirects=False) as client:
                outgoing = client.build_request(
                    request.method,
                    request.url,
                    headers={"user-agent": AGENT, **_reveal(request.headers)},
                    data=_reveal(request.form) if request.form is not None else None,
                    content=request.body,
                )
                response = client.send(outgoing, stream=True, auth=None)
                try:
                    yield _Received(response, request)
                finally:
                    response.close()
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            raise _translate(error, request) from None  # the library's error may quote headers


class _Received:
    """An httpx2 response as a :class:`StreamedResponse`."""

    def __init__(self, response: "httpx2.Response", request: Request) -> None:
        self._response = response
        self._request = request
        self.status = response.status_code
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}

    def iter_bytes(self) -> Iterator[bytes]:
        yield from self._response.iter_bytes()


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


def _translate(error: Exception, request: Request) -> KeysteadError:
    """Return what happened in the words of the error tree; the first matching row counts."""
    import httpx2

    place = _place(request)
    text = str(error)
    if isinstance(error, httpx2.InvalidURL):
        return ConfigurationError(f"{place} is not an address that can be asked.", hint="Correct the address.")
    if isinstance(error, httpx2.ProxyError):
        return ServerUnreachable(
            f"The proxy did not let the request to {place} through.", hint="Check HTTPS_PROXY and NO_PROXY."
        )
    if "CERTIFICATE" in text.upper():
        return ServerUnreachable(
            f"{place} shows a certificate that this machine does not trust.",
            hint="If your company inspects TLS, point SSL_CERT_FILE at its certificate.",
        )
    if isinstance(error, httpx2.ConnectTimeout | httpx2.ConnectError):
        return ServerUnreachable(f"{place} cannot be reached.", hint="Check the address, and that the server runs.")
    if isinstance(error, httpx2.TimeoutException):
        return ServerUnreachable(f"{place} did not answer in time.", hint="Try again in a moment.")
    return ServerFailure(f"{place} broke off its answer.", hint="Try again in a moment.")
