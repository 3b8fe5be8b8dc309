"""The browsers a person is signed in with: seen, listed and ended."""

from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.auth.signals import user_logged_in
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from keystead.server.audit import operations as audit
from keystead.server.identity.models import BrowserSession, Person
from keystead.server.identity.session_store import ABOUT, SessionStore, idle, is_living, now, stored
from keystead.wire import ids

NOTED: Final = timedelta(minutes=5)
"""How old "last seen" may become before a request writes it again; by so much the idle end may come early."""


def listen() -> None:
    """Write down which browser signs in, from now on; Django calls it once at start."""
    user_logged_in.connect(_remember, dispatch_uid="keystead.identity.browser_sessions")


def _remember(request: HttpRequest | None, **_: Any) -> None:
    if request is not None:
        request.session[ABOUT] = {
            "user_agent": request.META.get("HTTP_USER_AGENT", "")[:300],
            "address": address_of(request),
            "at": now().isoformat(),
        }


def address_of(request: HttpRequest) -> str:
    """Return where a request came from."""
    return str(request.META.get("REMOTE_ADDR", ""))[:45]


def note(request: HttpRequest) -> None:
    """Write down that a browser was seen, if it was not lately; one request in five minutes pays for it."""
    session = request.session
    if not isinstance(session, SessionStore) or session.last_seen_at is None or session.session_key is None:
        return
    moment = now()
    if moment - session.last_seen_at >= NOTED:
        row = BrowserSession.objects.filter(session_key=stored(session.session_key))
        row.filter(last_seen_at__lt=moment).update(last_seen_at=moment, address=address_of(request))


def living(person: Person, moment: datetime) -> QuerySet[BrowserSession]:
    """Return a person's sessions, the last seen first."""
    return BrowserSession.objects.filter(is_living(moment), person=person).order_by("-last_seen_at", "public_id")


def ends_at(session: BrowserSession) -> datetime:
    """Return when a session ends if it is not used from now on."""
    last = session.last_seen_at
    return session.expire_date if last is None else min(session.expire_date, last + idle())


def is_this_one(request: HttpRequest) -> Q:
    """Return the condition that a session is the one this request belongs to."""
    return Q(session_key=stored(request.session.session_key or ""))


def end(sessions: QuerySet[BrowserSession], person: Person, moment: datetime) -> int:
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
            at=moment,
        )
    return ended


def forget(person: Person, keep: str | None = None) -> int:
    """End all of a person's sessions but the one with the key ``keep``, as a part of a change that is written down.

    Returns how many there were.
    """
    others = BrowserSession.objects.filter(person=person)
    return (others if keep is None else others.exclude(session_key=stored(keep))).delete()[0]


def expired(moment: datetime) -> QuerySet[BrowserSession]:
    """Return the sessions that no cookie opens any more."""
    return BrowserSession.objects.filter(expire_date__lt=moment)
