"""Where the document is served."""

import json
from functools import cache
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from keystead.server.site.openapi.document import document

PATH: Final = "openapi.json"


@require_safe
def served(_request: HttpRequest) -> HttpResponse:
    """Answer with the OpenAPI document."""
    return HttpResponse(_body(), content_type="application/json", headers={"Cache-Control": "public, max-age=300"})


@cache
def _body() -> bytes:
    return json.dumps(document(), separators=(",", ":")).encode()
