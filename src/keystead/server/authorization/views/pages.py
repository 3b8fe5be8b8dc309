"""What the pages for people share: who acts, a form from our own page, and a message at the end."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from keystead.server.authorization import lifetimes
from keystead.server.authorization.checks import same_origin, scopes, suspended
from keystead.server.authorization.models import Client
from keystead.server.authorization.surroundings import issuer, server
from keystead.server.identity.models import Person
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership
from keystead.server.suspensions import operations as suspensions
from keystead.wire import ids

Rest = ParamSpec("Rest")


@dataclass(frozen=True, slots=True)
class Message:
    """A page that only says something."""

    status: int
    title: str
    text: str


FOREIGN_FORM = Message(
    403, "That form came from another site", "Nothing was done. Open the address your device shows, and type its code."
)
NOWHERE = Message(403, "You belong to no organization", "Ask an administrator to invite you, then try again.")


@dataclass(frozen=True, slots=True)
class Acting:
    """The signed-in person, as a member of the organization that will pay."""

    membership: Membership


def acting(request: HttpRequest) -> Acting | HttpResponse:
    """Return who acts, or the page that says why nobody can."""
    person = request.user
    membership = organizations.membership_of(person) if isinstance(person, Person) else None
    if membership is None:
        return message(request, NOWHERE)
    reason = suspensions.reason_for(membership.organization_id, ids.dump("membership", membership.pk))
    return message(request, _suspended(reason)) if reason else Acting(membership)


def _suspended(reason: str) -> Message:
    return Message(403, "Your membership is suspended", f"{reason.rstrip('.')}. Ask an administrator to lift it.")


def suspended_client(client: Client, member: Membership) -> Message | None:
    """Return what a member is told of a client that is suspended in their organization."""
    found = suspended.of_client(client, member.organization_id)
    if found is None:
        return None
    move = f"Ask an administrator of {member.organization.name} to lift it, then start the sign-in again."
    return Message(403, f"{client.name} is suspended", f"{found.reason.rstrip('.')}. Nothing was signed in. {move}")


def own_page_only(
    view: Callable[Concatenate[HttpRequest, Rest], HttpResponse],
) -> Callable[Concatenate[HttpRequest, Rest], HttpResponse]:
    """Refuse a form that no page of ours sent (:mod:`~keystead.server.authorization.checks.same_origin`)."""

    @wraps(view)
    def checked(request: HttpRequest, /, *args: Rest.args, **kwargs: Rest.kwargs) -> HttpResponse:
        ours = {issuer(), f"{request.scheme}://{request.get_host()}"}
        if not same_origin.holds(request.headers, ours):
            return message(request, FOREIGN_FORM)
        return view(request, *args, **kwargs)

    return checked


def lasting(client: Client) -> str:
    """Return in words how long a sign-in of this client holds (ASVS 5.0 V10.7.2)."""
    if "refresh_token" not in client.grant_types:
        return f"{server().access_token_seconds // 60} minutes"
    unused, longest = server().refresh_token_days, lifetimes.SIGN_IN.days
    return f"until you end it under Devices; {unused} days when it is not used, {longest} days at most"


def wishes(scope: str, member: Membership) -> list[str]:
    """Return what a client asks for, in words; what the member's role does not have is left out."""
    return [scopes.MEANINGS[name] for name in scopes.effective(scope, member.role).split()]


def show(request: HttpRequest, page: str, content: dict[str, Any], status: int = 200) -> HttpResponse:
    """Return one of this package's pages."""
    return render(request, f"authorization/{page}.html", content, status=status)


def message(request: HttpRequest, text: Message) -> HttpResponse:
    """Return a page that only says something."""
    return show(request, "message", {"message": text}, text.status)
