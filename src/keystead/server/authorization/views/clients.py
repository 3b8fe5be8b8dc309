"""The client registry's pages, for an organization's administrators."""

from secrets import token_bytes

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_safe

from keystead.errors import KeysteadError, UsageError
from keystead.secret import Secret
from keystead.server.authorization import registry
from keystead.server.authorization.models import Client
from keystead.server.authorization.surroundings import issuer, now, server
from keystead.server.authorization.views.client_forms import ClientForm
from keystead.server.authorization.views.devices import for_member
from keystead.server.authorization.views.pages import Message, message, own_page_only, show
from keystead.server.form_errors import explain, status_of
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership
from keystead.server.organizations.roles import Permission
from keystead.server.suspensions import operations as suspensions

_METHODS = ["GET", "HEAD", "POST"]
NOT_YOURS = Message(
    403, "You may not do that", "Clients are registered by administrators of your organization. Ask one of them."
)


@require_safe
@for_member
def clients(request: HttpRequest, member: Membership) -> HttpResponse:
    """List the organization's clients."""
    if not organizations.may(member, Permission.CLIENTS_MANAGE):
        return message(request, NOT_YOURS)
    return show(
        request, "clients", {"clients": registry.list_for(member), "registration_is_on": server().dynamic_registration}
    )


@require_http_methods(_METHODS)
@for_member
def new_client(request: HttpRequest, member: Membership) -> HttpResponse:
    """Show the form, or register what was typed; the answer is the only page that ever shows its secret."""
    if not organizations.may(member, Permission.CLIENTS_MANAGE):
        return message(request, NOT_YOURS)
    return _register(request, member) if request.method == "POST" else _form(request, ClientForm(member))


@own_page_only
def _register(request: HttpRequest, member: Membership) -> HttpResponse:
    form = ClientForm(member, request.POST)
    if form.is_valid():
        try:
            client, secret = registry.register(member, form.registration(), now(), token_bytes)
        except KeysteadError as error:
            explain(form, error)
        else:
            return _show(request, client, secret)
    return _form(request, form)


def _form(request: HttpRequest, form: ClientForm) -> HttpResponse:
    return show(request, "client_new", {"form": form}, status_of(form))


@require_http_methods(_METHODS)
@for_member
def client(request: HttpRequest, member: Membership, client_id: str) -> HttpResponse:
    """Show one client; give it a new secret, end its old one, or disable it."""
    found = registry.find(member, client_id)
    if found is None:
        raise Http404
    return _change(request, found, member) if request.method == "POST" else _show(request, found, None)


@own_page_only
def _change(request: HttpRequest, found: Client, member: Membership) -> HttpResponse:
    action = request.POST.get("action")
    if action == "rotate":
        return _show(request, found, registry.rotate_secret(found, member, now(), token_bytes))
    if action == "end_old":
        registry.end_replaced_secret(found, member, now())
    elif action == "suspend":
        return _suspend(request, found, member)
    elif action == "lift":
        suspensions.lift(member, found.client_id, now())
    elif action == "disable":
        registry.disable(found, member, now())
        return redirect("clients")
    return redirect("client", found.client_id)


def _suspend(request: HttpRequest, found: Client, member: Membership) -> HttpResponse:
    try:
        suspensions.suspend(member, found.client_id, request.POST.get("reason", ""), now())
    except UsageError as error:
        return message(request, Message(422, "It is not suspended", f"{error.message} {error.hint}"))
    return redirect("client", found.client_id)


def _show(request: HttpRequest, found: Client, secret: Secret | None) -> HttpResponse:
    content = {
        "suspended": suspensions.reason_for(found.organization_id, found.client_id),
        "client": found,
        "secret": None if secret is None else secret.reveal(),
        "secrets": registry.live_secrets(found, now()),
        "grants": [registry.GRANTS.get(name, name) for name in found.grant_types],
        "issuer": issuer(),
    }
    return show(request, "client", content)
