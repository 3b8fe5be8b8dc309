"""The pages people see when something did not work: what happened, and what to do."""

import sys
from dataclasses import dataclass
from typing import Final

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


@dataclass(frozen=True, slots=True)
class Fault:
    """One error page."""

    status: int
    title: str
    advice: str


BAD_REQUEST: Final = Fault(400, "That request could not be understood", "Go back, reload the page, and try once more.")
FORBIDDEN: Final = Fault(
    403, "You may not do that", "Your role in this organization does not include it. Ask an administrator."
)
NO_ORGANIZATION: Final = Fault(
    403, "You belong to no organization", "Ask an administrator of this server to add you to one."
)


def suspended(reason: str) -> Fault:
    """Return what a suspended member is told wherever they go."""
    return Fault(403, "Your membership is suspended", f"{reason.rstrip('.')}. Ask an administrator to lift it.")


STALE_FORM: Final = Fault(
    403,
    "That form is no longer valid",
    "It was open for too long, or you signed in again in another tab. Go back, reload the page, and send it again.",
)
NOT_FOUND: Final = Fault(404, "There is no such page", "Check the address, or start from the overview.")
FAILURE: Final = Fault(
    500,
    "Something broke on this server",
    "Nothing you entered is lost on purpose; try again. If it repeats, whoever runs the server finds it in the log.",
)
AWAY: Final = Fault(
    503,
    "The database does not answer",
    "Try again shortly. If it lasts, whoever runs the server finds why in the log.",
)


def page(request: HttpRequest, fault: Fault) -> HttpResponse:
    """Return the page for ``fault``."""
    return render(request, "console/error.html", {"fault": fault}, status=fault.status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """Answer 400."""
    return page(request, BAD_REQUEST)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """Answer 403."""
    return page(request, FORBIDDEN)


def stale_form(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001
    """Answer 403 to a form without a valid cross-site request token."""
    return page(request, STALE_FORM)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """Answer 404."""
    return page(request, NOT_FOUND)


def failure(_request: HttpRequest) -> HttpResponse:
    """Answer 500, or 503 when the database is away; without touching it, for it may be what broke.

    Clients try again after 503 and keep what they have; after 500 or 401 some give up, or sign out (G-06).
    """
    from django.template.loader import render_to_string

    fault = AWAY if isinstance(sys.exception(), OperationalError | InterfaceError) else FAILURE
    response = HttpResponse(render_to_string("console/error.html", {"fault": fault}), status=fault.status)
    if fault is AWAY:
        response.headers["Retry-After"] = "5"
    return response
