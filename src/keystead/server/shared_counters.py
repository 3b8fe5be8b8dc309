"""Servers of one database tell one another of the limits' counters through Redis or Valkey.

Nothing rests there: it is a channel on which each server says what it holds and what it settled, some twenty times a
second (``docs/decisions/028-counters-are-told.md``). What is lost with a connection is asked for again, and the ledger
is counted; while there is no connection, each server goes on by its own counters and the ledger.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from keystead.clock import Clock
from keystead.errors import ConfigurationError
from keystead.secret import Secret
from keystead.server.allowances import AWAY_SECONDS, Allowances
from keystead.server.limits.shared import News, dump, parse
from keystead.server.settings import ServerSettings

INTERVAL: Final = 0.05
"""Seconds between two messages of a server that has something to tell."""
HEARTBEAT: Final = 1.0
"""Seconds after which it says that it is there."""
_PAUSE: Final = 1.0
_TIMEOUT: Final = 2.0
_SCHEMES: Final = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}
"""What an address may begin with, and what the library calls it."""
_LOG: Final = logging.getLogger("keystead.server")


def checked(settings: ServerSettings) -> None:
    """Refuse to start with an address that cannot be one; it is not quoted, for it may hold a password.

    Raises:
        ConfigurationError: it is no address of Redis or Valkey, or there can be no other server.
    """
    if settings.counters_url is None:
        return
    if settings.database_url is None:
        raise ConfigurationError(
            "KEYSTEAD_SERVER_COUNTERS_URL is set, and the database is SQLite, which has one server process.",
            hint="Remove it, or set KEYSTEAD_SERVER_DATABASE_URL.",
            move="operator",
        )
    _address(settings.counters_url)


def _address(url: Secret) -> str:
    """Return the address as the library takes it."""
    scheme, separator, rest = url.reveal().strip().partition("://")
    try:
        parts = urlsplit(f"redis://{rest}")
        fits = bool(parts.hostname) and (parts.port or 1) > 0 and not parts.query and not parts.fragment
        fits = fits and (parts.path in {"", "/"} or parts.path[1:].isdecimal())
    except ValueError:
        fits = False
    if not separator or scheme not in _SCHEMES or not fits:
        raise ConfigurationError(
            "KEYSTEAD_SERVER_COUNTERS_URL is not the address of a Redis or Valkey server.",
            hint="It looks like redis://:password@host:6379 or, with TLS, rediss://user:password@host:6379.",
            move="operator",
        )
    return f"{_SCHEMES[scheme]}://{rest}"


class Link(Protocol):
    """A connection on which messages are heard and told."""

    def tell(self, channel: str, data: bytes) -> None:
        """Tell everybody who hears the channel, this server too."""

    def hear(self, seconds: float) -> bytes | None:
        """Return the next message, or None when none came in time."""

    def close(self) -> None:
        """End it."""


class RedisLink:
    """A :class:`Link` by Redis' publish and subscribe. No call is tried again in silence: what was lost must be known.

    Args:
        url: of the server.
        channels: to hear.
    """

    def __init__(self, url: Secret, channels: Sequence[str]) -> None:
        import redis  # on demand: most installations have one server
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._client: Any = redis.Redis.from_url(
            _address(url),
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
            client_name="keystead",
        )
        self._heard: Any = self._client.pubsub(ignore_subscribe_messages=True)
        try:
            self._heard.subscribe(*channels)
        except BaseException:
            self.close()
            raise

    def tell(self, channel: str, data: bytes) -> None:
        """Publish."""
        self._client.publish(channel, data)

    def hear(self, seconds: float) -> bytes | None:
        """Return what was published."""
        message = self._heard.get_message(timeout=seconds)
        return None if message is None else bytes(message["data"])

    def close(self) -> None:
        """Give the connections back."""
        self._heard.close()
        self._client.close()


class SharedCounters:
    """Carries what :class:`Allowances` has to tell to other servers and theirs here, until :meth:`close`.

    Args:
        allowances: this server's.
        connect: gives a new connection that hears these channels.
        keys: that the servers have in common (:func:`keystead.server.sealing.derived_keys`).
        recount: has the ledger counted soon, in another thread.
        clock: the time.
    """

    def __init__(
        self,
        allowances: Allowances,
        connect: Callable[[Sequence[str]], Link],
        keys: Sequence[bytes],
        recount: Callable[[], object],
        clock: Clock,
    ) -> None:
        self._allowances = allowances
        self._connect = connect
        self._keys = {_channel(key): key for key in keys}
        self._recount = recount
        self._clock = clock
        self._told = self._echoed = clock.monotonic()
        self._failing = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shared-counters", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Tell the others that this server has gone, and stop."""
        self._stop.set()
        self._thread.join()

    @property
    def away(self) -> bool:
        """Whether messages have not passed for so long that other servers' use is not known."""
        return self._clock.monotonic() - self._echoed > AWAY_SECONDS

    @property
    def servers(self) -> int:
        """How many other servers are heard."""
        return self._allowances.others()

    def remark(self) -> str:
        """Return what ``/readyz`` says of it; nothing when all is well."""
        return "; the counter store does not answer: limits go by the ledger" if self.away else ""

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with closing(self._connect([*self._keys])) as link:
                    self._allowances.ask()
                    self._converse(link)
            except Exception as error:  # noqa: BLE001  a thread that ended would hear of nothing ever after
                if not self._failing:
                    _LOG.warning("the counter store does not answer, limits go by the ledger: %s", type(error).__name__)
                self._failing = True
                self._notice_silence()
                self._stop.wait(_PAUSE)

    def _converse(self, link: Link) -> None:
        due = self._clock.monotonic()
        while not self._stop.is_set():
            data = link.hear(max(0.0, due - self._clock.monotonic()))
            if data is not None:
                self._hear(data)
            if self._clock.monotonic() >= due:
                self._tell(link)
                self._notice_silence()
                due = self._clock.monotonic() + INTERVAL
        self._tell(link, leaves=True)

    def _tell(self, link: Link, *, leaves: bool = False) -> None:
        now = self._clock.monotonic()
        news = self._allowances.news(anyhow=now - self._told >= HEARTBEAT, leaves=leaves)
        if news is None:
            return
        self._told = now
        for channel, key in self._keys.items():
            link.tell(channel, dump(news, key))

    def _hear(self, data: bytes) -> None:
        news: News | None = parse(data, [*self._keys.values()])
        if news is None:
            _LOG.warning("a message on the channel of the limits' counters is not of a server of this database")
        elif news.origin == self._allowances.origin:
            self._echo()
        elif self._allowances.hear(news, self._clock.monotonic()):
            self._recount()

    def _echo(self) -> None:
        self._echoed = self._clock.monotonic()
        self._allowances.reached()
        if self._failing:
            _LOG.warning("the counter store answers again")
        self._failing = False

    def _notice_silence(self) -> None:
        if self._allowances.leave_silent(self._clock.monotonic()):
            self._recount()


def _channel(key: bytes) -> str:
    """Return where servers of a secret key meet: several installations may use one Redis."""
    return f"keystead:counters:{hashlib.sha256(key).hexdigest()[:32]}"
