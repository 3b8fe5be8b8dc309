"""Browser sessions in the database, by the hash of their key and with whose they are.

Django's own store keeps the key itself, so a copy of its table is a set of working cookies; and it does not say whose
a session is, so nobody could be shown theirs. (``SESSION_ENGINE`` names this module.)

A session of somebody who is signed in has two ends (ASVS 5.0 V7.3): some hours after the sign-in, whatever happens, and
some minutes after it was last used. Nothing moves the first; what is stored of the second is written every few minutes.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db.models import Q

from keystead.clock import SYSTEM_CLOCK, Clock
from keystead.server.identity.models import BrowserSession

ABOUT: Final = "keystead_browser"
"""Where a session's data keeps what :class:`BrowserSession` shows of it: user_agent, address, at."""


def now() -> datetime:
    """Return the time, by the clock in ``KEYSTEAD_CLOCK`` of Django's settings where there is one."""
    clock: Clock = getattr(settings, "KEYSTEAD_CLOCK", SYSTEM_CLOCK)
    return datetime.fromtimestamp(clock.now(), UTC)


def idle() -> timedelta:
    """Return how long a session may lie unused."""
    return timedelta(minutes=settings.KEYSTEAD.browser_session_idle_minutes)


def is_living(moment: datetime) -> Q:
    """Return the condition that a session has come to neither of its ends."""
    used = Q(last_seen_at=None) | Q(last_seen_at__gt=moment - idle())
    return Q(expire_date__gt=moment) & used


def stored(key: str) -> str:
    """Return under what a session with this key is stored; it has 160 random bits, so a plain hash hides it."""
    return hashlib.sha256(key.encode()).hexdigest()


def _public_id(stored_key: str) -> UUID:
    """Return what the person's list calls it: the same for as long as the key is, and telling nothing of it."""
    return UUID(bytes=hashlib.sha256(f"public {stored_key}".encode()).digest()[:16])


class SessionStore(DatabaseStore):
    """Reads and writes :class:`BrowserSession`.

    Attributes:
        last_seen_at: as it stood when the session was read.
    """

    last_seen_at: datetime | None = None

    @classmethod
    def get_model_class(cls) -> type[BrowserSession]:
        return BrowserSession

    def _get_session_from_db(self) -> BrowserSession | None:
        key = self.session_key
        living = BrowserSession.objects.filter(is_living(now()))
        found = None if key is None else living.filter(session_key=stored(key)).first()
        if found is None:
            self._session_key = None
        else:
            self.last_seen_at = found.last_seen_at
        return found

    def exists(self, session_key: str) -> bool:
        return BrowserSession.objects.filter(session_key=stored(session_key)).exists()

    def create_model_instance(self, data: dict[str, Any]) -> BrowserSession:
        about = data.get(ABOUT, {})
        key = stored(self._get_or_create_session_key())  # type: ignore[attr-defined]
        return BrowserSession(
            session_key=key,
            public_id=_public_id(key),
            session_data=self.encode(data),
            expire_date=self._end(data),
            person_id=data.get(SESSION_KEY),
            user_agent=about.get("user_agent", ""),
            address=about.get("address", ""),
            signed_in_at=datetime.fromisoformat(about["at"]) if "at" in about else None,
            last_seen_at=now() if SESSION_KEY in data else None,
        )

    def _end(self, data: dict[str, Any]) -> datetime:
        """Return when it ends though it is used: counted from the sign-in, or from now while nobody is signed in.

        Whoever signs somebody in may have set a shorter time (``set_expiry``); no later write makes it longer.
        """
        begun = data.get(ABOUT, {}).get("at") if SESSION_KEY in data else None
        longest = timedelta(hours=settings.KEYSTEAD.browser_session_hours)
        chosen = timedelta(seconds=self.get_expiry_age())
        return (now() if begun is None else datetime.fromisoformat(begun)) + min(chosen, longest)

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            BrowserSession.objects.filter(session_key=stored(key)).delete()
