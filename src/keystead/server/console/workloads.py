"""Letting pipelines in: service accounts, the issuers an organization trusts, and the rules between them."""

from collections.abc import Callable
from typing import Any, Final, Protocol

from django.conf import settings
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from keystead.errors import KeysteadError
from keystead.server.console.access import for_those_who, now
from keystead.server.console.workload_forms import AccountForm, IssuerForm, RuleForm, TokenForm
from keystead.server.form_errors import explain, status_of
from keystead.server.keys import federation, identity_tokens, service_accounts
from keystead.server.keys.identity_tokens import Examined, Trial
from keystead.server.keys.issuer_keys import Access
from keystead.server.keys.models import FederationIssuer, FederationRule, ServiceAccount
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership
from keystead.server.organizations.roles import Permission
from keystead.server.outbound import reach
from keystead.server.suspensions import operations as suspensions
from keystead.wire import ids

_METHODS: Final = ["GET", "HEAD", "POST"]
Row = ServiceAccount | FederationIssuer | FederationRule


class _Kind(Protocol):
    """What the pages do alike for accounts, issuers and rules."""

    def __call__(self, member: Membership, data: Any) -> Form: ...


def require(member: Membership) -> None:
    """Check that ``member`` may let workloads in.

    Raises:
        PolicyDenied: their role may not.
    """
    for permission in (Permission.FEDERATION_MANAGE, Permission.SERVICE_ACCOUNTS_MANAGE):
        organizations.require(member, permission, "let workloads in")


for_administrators = for_those_who(require)


@require_safe
@for_administrators
def overview(request: HttpRequest, member: Membership) -> HttpResponse:
    """List accounts, issuers and rules."""
    page = {
        "accounts": service_accounts.list_for(member),
        "issuers": federation.issuers_for(member),
        "rules": federation.rules_for(member),
        "suspended": {one.subject for one in suspensions.living(member.organization)},
    }
    return render(request, "console/workloads.html", page)


_TITLES: Final = {"accounts": "service account", "issuers": "issuer", "rules": "rule"}
_FORMS: Final[dict[str, _Kind]] = {
    "accounts": lambda _member, data: AccountForm(data),
    "issuers": lambda _member, data: IssuerForm(data, initial={"audience": settings.KEYSTEAD.base_url}),
    "rules": lambda member, data: RuleForm(member, data),
}
_FINDERS: Final[dict[str, Callable[[Membership, str], Row | None]]] = {
    "accounts": service_accounts.find,
    "issuers": federation.find_issuer,
    "rules": federation.find_rule,
}


@require_http_methods(_METHODS)
@for_administrators
def create(request: HttpRequest, member: Membership, kind: str) -> HttpResponseBase:
    """Show the form for a new one, and store it."""
    if kind not in _FORMS:
        raise Http404
    form = _FORMS[kind](member, request.POST or None)
    if form.is_valid():
        try:
            row = _store(member, form)
        except KeysteadError as error:
            explain(form, error)
        else:
            return redirect("workload_rule", row.wire_id) if kind == "rules" else redirect("workloads")
    page = {"form": form, "kind": kind, "title": _TITLES[kind]}
    return render(request, "console/workload_new.html", page, status=status_of(form))


def _store(member: Membership, form: Form) -> Row:
    if isinstance(form, AccountForm):
        return service_accounts.create(member, form.cleaned_data["name"], role=form.chosen_role, now=now())
    if isinstance(form, IssuerForm):
        return federation.create_issuer(member, form.issuer(), now())
    assert isinstance(form, RuleForm)
    return federation.create_rule(member, form.rule(), now())


@require_safe
@for_administrators
def rule(request: HttpRequest, member: Membership, rule_id: str) -> HttpResponse:
    """Show a rule, and what a pipeline must be given to use it: nothing of it is secret."""
    found = federation.find_rule(member, rule_id)
    if found is None:
        raise Http404
    page = {
        "rule": found,
        "base_url": settings.KEYSTEAD.base_url,
        "organization_id": ids.dump("organization", found.organization_id),
    }
    return render(request, "console/workload_rule.html", page)


@require_http_methods(_METHODS)
@for_administrators
def disable(request: HttpRequest, member: Membership, kind: str, row_id: str) -> HttpResponseBase:
    """Ask before ending one, then end it."""
    row = _FINDERS[kind](member, row_id) if kind in _FINDERS else None
    if row is None:
        raise Http404
    if request.method == "POST":
        if isinstance(row, ServiceAccount):
            service_accounts.disable(row, member, now())
        else:
            federation.disable(row, member, now())
        return redirect("workloads")
    return render(request, "console/workload_disable.html", {"row": row, "kind": kind, "title": _TITLES[kind]})


@sensitive_post_parameters()
@sensitive_variables("form")
@require_http_methods(_METHODS)
@for_administrators
def test(request: HttpRequest, member: Membership) -> HttpResponse:
    """Say which rules accept a token and why the others do not; the token itself is not kept."""
    form = TokenForm(request.POST or None)
    trial: Trial | None = None
    if form.is_valid():
        trial = identity_tokens.try_out(
            form.cleaned_data["token"].strip(), federation.rules_for(member), Access(reach(settings.KEYSTEAD)), now()
        )
        form = TokenForm()
    page = {
        "form": form,
        "trial": trial,
        "examined": [] if trial is None else sorted(trial.examined, key=_accepted_first),
    }
    return render(request, "console/workload_test.html", page, status=status_of(form))


def _accepted_first(examined: Examined) -> tuple[bool, str]:
    return not examined.is_accepted, examined.rule.name
