"""The second step of signing in, between the password and the session (django-allauth's login stages)."""

from typing import Any

from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.login import record_authentication
from allauth.account.stages import LoginStage
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from keystead.server.factors import operations as factors
from keystead.server.identity.models import Person

KEY = "keystead_second_factor"


class SecondFactorStage(LoginStage):
    """Asks for the second factor of whoever has one and did not come with a passkey, which is two in one."""

    key = KEY
    urlname = "second_factor"

    def handle(self) -> tuple[HttpResponse | None, bool]:
        """Return the page to go on with, or None."""
        person = self.login.user
        if not isinstance(person, Person) or not factors.has_any(person) or came_by_passkey(self.request, person):
            return None, True
        return redirect("second_factor"), True


def proved(request: HttpRequest, person: Person, kind: str) -> None:
    """Write the step down in the browser's session.

    Args:
        request: the browser's.
        person: who is signing in.
        kind: ``totp``, ``recovery_codes`` or ``webauthn``.
    """
    record_authentication(request, person, method="mfa", type=kind)


def came_by_passkey(request: HttpRequest, person: Person) -> bool:
    """Return whether this sign-in began with a passkey."""
    records: list[dict[str, Any]] = get_authentication_records(request, person)
    return any(record.get("type") == "webauthn" for record in records)
