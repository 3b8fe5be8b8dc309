"""The endpoint: ``/scim/v2/<organization>/…``."""

import json
from datetime import UTC, datetime
from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from keystead.clock import SYSTEM_CLOCK
from keystead.server.scim import tokens


@csrf_exempt  # no browser's cookie counts here
def endpoint(request: HttpRequest, organization_id: str, path: str = "") -> HttpResponse:
    """Answer an identity provider."""
    # On demand: the models of the schemas take a third of a second to build, and most servers are never asked.
    from scim2_server.requests import ScimRequest

    from keystead.server.scim import service

    now = datetime.fromtimestamp(getattr(settings, "KEYSTEAD_CLOCK", SYSTEM_CLOCK).now(), UTC)
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    token = tokens.authenticate(bearer.strip(), organization_id, now) if scheme.lower() == "bearer" else None
    asked = ScimRequest(
        method=request.method or "GET",
        base_url=f"{settings.KEYSTEAD.base_url}/scim/v2/{quote(organization_id, safe='')}",  # it goes into headers
        path="/" + path.removesuffix(".scim"),
        query={name: str(value) for name, value in request.GET.items()},
        headers=dict(request.headers.items()),
        body=_body(request, service.LARGEST_BODY),
    )
    said = service.answer(asked, token, now)
    content = b"" if said.body is None else json.dumps(said.body).encode()
    response = HttpResponse(content, status=said.status.value, headers=said.headers)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _body(request: HttpRequest, largest: int) -> bytes:
    """Return the body, up to one byte more than is taken; one that breaks off is an incomplete document."""
    try:
        return request.read(largest + 1)
    except UnreadablePostError:
        return b""
