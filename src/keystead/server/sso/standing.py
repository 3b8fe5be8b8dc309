"""Whether an identity provider still vouches for a person; asked when an agent refreshes its sign-in.

Whoever leaves the company is switched off at the identity provider, and nobody tells this server. So the refresh token
of the identity provider is kept, and used as a question: a token means yes, ``invalid_grant`` means no. Anything else
means nothing, and ends nobody's sign-in (R-02): for a day the last yes counts, then the refresh waits for an answer.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.core.cache import cache
from django.db.models import Q

from keystead.errors import KeysteadError, ServerUnreachable
from keystead.server.audit import operations as audit
from keystead.server.identity.models import Person
from keystead.server.organizations.models import Membership
from keystead.server.sealing import seal, unseal
from keystead.server.sso import connections, conversation
from keystead.server.sso.models import Identity
from keystead.server.sso.network import Send
from keystead.server.sso.sessions import end_sessions
from keystead.server.sso.sign_in import REFRESH_TOKEN
from keystead.wire import ids

FRESH: Final = timedelta(minutes=5)
"""How long a yes is not asked again."""
TURN: Final = timedelta(seconds=30)
"""How long one process has the question to itself; many at once would use one refresh token several times."""
GRACE: Final = timedelta(hours=24)
"""How long the last yes counts while the identity provider gives no answer."""
REST: Final = 30
"""Seconds for which a silent identity provider is not asked about anybody."""

_LOG: Final = logging.getLogger("keystead.server.sso")


class Ended(Exception):
    """What was said about the person holds no longer; the message is one sentence for the client."""


@dataclass(frozen=True, slots=True)
class Asking:
    """How the identity provider is asked."""

    send: Send
    base_url: str
    now: datetime


def confirm(membership: Membership, begun_at: datetime, asking: Asking) -> None:
    """Check that every connection that vouched for the person still does, for what was begun at ``begun_at``.

    Raises:
        Ended: one does not, or what it said has run out, or it was switched off.
        ServerUnreachable: one has given no answer for longer than the grace.
    """
    vouched = Identity.objects.select_related("connection__organization").filter(
        person=membership.person_id, connection__organization=membership.organization_id
    )
    for identity in vouched:
        _check_connection(identity, begun_at)
        _check_time(identity, begun_at, asking.now)
        if identity.sealed_refresh_token and identity.confirmed_at + FRESH <= asking.now:
            _ask(identity, asking)


def _check_connection(identity: Identity, begun_at: datetime) -> None:
    off = identity.connection.disabled_at
    if identity.connection.enabled_at is None and off is not None and begun_at <= off:
        raise Ended("The way this person signed in was switched off.")


def _check_time(identity: Identity, begun_at: datetime, now: datetime) -> None:
    until = identity.valid_until
    if identity.refused_at is not None:
        raise Ended("The identity provider no longer vouches for this person.")
    if until is not None and until <= now and begun_at <= until:
        raise Ended("The session at the identity provider has ended. Sign in again.")


def _ask(identity: Identity, asking: Asking) -> None:
    """Ask, if it is this process's turn and the identity provider is not resting; else the last yes counts."""
    connection, now = identity.connection, asking.now
    resting = f"sso:silent:{connection.wire_id}"
    if cache.get(resting) or not _take_turn(identity, now):
        return _count_on_the_last_yes(identity, now)
    try:
        registration = connections.registration(connection, asking.base_url)
        token = unseal(REFRESH_TOKEN, identity.sealed_refresh_token)
        following = conversation.ask_again(connection, registration, token, asking.send)
    except conversation.Refused as error:
        _refused(identity, now)
        raise Ended("The identity provider no longer vouches for this person.") from error
    except KeysteadError as error:
        _LOG.warning("No answer about a person from connection %s: %s", connection.wire_id, error.message)
        cache.set(resting, True, REST)
        return _count_on_the_last_yes(identity, now)
    renewed = {} if following is None else {"sealed_refresh_token": seal(REFRESH_TOKEN, following)}
    Identity.objects.filter(pk=identity.pk).update(confirmed_at=now, asked_at=None, **renewed)
    return None


def _take_turn(identity: Identity, now: datetime) -> bool:
    """Return whether this process may ask, by compare-and-swap; the token must still be the one that was read."""
    free = Q(asked_at=None) | Q(asked_at__lte=now - TURN)
    same = Identity.objects.filter(free, pk=identity.pk, sealed_refresh_token=identity.sealed_refresh_token)
    return bool(same.update(asked_at=now))


def _count_on_the_last_yes(identity: Identity, now: datetime) -> None:
    if now < identity.confirmed_at + GRACE:
        return
    raise ServerUnreachable(
        f"{identity.connection.name} has not said for a day whether this person is still welcome.",
        hint="Try again when the identity provider answers; nothing has been signed out.",
        move="wait",
    )


def _refused(identity: Identity, now: datetime) -> None:
    """Remember the no until the person signs in anew, and end their browsers' sessions, which could begin others."""
    end_sessions(Person.objects.filter(pk=identity.person_id))
    Identity.objects.filter(pk=identity.pk).update(refused_at=now, sealed_refresh_token="")
    audit.record(
        organization=identity.connection.organization,
        actor=identity.connection.wire_id,
        action="identity:refuse",
        target=ids.dump("identity", identity.id),
        at=now,
        details={"person": ids.dump("person", identity.person_id)},
    )
