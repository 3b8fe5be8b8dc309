"""Sending somebody to the page of terms before the one they wanted, once for each version and browser session.

Looking at the console is never made to depend on it: whoever says "not now" goes on, so that no key stays unrevoked for
the sake of a text. A page that signs an agent in waits for the answer once the terms are in force.
"""

from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url

from keystead.server.organizations.models import Membership
from keystead.server.terms import operations
from keystead.server.terms.operations import Owed

LATER: Final = "keystead_terms_later"
"""Key in the session: the version that was put off."""
_LOOKING: Final = frozenset({"GET", "HEAD"})
_NOT_AT: Final = frozenset({"confirmed", "terms", "terms_kind", "terms_later", "terms_version"})
_NOR_AT: Final = "security"
"""How the pages begin on which somebody adds the second factor that they must have first."""


def address() -> str:
    """Return where terms are accepted, as it is told to whoever is at no browser."""
    return f"{settings.KEYSTEAD.base_url}{resolve_url('terms')}"


def console(request: HttpRequest, member: Membership, now: datetime) -> HttpResponse | None:
    """Return the way to the terms, or None to go on; what was put off is in ``request.terms_owed`` for the page."""
    name = (request.resolver_match.url_name if request.resolver_match else None) or ""
    owed = None if name in _NOT_AT or name.startswith(_NOR_AT) else operations.owed(member, now)
    if owed is None:
        return None
    if request.method in _LOOKING and not _is_put_off(request, owed):
        return _there(request)
    request.terms_owed = owed  # type: ignore[attr-defined]  # the templates' own
    return None


def sign_in(request: HttpRequest, member: Membership, now: datetime) -> HttpResponse | None:
    """Return the way to the terms before an agent is signed in, or None to go on."""
    owed = operations.owed(member, now)
    if owed is None or (not owed.in_force and _is_put_off(request, owed)):
        return None
    return _there(request)


def put_off(request: HttpRequest, owed: Owed) -> None:
    """Note that this browser is not to be asked for this version again."""
    request.session[LATER] = str(owed.version.id)


def _is_put_off(request: HttpRequest, owed: Owed) -> bool:
    return bool(request.session.get(LATER) == str(owed.version.id))


def _there(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(f"{resolve_url('terms')}?{urlencode({'next': request.get_full_path()})}")
