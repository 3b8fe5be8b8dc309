"""The terms that govern somebody's organization: read, accepted, put off; and which kind governs it (S-21)."""

from typing import Any, Final

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from keystead.errors import UsageError
from keystead.server.console.access import for_members, for_those_who, now, refused
from keystead.server.console.single_sign_on import LEAVING_POLICY
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership
from keystead.server.organizations.roles import Permission
from keystead.server.policy.terms import Kind
from keystead.server.sso.attempts import local_path
from keystead.server.terms import asking
from keystead.server.terms import operations as terms
from keystead.server.terms.models import Terms

_REPLACED: Final = 409


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def overview(request: HttpRequest, member: Membership) -> HttpResponseBase:
    """Show the newest terms and how the organization stands, and take an acceptance.

    The page may lead on to an agent's sign-in, and so out of this server.
    """
    fault = ""
    if request.method == "POST":
        accepted = terms.find(request.POST.get("terms", ""))
        if accepted is None:
            raise Http404
        try:
            terms.accept(member, accepted, now())
        except UsageError as error:
            fault = f"{error.message} {error.hint}"
        else:
            return redirect(_following(request) or "terms")
    page = {"owed": terms.owed(member, now()), "following": _following(request), "fault": fault, **_standing(member)}
    response = _shown(request, page, _REPLACED if fault else 200)
    response["Content-Security-Policy"] = LEAVING_POLICY
    return response


@require_safe
@for_members
def version(request: HttpRequest, member: Membership, terms_id: str) -> HttpResponseBase:
    """Show a version that was published, the newest or one before it."""
    found = terms.find(terms_id)
    if found is None:
        raise Http404
    return _shown(request, {**_standing(member), "shown": found})


@require_POST
@for_members
def later(request: HttpRequest, member: Membership) -> HttpResponseBase:
    """Go on without accepting; what signs agents in waits for it once it is in force."""
    owed = terms.owed(member, now())
    if owed is not None:
        asking.put_off(request, owed)
    return redirect("overview" if owed is not None and owed.in_force else local_path(_following(request)))


@require_POST
@for_those_who(terms.require)
def govern(request: HttpRequest, member: Membership) -> HttpResponseBase:
    """Have another kind govern the organization."""
    try:
        kind = Kind(request.POST.get("kind", ""))
    except ValueError as error:
        raise Http404 from error
    try:
        terms.govern(member, kind, now())
    except UsageError as error:
        return refused(request, error)
    return redirect("terms")


def _following(request: HttpRequest) -> str:
    """Return the page to go on to: one of this server's, or nothing."""
    wanted = request.GET.get("next", "")
    return local_path(wanted) if wanted else ""


def _standing(member: Membership) -> dict[str, Any]:
    kind = terms.kind_of(member.organization_id)
    versions = list(terms.of_kind(kind).defer("text"))
    newest: Terms | None = versions[0] if versions else None
    accepted = list(terms.acceptances(member.organization))
    return {
        "member": member,
        "kind": kind,
        "others": [one for one in Kind if one != kind and terms.is_offered(one)],
        "newest": newest,
        "shown": newest,
        "versions": versions,
        "accepted": accepted,
        "accepted_ids": {one.terms_id for one in accepted},
        "may_accept": organizations.may(member, Permission.TERMS_ACCEPT),
    }


def _shown(request: HttpRequest, page: dict[str, Any], status: int = 200) -> HttpResponse:
    return render(request, "console/terms.html", {"now": now(), **page}, status=status)
