"""Who is looking at a page, and when."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase

from keystead.clock import SYSTEM_CLOCK
from keystead.server.console import errors
from keystead.server.identity.models import Person
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership


def now() -> datetime:
    """Return the time of this request (UTC)."""
    return datetime.fromtimestamp(SYSTEM_CLOCK.now(), UTC)


def for_members(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Decorate a page so that it is called with the signed-in person's membership as second argument.

    A stranger is sent to sign in; somebody who belongs to no organization is told so.
    """

    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, *args: str, **kwargs: str) -> HttpResponseBase:
        member = _membership(request)
        if member is None:
            return errors.page(request, errors.NO_ORGANIZATION)
        return view(request, member, *args, **kwargs)

    return guarded


def _membership(request: HttpRequest) -> Membership | None:
    return organizations.membership_of(request.user) if isinstance(request.user, Person) else None
