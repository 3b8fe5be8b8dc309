"""Which database Django uses: SQLite in the data directory, or PostgreSQL for several server processes."""

from typing import Any

from keystead.errors import ConfigurationError
from keystead.server.settings import ServerSettings

_NAMES = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}


def configuration(server: ServerSettings) -> dict[str, Any]:
    """Return Django's description of the database.

    Raises:
        ConfigurationError: ``database_url`` is not the address of a PostgreSQL database; the message does not quote it.
    """
    return _sqlite(server) if server.database_url is None else _postgresql(server.database_url.reveal())


def caches(server: ServerSettings) -> dict[str, Any]:
    """Return Django's description of its cache, which counts attempts: shared where several processes may be."""
    memory = "django.core.cache.backends.locmem.LocMemCache"
    shared = "keystead.server.identity.shared_cache.SharedCache"
    return {"default": {"BACKEND": memory if server.database_url is None else shared}}


def _sqlite(server: ServerSettings) -> dict[str, Any]:
    """Return a database in which writers take turns from the beginning of a transaction."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": server.data_dir / "keystead.sqlite3",
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
        },
    }


def _postgresql(url: str) -> dict[str, Any]:
    """Return a database of several processes, in its default isolation, read committed.

    That suffices: what may happen once is decided by the row count of one UPDATE, and what must be looked at first is
    locked. A lock or statement that does not come ends with an error and not with a server whose threads all wait.
    """
    from psycopg import Error
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = conninfo_to_dict(url)
    except (Error, ValueError) as error:
        raise _wrong() from error
    if not url.startswith(("postgresql://", "postgres://")) or not parts.get("dbname"):
        raise _wrong()
    limits = "-c lock_timeout=20s -c statement_timeout=60s -c idle_in_transaction_session_timeout=60s"
    options = {name: value for name, value in parts.items() if name not in _NAMES}
    options["options"] = f"{limits} {options.get('options', '')}".strip()
    return {
        "ENGINE": "django.db.backends.postgresql",
        **{ours: str(parts[theirs]) for theirs, ours in _NAMES.items() if parts.get(theirs)},
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 10, **options},
    }


def _wrong() -> ConfigurationError:
    return ConfigurationError(
        "KEYSTEAD_SERVER_DATABASE_URL is not the address of a PostgreSQL database.",
        hint="It looks like postgresql://user:password@host:5432/name.",
        move="operator",
    )
