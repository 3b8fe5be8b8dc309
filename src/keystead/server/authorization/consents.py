"""Consent that is remembered: what a person has agreed to once need not be asked again, where that is lawful.

It is lawful only where the answer reaches the program that was agreed to. A program on a person's own machine listens
on a loopback address, where any other program may listen too, so it is asked about each time (RFC 8252 section 8.6).
"""

from datetime import datetime, timedelta
from typing import Final

from keystead.server.authorization.models import Client, Consent
from keystead.server.organizations.models import Membership

LIFETIME: Final = timedelta(days=180)


def covers(client: Client, member: Membership, redirect_uri: str, scope: str, now: datetime) -> bool:
    """Return whether ``member`` has agreed to all of ``scope`` for ``client``, and the answer goes to it alone."""
    if not may_be_remembered(redirect_uri):
        return False
    given = Consent.objects.filter(client=client, membership=member, created_at__gt=now - LIFETIME).first()
    return given is not None and set(scope.split()) <= set(given.scope.split())


def may_be_remembered(redirect_uri: str) -> bool:
    """Return whether only the client's own place answers at this address."""
    return redirect_uri.startswith("https://")


def remember(client: Client, member: Membership, redirect_uri: str, scope: str, now: datetime) -> None:
    """Keep what was agreed to, together with what was before."""
    if not may_be_remembered(redirect_uri):
        return
    first = {"organization_id": member.organization_id, "scope": scope}
    given, _ = Consent.objects.get_or_create(client=client, membership=member, defaults={**first, "created_at": now})
    both = dict.fromkeys([*given.scope.split(), *scope.split()])
    Consent.objects.filter(pk=given.pk).update(scope=" ".join(both), created_at=now)


def forget(client: Client, member: Membership) -> None:
    """Ask again next time."""
    Consent.objects.filter(client=client, membership=member).delete()
