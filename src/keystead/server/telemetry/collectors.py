"""OTLP out: bodies are passed on to the operator's collectors, in the background.

What agents send is read first, in a thread for all of it (:mod:`keystead.server.telemetry.relay`). A collector has a
queue and a thread of its own, so that none waits for another and no client for any. What does not fit into a queue,
and what was tried often enough, is dropped and counted: telemetry is never worth a request.
"""

import contextlib
import http.client
import logging
import ssl
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from keystead import __version__
from keystead.clock import SYSTEM_CLOCK
from keystead.errors import ConfigurationError
from keystead.secret import Secret
from keystead.server.settings import ServerSettings
from keystead.server.telemetry.exposition import Labels
from keystead.server.telemetry.otlp_schema import Malformed, Marks
from keystead.server.telemetry.relay import Body, marked
from keystead.wire import origin

MOST_BYTES: Final = 16 * 1024 * 1024
"""Of bodies that wait for one collector."""
ATTEMPTS: Final = 5
TIMEOUT: Final = 5.0
"""Seconds to connect, and between two bytes."""
LONGEST_PAUSE: Final = 60.0
"""Seconds; a collector that asks for more (``Retry-After``) is asked then all the same."""
OVERHEAD: Final = 1024
"""Bytes that a body is counted for besides its own, so that many small ones are bounded too."""
LONGEST_CLOSE: Final = 3.0
_ANSWER_BYTES: Final = 65_536
_AGAIN: Final = frozenset({429, 502, 503, 504})
"""Statuses after which a body may be sent again (OTLP, "Failures"); after any other it is not."""
_DIGITS: Final = 10
_LOG: Final = logging.getLogger("keystead.telemetry")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a collector is.

    Attributes:
        prefix: of the paths ``/v1/metrics``, ``/v1/logs`` and ``/v1/traces``.
        headers: name and value, as the operator set them.
    """

    scheme: str
    host: str
    port: int
    prefix: str = ""
    headers: tuple[tuple[str, Secret], ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """How it is called in metrics and in the log."""
        return f"{self.host}:{self.port}"


def endpoints(settings: ServerSettings) -> tuple[Endpoint, ...]:
    """Return the collectors of the settings.

    Raises:
        ConfigurationError: an address or a header cannot be used; the message holds no value of a header.
    """
    headers = _headers(settings.otlp_headers)
    found = tuple(_endpoint(url, headers) for url in settings.otlp_endpoints.replace(",", " ").split())
    unused = set(headers) - {name for one in found for name in (one.host, one.name)}
    if unused:
        raise _wrong("otlp_headers", "names a host that is none of KEYSTEAD_SERVER_OTLP_ENDPOINTS")
    return found


_Headers = dict[str, list[tuple[str, Secret]]]


def _headers(setting: Secret | None) -> _Headers:
    """Return the headers by the host that they are for."""
    found: _Headers = {}
    entries = [] if setting is None else setting.reveal().replace(",", "\n").split("\n")
    for number, entry in enumerate((one.strip() for one in entries if one.strip()), 1):
        host, _, header = entry.partition(" ")
        name, equals, value = header.strip().partition("=")
        if not equals or not name.isascii() or not name.replace("-", "").isalnum() or not value.isprintable():
            raise _wrong("otlp_headers", f"has an entry that cannot be read (the one at place {number})")
        found.setdefault(host, []).append((name, Secret(value)))
    return found


def _endpoint(url: str, headers: _Headers) -> Endpoint:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise _wrong("otlp_endpoints", "has an address that cannot be read") from error
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment or "@" in parts.netloc:
        raise _wrong("otlp_endpoints", "has an address that is not of the form https://host[:port][/prefix]")
    own = (*headers.get(host, ()), *headers.get(f"{host}:{port}", ()))
    if own and parts.scheme == "http" and not origin.is_private_to_machine(f"http://{parts.netloc}"):
        raise _wrong("otlp_headers", f"would send a credential to {host} without TLS")
    return Endpoint(parts.scheme, host, port, parts.path.rstrip("/"), own)


def _wrong(setting: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"KEYSTEAD_SERVER_{setting.upper()} {what}.",
        hint="Write endpoints like https://otlp.example.com, and headers like otlp.example.com api-key=VALUE.",
        move="operator",
    )


class _Answer(NamedTuple):
    """What became of one attempt.

    Attributes:
        status: of the answer; 0 when there was none.
        after: seconds that it asks to wait, or 0.
        why: what to say of it, behind the collector's name.
    """

    status: int
    after: float
    why: str


def pause(attempt: int, asked: float) -> float:
    """Return the seconds to wait after the attempt of that number, from 0, where a collector asked for some or none."""
    return max(min(30.0, 2.0**attempt), min(asked, LONGEST_PAUSE))


def _after(value: str | None, now: float) -> float:
    """Return the seconds of ``Retry-After`` (RFC 9110 section 10.2.3): a number, or until a date."""
    if value is None:
        return 0.0
    if value.isascii() and value.isdigit() and len(value) < _DIGITS:
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return 0.0


def _why(error: Exception) -> str:
    """Return what to say of a collector that could not be asked."""
    if isinstance(error, ssl.SSLCertVerificationError):
        what = error.verify_message.rstrip(".")
        return f"has a certificate that is not trusted ({what}); SSL_CERT_FILE names the file of a private authority"
    if isinstance(error, ssl.SSLError):
        return f"could not be reached by TLS ({error.reason or 'no reason given'})"
    if isinstance(error, TimeoutError):
        return f"did not answer within {TIMEOUT:g} seconds"
    if isinstance(error, http.client.HTTPException):
        return "does not answer by HTTP"
    return "could not be reached"


class Collector:
    """One collector, and what waits for it.

    Args:
        endpoint: where it is.
        pause: as :func:`pause`.
        most: bytes that may wait.
        now: Unix seconds, for a collector that says until when.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        pause: Callable[[int, float], float] = pause,
        most: int = MOST_BYTES,
        now: Callable[[], float] = SYSTEM_CLOCK.now,
    ) -> None:
        self.name = endpoint.name
        self._endpoint = endpoint
        self._pause = pause
        self._most = most
        self._now = now
        self._tls = ssl.create_default_context() if endpoint.scheme == "https" else None
        self._connection: http.client.HTTPConnection | None = None
        self._waiting: deque[Body] = deque()
        self._size = 0
        self._counts: Counter[tuple[str, str]] = Counter()
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._given_up = False
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="otlp-collector", daemon=True)
        self._thread.start()

    def offer(self, body: Body) -> None:
        """Take a body, from any thread, or drop it when too much waits."""
        with self._changed:
            if self._closing.is_set() or self._size + size_of(body) > self._most:
                self._counts[body.signal, "dropped"] += 1
                return
            self._size += size_of(body)
            self._waiting.append(body)
            self._changed.notify()

    def counts(self) -> dict[tuple[str, str], int]:
        """Return how many bodies of each signal came to which end."""
        with self._changed:
            return dict(self._counts)

    def stop(self) -> None:
        """Take no more; what waits is sent, each once more."""
        with self._changed:
            self._closing.set()
            self._changed.notify()

    def close(self, timeout: float = LONGEST_CLOSE) -> None:
        """Stop, and wait for that for as long as ``timeout``."""
        self.stop()
        self._thread.join(timeout)
        self._given_up = True

    def _run(self) -> None:
        while (body := self._next()) is not None:
            result = self._deliver(body)
            with self._changed:
                self._counts[body.signal, result] += 1
                self._size -= size_of(body)
        self._hang_up()

    def _next(self) -> Body | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing.is_set())
            return self._waiting.popleft() if self._waiting and not self._given_up else None

    def _deliver(self, body: Body) -> str:
        """Send one body; returns what became of it."""
        for attempt in range(ATTEMPTS):
            answer = self._send(body)
            self._note(answer)
            if 200 <= answer.status < 300:
                return "delivered"
            if answer.status and answer.status not in _AGAIN:
                return "refused"
            if attempt == ATTEMPTS - 1 or self._closing.wait(self._pause(attempt, answer.after)):
                break
        return "dropped"

    def _send(self, body: Body) -> _Answer:
        reused = self._connection is not None
        try:
            return self._exchange(body)
        except (OSError, http.client.HTTPException) as error:
            self._hang_up()
            failed = _Answer(0, 0.0, _why(error))
        return self._send(body) if reused else failed  # it may close a connection that was kept

    def _exchange(self, body: Body) -> _Answer:
        endpoint = self._endpoint
        if self._connection is None:
            self._connection = (
                http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=TIMEOUT)
                if self._tls is None
                else http.client.HTTPSConnection(endpoint.host, endpoint.port, timeout=TIMEOUT, context=self._tls)
            )
        headers = {"content-type": body.content_type, "user-agent": f"keystead/{__version__}"}
        if body.encoding:
            headers["content-encoding"] = body.encoding
        headers |= {name: value.reveal() for name, value in endpoint.headers}
        self._connection.request("POST", f"{endpoint.prefix}/v1/{body.signal}", body.data, headers)
        response = self._connection.getresponse()
        response.read(_ANSWER_BYTES)
        if not response.isclosed():
            self._hang_up()
        after = _after(response.headers.get("retry-after"), self._now())
        return _Answer(response.status, after, f"answered {response.status}")

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _note(self, answer: _Answer) -> None:
        """Say once per outage that the collector does not take what it is sent."""
        failed = not 200 <= answer.status < 300
        if failed and not self._failing:
            _LOG.warning("collector %s %s; what it does not take is dropped after a while", self.name, answer.why)
        self._failing = failed


def size_of(body: Body) -> int:
    """Return the bytes that a waiting body is counted for."""
    return len(body.data) + OVERHEAD


class Collectors:
    """All collectors. With none, everything is discarded at once.

    Args:
        collectors: each with its thread.
        most: bytes of agents that may wait to be read.
    """

    def __init__(self, collectors: Sequence[Collector], most: int = MOST_BYTES) -> None:
        self._collectors = collectors
        self._most = most
        self._size = 0
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._reader = ThreadPoolExecutor(1, "otlp-reader")

    def offer(self, body: Body) -> None:
        """Pass a body of our own on to each."""
        for collector in self._collectors:
            collector.offer(body)

    def relay(self, body: Body, marks: Marks) -> None:
        """Pass a client's body on with these marks, or drop it when too much waits; never blocks."""
        if not self._collectors:
            return
        with self._lock:
            fits = self._size + size_of(body) <= self._most
            if fits:
                self._size += size_of(body)
            else:
                self._counts[body.signal, "dropped"] += 1
        if fits:
            self._reader.submit(self._read, body, marks)

    def _read(self, body: Body, marks: Marks) -> None:
        try:
            self.offer(marked(body, marks))
        except Malformed:
            self._note(body.signal, "malformed")
        finally:
            with self._lock:
                self._size -= size_of(body)

    def withhold(self, signal: str) -> None:
        """Count a body that may not be passed on."""
        self._note(signal, "withheld")

    def _note(self, signal: str, result: str) -> None:
        with self._lock:
            self._counts[signal, result] += 1

    def counts(self) -> Iterator[tuple[Labels, int]]:
        """Give what became of bodies, with the labels of a metric; none names a collector that got as far as none."""
        with self._lock:
            own = dict(self._counts)
        for name, counts in (("", own), *((one.name, one.counts()) for one in self._collectors)):
            for (signal, result), count in counts.items():
                yield (("collector", name), ("signal", signal), ("result", result)), count

    def close(self) -> None:
        """Send what waits, and stop."""
        self._reader.shutdown()
        for collector in self._collectors:
            collector.stop()  # all at once, so that several that hang are not waited for one after the other
        for collector in self._collectors:
            collector.close()


@contextlib.contextmanager
def running(settings: ServerSettings) -> Iterator[Collectors]:
    """Give the collectors of the settings for the block, each with its thread."""
    collectors = Collectors([Collector(one) for one in endpoints(settings)])
    try:
        yield collectors
    finally:
        collectors.close()
