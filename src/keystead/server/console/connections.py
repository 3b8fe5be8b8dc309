"""Setting single sign-on up, by an organization's own administrator."""

import json
from functools import wraps
from typing import Any, Final, Protocol

from django.conf import settings
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from keystead.errors import ConfigurationError, KeysteadError
from keystead.secret import Secret
from keystead.server.console.access import for_those_who, now
from keystead.server.console.single_sign_on import TRIAL, leave, start_address
from keystead.server.console.sso_forms import DomainForm, NewOidcForm, NewSamlForm, OidcForm, SamlForm
from keystead.server.form_errors import UNPROCESSABLE, explain, status_of
from keystead.server.organizations.models import Membership
from keystead.server.sso import connections, conversation, domains, saml_settings
from keystead.server.sso.attempts import Wish
from keystead.server.sso.models import Connection, Kind
from keystead.server.sso.network import sender
from keystead.server.sso.oidc_settings import OidcSettings
from keystead.server.sso.saml import Here
from keystead.server.sso.xml_signature import LARGEST
from keystead.wire.http import Request


class ConnectionView(Protocol):
    """A page about one connection."""

    def __call__(self, request: HttpRequest, member: Membership, connection: Connection) -> HttpResponseBase: ...


for_administrators = for_those_who(connections.require)


def about_one(view: ConnectionView) -> Any:
    """Decorate a page about one connection of the administrator's own organization."""

    @for_administrators
    @wraps(view)
    def found(request: HttpRequest, member: Membership, connection_id: str) -> HttpResponseBase:
        connection = connections.find(member, connection_id)
        if connection is None:
            raise Http404
        return view(request, member, connection)

    return found


@require_safe
@for_administrators
def overview(request: HttpRequest, member: Membership) -> HttpResponse:
    """List connections and domains."""
    return _overview(request, member, DomainForm())


def _overview(request: HttpRequest, member: Membership, form: Form) -> HttpResponse:
    page = {
        "form": form,
        "connections": connections.all_of(member),
        "domains": domains.all_of(member),
        "record": domains.RECORD,
    }
    return render(request, "console/connections.html", page, status=status_of(form))


@require_http_methods(["GET", "HEAD", "POST"])
@for_administrators
def new_oidc(request: HttpRequest, member: Membership) -> HttpResponseBase:
    """Ask an issuer for its metadata, and keep it as a connection that is off."""
    form = NewOidcForm(request.POST or None)
    if form.is_valid():
        try:
            metadata = conversation.discover(form.cleaned_data["issuer"], sender(settings.KEYSTEAD))
            values = OidcSettings(metadata, asks_consent="offline_access" in metadata.scopes).to_json()
            connection = connections.create(member, Kind.OIDC, form.cleaned_data["name"], values, now())
        except KeysteadError as error:
            explain(form, error)
        else:
            return redirect("connection", connection.wire_id)
    return render(request, "console/connection_new.html", {"form": form, "kind": "oidc"}, status=status_of(form))


@require_http_methods(["GET", "HEAD", "POST"])
@for_administrators
def new_saml(request: HttpRequest, member: Membership) -> HttpResponseBase:
    """Read an identity provider's metadata, and keep them as a connection that is off."""
    form = NewSamlForm(request.POST or None, request.FILES or None)
    if form.is_valid():
        try:
            values = saml_settings.from_metadata(_document(form), now()).to_json()
            connection = connections.create(member, Kind.SAML, form.cleaned_data["name"], values, now())
        except KeysteadError as error:
            explain(form, error)
        else:
            return redirect("connection", connection.wire_id)
    return render(request, "console/connection_new.html", {"form": form, "kind": "saml"}, status=status_of(form))


def _document(form: NewSamlForm) -> bytes:
    """Return the metadata from the source that was given."""
    given = form.cleaned_data
    if given["file"]:
        return bytes(given["file"].read(LARGEST + 1))
    if given["text"]:
        return str(given["text"]).strip().encode()
    response = sender(settings.KEYSTEAD)(Request("GET", given["url"].strip()))
    if response.status != 200:
        raise ConfigurationError(f"That address answers {response.status}.", hint="Check it, or upload the metadata.")
    return response.body


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@about_one
def connection(request: HttpRequest, member: Membership, connection: Connection) -> HttpResponseBase:
    """Show a connection, and keep what the administrator changes."""
    make, save, facts = _PAGES[Kind(connection.kind)]
    form = make(connection, request.POST or None)
    if form.is_valid():
        try:
            save(member, connection, form)
        except KeysteadError as error:
            explain(form, error)
        else:
            return redirect("connection", connection.wire_id)
    page = {
        "form": form,
        "connection": connection,
        "sign_in_link": settings.KEYSTEAD.base_url + start_address(connection, ""),
        "has_domain": any(one.verified_at for one in domains.all_of(member)),
        **facts(connection, form),
    }
    return render(request, "console/connection.html", page, status=status_of(form))


def _oidc_facts(connection: Connection, form: Any) -> dict[str, Any]:
    return {
        "metadata": form.kept.metadata,
        "redirect_uri": connections.redirect_uri(connection, settings.KEYSTEAD.base_url),
        "is_complete": bool(connection.settings.get("client_id")),
    }


def _saml_facts(connection: Connection, form: Any) -> dict[str, Any]:
    here = Here.of(settings.KEYSTEAD.base_url, connection.wire_id)
    return {"saml": form.kept, "here": here, "is_complete": True}


def _save_oidc(member: Membership, connection: Connection, form: Any) -> None:
    """Keep the form, and what discovery says now."""
    metadata = conversation.discover(form.kept.metadata.issuer, sender(settings.KEYSTEAD))
    given = form.cleaned_data
    chosen = OidcSettings(
        metadata, given["client_id"].strip(), given["scope"], given["groups_claim"].strip(), given["asks_consent"]
    )
    connections.update(member, connection, chosen.to_json(), form.rules(), now())
    if given["client_secret"]:
        connections.set_secret(member, connection, Secret(given["client_secret"]), now())


def _save_saml(member: Membership, connection: Connection, form: Any) -> None:
    """Keep the form, and newer metadata if there are any; they must be of the same identity provider."""
    newer = form.cleaned_data["metadata"].strip()
    known = saml_settings.from_metadata(newer.encode(), now()) if newer else form.kept
    if known.entity_id != form.kept.entity_id:
        raise ConfigurationError(
            "These metadata are another identity provider's.", hint="Make a new connection for it."
        )
    connections.update(member, connection, {**known.to_json(), **form.chosen()}, form.rules(), now())


_PAGES: Final = {Kind.OIDC: (OidcForm, _save_oidc, _oidc_facts), Kind.SAML: (SamlForm, _save_saml, _saml_facts)}
"""For each kind of connection: its form, what keeps it, and what else its page shows."""


@require_POST
@about_one
def switch(request: HttpRequest, member: Membership, connection: Connection) -> HttpResponseBase:
    """Switch a connection on or off."""
    try:
        connections.switch(member, connection, on=request.POST.get("on") == "yes", now=now())
    except KeysteadError as error:
        return _fault(request, error)
    return redirect("connection", connection.wire_id)


@require_http_methods(["GET", "HEAD", "POST"])
@about_one
def delete(request: HttpRequest, member: Membership, connection: Connection) -> HttpResponseBase:
    """Ask before deleting a connection, then delete it."""
    if request.method == "POST":
        connections.delete(member, connection, now())
        return redirect("connections")
    return render(request, "console/connection_delete.html", {"connection": connection})


@require_safe
@about_one
def try_out(request: HttpRequest, member: Membership, connection: Connection) -> HttpResponseBase:  # noqa: ARG001
    """Run a real sign-in that signs nobody in."""
    return leave(request, connection, Wish("/", trial=True))


@require_safe
@about_one
def trial(request: HttpRequest, member: Membership, connection: Connection) -> HttpResponseBase:  # noqa: ARG001
    """Show what the last trial in this browser brought."""
    result = request.session.get(TRIAL)
    if result is None or result["connection"] != connection.wire_id:
        return redirect("connection", connection.wire_id)
    said = [(name, _shown(value)) for name, value in sorted(result.get("said", {}).items())]
    return render(request, "console/connection_trial.html", {"connection": connection, "result": result, "said": said})


def _shown(value: Any) -> str:
    """Return a claim as an administrator knows it: text as it is, a list with commas, all else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False)


@require_POST
@for_administrators
def claim_domain(request: HttpRequest, member: Membership) -> HttpResponseBase:
    """Add a domain to the list."""
    form = DomainForm(request.POST)
    if form.is_valid():
        try:
            domains.claim(member, form.cleaned_data["domain"], now())
        except KeysteadError as error:
            explain(form, error)
        else:
            return redirect("connections")
    return _overview(request, member, form)


@require_POST
@for_administrators
def change_domain(request: HttpRequest, member: Membership, domain_id: str) -> HttpResponseBase:
    """Look the domain's record up, let it require single sign-on or no longer, or give it up."""
    domain = domains.find(member, domain_id)
    if domain is None:
        raise Http404
    action = request.POST.get("action")
    if action == "release" and domain.verified_at is not None and request.POST.get("sure") != "yes":
        return render(request, "console/domain_release.html", {"domain": domain})
    try:
        if action == "verify":
            domains.verify(member, domain, domains.txt_records, now())
        elif action in {"require", "relax"}:
            domains.set_required(member, domain, required=action == "require", now=now())
        elif action == "release":
            domains.release(member, domain, now())
    except KeysteadError as error:
        return _fault(request, error)
    return redirect("connections")


def _fault(request: HttpRequest, error: KeysteadError) -> HttpResponse:
    return render(request, "console/sso_fault.html", {"error": error, "is_setting_up": True}, status=UNPROCESSABLE)
