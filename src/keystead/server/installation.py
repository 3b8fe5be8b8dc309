"""What a server needs before it runs: settings that can be used, a data directory, an open database, a bound socket.

Nothing here needs an event loop; commands that only work on the database begin with :func:`open_database`.
"""

import contextlib
import errno
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from keystead.clock import Clock
from keystead.credentials.rules import VENDOR_SUBSCRIPTION, is_vendor_subscription, refusal
from keystead.errors import ConfigurationError
from keystead.server import certificate, client_address, data_directory, outbound, shared_counters
from keystead.server.certificate import Certificate
from keystead.server.mail.routes import route
from keystead.server.settings import NO_UPSTREAM, ServerSettings
from keystead.server.site.settings import configure
from keystead.server.telemetry import collectors as telemetry
from keystead.server.telemetry import scrape, traces
from keystead.server.upstreams import references

SETUP_CODE_LIFETIME: Final = timedelta(days=1)
_MIGRATION_LOCK: Final = 0x4B45595354
"""Any number that nobody else on the database locks."""

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Installation:
    """What :func:`serve` needs: an open database, a bound socket, and the settings with the real port."""

    settings: ServerSettings
    listener: socket.socket
    setup_code: str | None
    certificate: Certificate | None = None
    metrics: socket.socket | None = None


@contextlib.contextmanager
def prepared(settings: ServerSettings, clock: Clock, random_bytes: RandomBytes) -> Iterator[Installation]:
    """Make the installation ready to serve, holding its data directory until the end.

    Raises:
        ConfigurationError: a setting is wrong, the port is taken, or the directory cannot be used.
        StoreBusy: another server runs on the same directory.
    """
    check_upstream(settings)
    outbound.reach(settings)  # a list of networks that cannot be read stops the server here
    outbound.upstream_reach(settings)
    references.allowances(settings)
    route(settings)  # and so does a wrong mail setting
    client_address.proxies(settings)
    telemetry.endpoints(settings)
    traces.checked(settings)
    shared_counters.checked(settings)
    tls = certificate.of(settings, clock.now())
    data_directory.prepare(settings.data_dir)
    with (
        data_directory.only_server(settings.data_dir),
        contextlib.closing(listen(settings)) as listener,
        scrape.listening(settings) as metrics,
    ):
        settings = replace(settings, port=listener.getsockname()[1])
        code = new_setup_code(settings, clock, random_bytes)
        yield Installation(settings, listener, code, tls, metrics)


def check_upstream(settings: ServerSettings) -> None:
    """Refuse to start without an upstream, or with a credential that may not be one."""
    if settings.upstream_url == NO_UPSTREAM and settings.upstream_api_key is not None:
        raise ConfigurationError(
            "KEYSTEAD_SERVER_UPSTREAM_API_KEY is set, and KEYSTEAD_SERVER_UPSTREAM_URL is none.",
            hint="Remove one of the two.",
            move="operator",
        )
    if settings.upstream_url == NO_UPSTREAM:
        return
    if settings.upstream_api_key is None and not settings.allow_test_upstream:
        raise ConfigurationError(
            "No upstream API key is set, and KEYSTEAD_SERVER_ALLOW_TEST_UPSTREAM is off.",
            hint="Set KEYSTEAD_SERVER_UPSTREAM_API_KEY.",
            move="operator",
        )
    key = settings.upstream_api_key
    if key is not None and is_vendor_subscription(key.reveal()):
        # The setting is for API keys; whatever carries this prefix is an OAuth token.
        raise refusal(
            VENDOR_SUBSCRIPTION,
            "KEYSTEAD_SERVER_UPSTREAM_API_KEY",
            alternative="Set it to an API key from the vendor's console.",
            move="operator",
        )


def listen(settings: ServerSettings) -> socket.socket:
    """Return a socket bound to the configured address.

    Raises:
        ConfigurationError: the port is in use, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise _cannot_listen(settings, error) from error
    return listener


def _cannot_listen(settings: ServerSettings, error: OSError) -> ConfigurationError:
    if error.errno == errno.EADDRINUSE:
        return ConfigurationError(
            f"Port {settings.port} on {settings.host} is in use by another program.",
            hint="Stop that program, or choose another port with --port or KEYSTEAD_SERVER_PORT.",
            move="operator",
        )
    return ConfigurationError(
        f"Cannot listen on {settings.host} port {settings.port}: {error.strerror or error}.",
        hint="Correct --host and --port (KEYSTEAD_SERVER_HOST, KEYSTEAD_SERVER_PORT).",
        move="operator",
    )


def open_database(settings: ServerSettings, random_bytes: RandomBytes) -> None:
    """Configure Django for this installation and bring its schema up to date."""
    data_directory.prepare(settings.data_dir)
    key = settings.secret_key or data_directory.secret_key(settings.data_dir, random_bytes)
    previous = (settings.secret_key_previous, data_directory.previous_secret_key(settings.data_dir))
    if len(key.reveal()) < 32:
        raise ConfigurationError(
            "KEYSTEAD_SERVER_SECRET_KEY is too short.", hint="Use 32 random characters or more.", move="operator"
        )
    configure(settings, key.reveal(), [one.reveal() for one in previous if one is not None])
    check_files(settings)
    from django.db import OperationalError

    try:
        _migrate()
    except OperationalError as error:
        raise ConfigurationError(
            "The database does not answer.", hint="Check KEYSTEAD_SERVER_DATABASE_URL.", move="operator"
        ) from error


def check_files(settings: ServerSettings) -> None:
    """Refuse to start with a list of breached passwords or a price book that cannot be used."""
    from keystead.server.identity import breached
    from keystead.server.usage import price_file

    if settings.limits_fail not in {"open", "closed"}:
        raise ConfigurationError(
            "KEYSTEAD_SERVER_LIMITS_FAIL is neither open nor closed.", hint="Set it to one of them.", move="operator"
        )
    price_file.book_of(settings)
    if settings.breached_passwords_file:
        breached.check(Path(settings.breached_passwords_file))


def _migrate() -> None:
    """Bring the schema up to date; of several servers that start at once, one does while the others wait."""
    from django.core.management import call_command
    from django.db import connection

    if connection.vendor != "postgresql":
        call_command("migrate", verbosity=0, interactive=False)
        return
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 0; SET statement_timeout = 0")
        cursor.execute("SELECT pg_advisory_lock(%s)", [_MIGRATION_LOCK])
        try:
            call_command("migrate", verbosity=0, interactive=False)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_MIGRATION_LOCK])
    connection.close()  # with the limits that were lifted for the migration


def new_setup_code(settings: ServerSettings, clock: Clock, random_bytes: RandomBytes) -> str | None:
    """Return a fresh one-time code for the first administrator, or None when there is one."""
    open_database(settings, random_bytes)
    from keystead.server.identity import operations

    now = datetime.fromtimestamp(clock.now(), UTC)
    return operations.new_setup_code(now, random_bytes, SETUP_CODE_LIFETIME)
