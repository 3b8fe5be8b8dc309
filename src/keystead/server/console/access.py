"""Who is looking at a page, and when; and whether their role lets them."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from keystead.clock import SYSTEM_CLOCK, Clock
from keystead.errors import KeysteadError, PolicyDenied
from keystead.server.console import errors
from keystead.server.identity.models import Person
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership
from keystead.server.suspensions import operations as suspensions
from keystead.server.terms import asking
from keystead.wire import ids

View = Callable[..., HttpResponseBase]
Check = Callable[[Membership], None]
"""Raises :class:`~keystead.errors.PolicyDenied` when the member's role may not."""


def now() -> datetime:
    """Return the time of this request (UTC); ``KEYSTEAD_CLOCK`` in Django's settings replaces the machine's clock."""
    clock: Clock = getattr(settings, "KEYSTEAD_CLOCK", SYSTEM_CLOCK)
    return datetime.fromtimestamp(clock.now(), UTC)


def for_members(view: View) -> View:
    """Decorate a page so that it is called with the signed-in person's membership as second argument.

    A stranger is sent to sign in; somebody who belongs to no organization, or is suspended, is told so; whoever has
    terms to accept is shown them once.
    """

    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: str, **kwargs: str) -> HttpResponseBase:
        member = _membership(request)
        if member is None:
            return errors.page(request, errors.NO_ORGANIZATION)
        reason = suspensions.reason_for(member.organization_id, ids.dump("membership", member.pk))
        if reason:
            return errors.page(request, errors.suspended(reason))
        return asking.console(request, member, now()) or view(request, member, *args, **kwargs)

    return guarded


def for_those_who(check: Check) -> Callable[[View], View]:
    """Return a decorator for a page of those members whom ``check`` lets pass; others are told what their role lacks.

    So is who may see the page but not do what they asked for there.
    """

    def decorate(view: View) -> View:
        @for_members
        @wraps(view)
        def guarded(request: HttpRequest, member: Membership, *args: str, **kwargs: str) -> HttpResponseBase:
            try:
                check(member)
                return view(request, member, *args, **kwargs)
            except PolicyDenied as error:
                return refused(request, error)

        return guarded

    return decorate


def refused(request: HttpRequest, error: KeysteadError) -> HttpResponse:
    """Return the page that says why something is not done; 403."""
    return render(request, "console/refused.html", {"error": error}, status=403)


def _membership(request: HttpRequest) -> Membership | None:
    return organizations.membership_of(request.user) if isinstance(request.user, Person) else None
