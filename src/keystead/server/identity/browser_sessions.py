"""The browsers a person is signed in with: seen, listed and ended."""

from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.auth.signals import user_logged_in
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from keystead.server.audit import operations as audit
from keystead.server.identity.models import BrowserSession, Person
from keystead.server.identity.session_store import ABOUT, SessionStore, stored
from keystead.wire import ids

NOTED: Final = timedelta(minutes=10)
"""How old "last seen" may become before a request writes it again."""


def listen() -> None:
    """Write down which browser signs in, from now on; Django calls it once at start."""
    user_logged_in.connect(_remember, dispatch_uid="keystead.identity.browser_sessions")


def _remember(request: HttpRequest | None, **_: Any) -> None:
    if request is not None:
        request.session[ABOUT] = {
            "user_agent": request.META.get("HTTP_USER_AGENT", "")[:300],
            "address": address_of(request),
            "at": timezone.now().isoformat(),
        }


def address_of(request: HttpRequest) -> str:
    """Return where a request came from."""
    return str(request.META.get("REMOTE_ADDR", ""))[:45]


def note(request: HttpRequest, now: datetime) -> None:
    """Write down that a browser was seen, if it was not lately; one request in ten minutes pays for it."""
    session = request.session
    if not isinstance(session, SessionStore) or session.last_seen_at is None or session.session_key is None:
        return
    if now - session.last_seen_at >= NOTED:
        row = BrowserSession.objects.filter(session_key=stored(session.session_key))
        row.filter(last_seen_at__lt=now).update(last_seen_at=now, address=address_of(request))


def living(person: Person, now: datetime) -> QuerySet[BrowserSession]:
    """Return a person's sessions, the last seen first."""
    return BrowserSession.objects.filter(person=person, expire_date__gt=now).order_by("-last_seen_at", "public_id")


def is_this_one(request: HttpRequest) -> Q:
    """Return the condition that a session is the one this request belongs to."""
    return Q(session_key=stored(request.session.session_key or ""))


def end(sessions: QuerySet[BrowserSession], person: Person, now: datetime) -> int:
    """End some of a person's sessions; their browsers are signed out from their next request on.

    Returns how many there were. Each is written down.
    """
    ended = 0
    member = (
        person.memberships.filter(deactivated_at=None).select_related("organization").order_by("created_at").first()
    )
    for session in sessions.filter(person=person):
        if not BrowserSession.objects.filter(pk=session.pk).delete()[0]:
            continue
        ended += 1
        audit.record(
            organization=None if member is None else member.organization,
            actor=ids.dump("person", person.pk),
            action="browser_session:end",
            target=ids.dump("browser_session", session.public_id),
            at=now,
        )
    return ended


def forget(person: Person, keep: str | None = None) -> None:
    """End all of a person's sessions but the one with the key ``keep``, as a part of a change that is written down."""
    others = BrowserSession.objects.filter(person=person)
    (others if keep is None else others.exclude(session_key=stored(keep))).delete()


def expired(now: datetime) -> QuerySet[BrowserSession]:
    """Return the sessions that no cookie opens any more."""
    return BrowserSession.objects.filter(expire_date__lt=now)
