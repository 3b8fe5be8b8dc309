"""The console's pages: each reads a form, calls one operation, and shows the result."""

from secrets import token_bytes

from django.conf import settings
from django.contrib.auth import login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from keystead.errors import KeysteadError
from keystead.server.console.access import for_members, now
from keystead.server.console.forms import KeyForm, SetupForm
from keystead.server.form_errors import explain, status_of
from keystead.server.identity import operations as identity
from keystead.server.keys import operations as api_keys
from keystead.server.keys.models import Purpose
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership
from keystead.server.organizations.roles import Permission
from keystead.server.suspensions import operations as suspensions


@require_safe
def overview(request: HttpRequest) -> HttpResponseBase:
    """Say what this server is and what to do next; before it is set up, how to begin."""
    if not request.user.is_authenticated and not identity.administrator_exists():
        return redirect("setup")
    return _overview(request)


@for_members
def _overview(request: HttpRequest, member: Membership) -> HttpResponse:
    server = settings.KEYSTEAD
    page = {
        "member": member,
        "base_url": server.base_url,
        "is_test_upstream": server.upstream_api_key is None,
        "may_connect": organizations.may(member, Permission.UPSTREAMS_MANAGE),
    }
    return render(request, "console/overview.html", page)


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def setup(request: HttpRequest) -> HttpResponseBase:
    """Make the first administrator with the one-time code, and sign them in.

    The code travels in the address's fragment, which no browser sends: a script moves it into the form.
    """
    if identity.administrator_exists():
        return render(request, "console/setup_done.html", status=410)
    form = SetupForm(request.POST or None)
    if form.is_valid():
        try:
            member = _create_administrator(form)
        except KeysteadError as error:
            explain(form, error)
        else:
            login(request, member.person, backend=settings.AUTHENTICATION_BACKENDS[0])
            return redirect("overview")
    return render(request, "console/setup.html", {"form": form}, status=status_of(form))


def _create_administrator(form: SetupForm) -> Membership:
    given = form.cleaned_data
    return identity.create_first_administrator(
        code=given["code"],
        email=given["email"],
        password=given["password"],
        name=given["name"],
        organization_name=given["organization"],
        now=now(),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def keys(request: HttpRequest, member: Membership) -> HttpResponse:
    """List the keys, and create one: the answer to that is the only page that ever shows it."""
    form = KeyForm(member, request.POST or None)
    if form.is_valid():
        try:
            key, secret = api_keys.issue(
                member,
                form.cleaned_data["name"],
                purpose=Purpose(form.cleaned_data["purpose"]),
                expires_at=form.expires_at(now()),
                now=now(),
                random_bytes=token_bytes,
            )
        except KeysteadError as error:
            explain(form, error)
        else:
            page = {"key": key, "secret": secret.reveal(), "base_url": settings.KEYSTEAD.base_url}
            return render(request, "console/key_created.html", page)
    page = {
        "form": form,
        "member": member,
        "keys": api_keys.list_for(member),
        "now": now(),
        "suspended": {one.subject for one in suspensions.living(member.organization)},
        "may_suspend": organizations.may(member, suspensions.KEY.permission),
    }
    return render(request, "console/keys.html", page, status=status_of(form))


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def revoke_key(request: HttpRequest, member: Membership, key_id: str) -> HttpResponseBase:
    """Ask before revoking a key, then revoke it."""
    key = api_keys.find(member, key_id)
    if key is None:
        raise Http404
    if request.method == "POST":
        api_keys.revoke(key, member, now())
        return redirect("keys")
    return render(request, "console/key_revoke.html", {"key": key, "member": member})
