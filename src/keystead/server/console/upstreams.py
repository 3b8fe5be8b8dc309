"""Connecting upstreams: what an organization's own administrator does."""

from functools import wraps
from typing import Any, Final

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from keystead.errors import ConfigurationError, KeysteadError
from keystead.server import cloud_names
from keystead.server.console.access import for_those_who, now
from keystead.server.console.upstream_forms import KINDS, CredentialForm, UpstreamForm, as_typed
from keystead.server.form_errors import explain, status_of
from keystead.server.organizations.models import Membership
from keystead.server.upstream_shape import Kind
from keystead.server.upstreams import credentials, methods, naming, operations
from keystead.server.upstreams.methods import Method
from keystead.server.upstreams.models import Upstream

_METHODS: Final = ["GET", "HEAD", "POST"]


for_administrators = for_those_who(operations.require)


def about_one(view: Any) -> Any:
    """Decorate a page about one upstream of the administrator's own organization."""

    @for_administrators
    @wraps(view)
    def found(request: HttpRequest, member: Membership, upstream_id: str, **more: str) -> HttpResponseBase:
        upstream = operations.find(member, upstream_id)
        if upstream is None:
            raise Http404
        return view(request, member, upstream, **more)  # type: ignore[no-any-return]

    return found


def usable(kind: Kind) -> list[Method]:
    """Return how this version can prove to an upstream of that kind who asks."""
    return [row for row in methods.METHODS[kind] if (kind, row.id) in credentials.USABLE]


@require_safe
@for_administrators
def overview(request: HttpRequest, member: Membership) -> HttpResponse:
    """List the upstreams in their order."""
    rows = [(one, KINDS[Kind(one.kind)][0]) for one in operations.all_of(member)]
    return render(request, "console/upstreams.html", {"upstreams": rows})


@require_safe
@for_administrators
def kinds(request: HttpRequest, member: Membership) -> HttpResponse:  # noqa: ARG001
    """Let the administrator choose what to connect."""
    offered = [(kind.value, *KINDS[kind]) for kind in KINDS]
    return render(request, "console/upstream_kinds.html", {"kinds": offered})


@require_http_methods(_METHODS)
@for_administrators
def create(request: HttpRequest, member: Membership, kind: str) -> HttpResponseBase:
    """Connect a new upstream; its credential is asked for next."""
    chosen = next((one for one in KINDS if one == kind), None)
    if chosen is None:
        raise Http404
    form = UpstreamForm(chosen, request.POST or None)
    if form.is_valid():
        try:
            upstream = operations.create(member, chosen, form.draft, settings.KEYSTEAD, now())
        except KeysteadError as error:
            explain(form, error)
        else:
            return redirect("upstream", upstream.wire_id)
    page = {"form": form, "title": KINDS[chosen][0]}
    return render(request, "console/upstream_new.html", page, status=status_of(form))


@require_http_methods(_METHODS)
@about_one
def edit(request: HttpRequest, member: Membership, upstream: Upstream) -> HttpResponseBase:
    """Show an upstream, and keep what the administrator changes."""
    kind = Kind(upstream.kind)
    form = UpstreamForm(kind, request.POST or None, initial=as_typed(upstream))
    if form.is_valid():
        seen = form.cleaned_data["version"] or 0
        try:
            operations.change(member, upstream, form.draft, seen, settings.KEYSTEAD, now())
        except KeysteadError as error:
            explain(form, error)
        else:
            return redirect("upstream", upstream.wire_id)
    page = {
        "form": form,
        "upstream": upstream,
        "kind": KINDS[kind][0],
        "methods": usable(kind),
        "credential": _described(upstream),
        "names": naming.together(naming.all_of(upstream)),
        "names_of": cloud_names.VERSION,
        "method": next((row.label for row in methods.METHODS[kind] if row.id == upstream.method), ""),
    }
    return render(request, "console/upstream.html", page, status=status_of(form))


def _described(upstream: Upstream) -> list[tuple[str, str]]:
    try:
        return credentials.described(upstream)
    except ConfigurationError as error:
        return [("Cannot be opened", error.hint or "")]


@sensitive_post_parameters()
@sensitive_variables("form")
@require_http_methods(_METHODS)
@about_one
def credential(request: HttpRequest, member: Membership, upstream: Upstream, method: str) -> HttpResponseBase:
    """Take another credential, which is never shown again."""
    row = next((one for one in usable(Kind(upstream.kind)) if one.id == method), None)
    if row is None:
        raise Http404
    kept = operations.fields_of(upstream) if upstream.method == method else {}
    form = CredentialForm(row, kept, request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            operations.set_credential(member, upstream, method, form.given, settings.KEYSTEAD, now())
        except KeysteadError as error:
            explain(form, error)
        else:
            return redirect("upstream", upstream.wire_id)
    page = {"form": form, "upstream": upstream, "method": row}
    return render(request, "console/upstream_credential.html", page, status=status_of(form))


@require_POST
@about_one
def test(_request: HttpRequest, member: Membership, upstream: Upstream) -> HttpResponseBase:
    """Ask the upstream once, as requests do, and show what became of it."""
    outcome = credentials.tried(upstream, settings.KEYSTEAD)
    operations.tested(member, upstream, works=outcome.works, result=outcome.sentence, now=now())
    return redirect("upstream", upstream.wire_id)


@require_POST
@about_one
def switch(request: HttpRequest, member: Membership, upstream: Upstream) -> HttpResponseBase:
    """Let requests go there, or no longer."""
    operations.switch(member, upstream, on=request.POST.get("on") == "yes", now=now())
    return redirect("upstream", upstream.wire_id)


@require_POST
@about_one
def move(request: HttpRequest, member: Membership, upstream: Upstream) -> HttpResponseBase:
    """Ask an upstream one place earlier or later."""
    operations.move(member, upstream, request.POST.get("to") == "earlier", now())
    return redirect("upstreams")


@require_http_methods(_METHODS)
@about_one
def remove(request: HttpRequest, member: Membership, upstream: Upstream) -> HttpResponseBase:
    """Ask before an upstream is removed, then remove it."""
    if request.method == "POST":
        operations.remove(member, upstream, now())
        return redirect("upstreams")
    return render(request, "console/upstream_remove.html", {"upstream": upstream})
