"""Addresses of what programs of administrators ask."""

from typing import Final

from django.urls import path

from keystead.server.api.documents import CALLED
from keystead.server.api.limits import views

NAMES: Final = {"": "s", "/effective": "s_effective", "/audit": "s_audit", "/<str:limit_id>": ""}
"""What the name of an address ends with, after that of its object."""

urlpatterns = [
    path(f"v1/organizations/{called}s{rest}", view, name=f"api_{called}{NAMES[rest]}")
    for measure, called in CALLED.items()
    for rest, view in views(measure).items()
]
