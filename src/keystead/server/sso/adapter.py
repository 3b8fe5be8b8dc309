"""Who may sign in without their organization's identity provider."""

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode

from keystead.server.identity.adapter import AccountAdapter
from keystead.server.identity.models import Person
from keystead.server.organizations.roles import Role
from keystead.server.sso import connections, domains


class SsoAccountAdapter(AccountAdapter):
    """Sends people whose organization requires single sign-on there, whichever other way they came."""

    def pre_login(self, request: HttpRequest, user: AbstractBaseUser, **kwargs: Any) -> HttpResponse | None:
        """Return where to send the person instead of signing them in, or None."""
        if isinstance(user, Person) and must_use_it(user):
            wanted = request.POST.get("next") or request.GET.get("next", "")
            return redirect(f"{reverse('sso')}?{urlencode({'required': 'yes', 'next': wanted})}")
        response: HttpResponse | None = super().pre_login(request, user, **kwargs)
        return response


def must_use_it(person: Person) -> bool:
    """Return whether the person comes in by single sign-on only.

    Administrators of the organization may always use their password, so that a connection that broke can be mended; and
    without a connection that is on, nobody is locked out.
    """
    domain = domains.owner(domains.of_address(person.email))
    if domain is None or not domain.required:
        return False
    there = person.memberships.filter(organization=domain.organization, deactivated_at=None)
    is_administrator = there.filter(role=Role.ADMIN.value).exists()
    return not is_administrator and any(connections.enabled_for(domain.organization))
