"""Django's cache as a table, for several server processes: what limits attempts is counted once for all of them.

Django's own table cache reads, adds and writes back, so that of two attempts at once one may not be counted; here each
change is one statement. Values are JSON, and :meth:`SharedCache.incr` takes whole numbers only.
"""

import hashlib
import json
from typing import Any, Final

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import connection

from keystead.clock import SYSTEM_CLOCK, Clock
from keystead.server.identity.models import CacheEntry

_FOR_EVER: Final = 253_402_300_799.0
"""The end of the year 9999, for entries that Django is told to keep without end."""

_UPSERT: Final = (
    "INSERT INTO identity_cacheentry (key, value, ends_at) VALUES (%s, %s, %s) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value, ends_at = excluded.ends_at"
)
_UNLESS_THERE: Final = f"{_UPSERT} WHERE identity_cacheentry.ends_at <= %s"
_ADD: Final = (
    "UPDATE identity_cacheentry SET value = CAST(CAST(value AS BIGINT) + %s AS TEXT) "
    "WHERE key = %s AND ends_at > %s RETURNING value"
)


class SharedCache(BaseCache):
    """The backend that ``CACHES`` names; its ``LOCATION`` is not used."""

    def __init__(self, _location: str, params: dict[str, Any], clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(params)
        self._clock = clock

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        """Return the value, or ``default`` when there is none in time."""
        row = CacheEntry.objects.filter(key=self._name(key, version), ends_at__gt=self._clock.now())
        found = row.values_list("value", flat=True).first()
        return default if found is None else json.loads(found)

    def set(self, key: str, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """Keep a value in place of one before it."""
        self._run(_UPSERT, self._name(key, version), json.dumps(value), self._end(timeout))

    def add(self, key: str, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Keep a value unless there is one in time; of many at once exactly one is told yes."""
        row = (self._name(key, version), json.dumps(value), self._end(timeout))
        return self._run(_UNLESS_THERE, *row, self._clock.now()) == 1

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        """Add to a number, in one statement.

        Raises:
            ValueError: there is none in time.
        """
        with connection.cursor() as cursor:
            cursor.execute(_ADD, [delta, self._name(key, version), self._clock.now()])
            row = cursor.fetchone()
        if row is None:
            raise ValueError(f"there is no number under the key {key!r}")
        return int(row[0])

    def touch(self, key: str, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Move the end of what is in time; returns whether there was something."""
        row = CacheEntry.objects.filter(key=self._name(key, version), ends_at__gt=self._clock.now())
        return row.update(ends_at=self._end(timeout)) == 1

    def delete(self, key: str, version: int | None = None) -> bool:
        """Remove a value; returns whether there was one."""
        return CacheEntry.objects.filter(key=self._name(key, version)).delete()[0] == 1

    def clear(self) -> None:
        """Remove everything."""
        CacheEntry.objects.all().delete()

    def _name(self, key: str, version: int | None) -> str:
        """Return under what it is stored: a hash, for keys are as long as they like and may name a person."""
        return hashlib.sha256(self.make_key(key, version).encode()).hexdigest()

    def _end(self, timeout: float | None) -> float:
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return _FOR_EVER if seconds is None else self._clock.now() + seconds

    def _run(self, statement: str, *values: str | float) -> int:
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            return int(cursor.rowcount)
