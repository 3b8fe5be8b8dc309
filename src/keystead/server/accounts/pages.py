"""What the pages of one's own account share: who looks, a page that only says something, and errors in a form."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from keystead.server.identity.models import Person

METHODS = ["GET", "HEAD", "POST"]
UNPROCESSABLE = 422


@dataclass(frozen=True, slots=True)
class Message:
    """A page that only says something, and leads on.

    Attributes:
        name: of the address that it leads to.
        button: what it is called there.
    """

    status: int
    title: str
    text: str
    name: str
    button: str


TOO_OFTEN = Message(
    429, "That was too often", "Nothing was done. Wait an hour, then try once more.", "overview", "To the overview"
)
NO_LINK = Message(
    410,
    "This link does not work any more",
    "A link works once, for one hour, in the browser that opened it. Ask for a new one.",
    "forgotten",
    "Ask for a new link",
)
RESET = Message(
    200,
    "Your password is changed",
    "All browsers that were signed in as you have been signed out. Sign in with the new password.",
    "account_login",
    "Sign in",
)


def for_person(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Call the page with the signed-in person as second argument; a stranger is sent to sign in."""

    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, **kwargs: str) -> HttpResponseBase:
        assert isinstance(request.user, Person)
        return view(request, request.user, **kwargs)

    return guarded


def say(request: HttpRequest, message: Message) -> HttpResponse:
    """Return a page that only says something."""
    return render(request, "accounts/message.html", {"message": message}, status=message.status)
