"""What every page of the control plane carries and writes down."""

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse

DEFAULTS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Cache-Control": "no-store",
}
"""Set unless the view has set its own: pages show keys, names and one-time codes, so none may be kept."""


def security_headers(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Return a middleware that adds :data:`DEFAULTS` to every answer."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        for name, value in DEFAULTS.items():
            response.headers.setdefault(name, value)
        return response

    return middleware


def browser_noted(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Return a middleware that keeps "last seen" of browser sessions."""
    from keystead.server.identity import browser_sessions  # its models need a Django that is set up

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        browser_sessions.note(request)
        return response

    return middleware
