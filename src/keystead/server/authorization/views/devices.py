"""The page where a person sees each sign-in and device of theirs, and ends it; administrators see everyone's."""

from collections.abc import Callable
from functools import wraps

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_safe

from keystead.server.authorization import sign_ins
from keystead.server.authorization.models import Grant
from keystead.server.authorization.surroundings import now
from keystead.server.authorization.views.pages import acting, own_page_only, show
from keystead.server.organizations.models import Membership
from keystead.wire import ids

REASON = "ended_in_console"
_METHODS = ["GET", "HEAD", "POST"]


def for_member(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponseBase]:
    """Call the page with who looks at it as second argument; a stranger is sent to sign in."""

    @login_required
    @wraps(view)
    def guarded(request: HttpRequest, **kwargs: str) -> HttpResponse:
        who = acting(request)
        return who if isinstance(who, HttpResponse) else view(request, who.membership, **kwargs)

    return guarded


@require_safe
@for_member
def devices(request: HttpRequest, member: Membership) -> HttpResponse:
    """List the sign-ins: one's own, then everyone else's for who may end them."""
    listed = [(ids.dump("grant", grant.id), grant) for grant in sign_ins.living(member, now())]
    page = {
        "own": [row for row in listed if row[1].membership_id == member.id],
        "others": [row for row in listed if row[1].membership_id != member.id],
    }
    return show(request, "devices", page)


@require_http_methods(_METHODS)
@for_member
def sign_out(request: HttpRequest, member: Membership, grant_id: str) -> HttpResponse:
    """Ask, then end one sign-in; its device is refused from its next request on."""
    grant = sign_ins.find(member, grant_id, now())
    if request.method == "POST":
        return _end(request, [] if grant is None else [grant], member)
    if grant is None:
        raise Http404
    return show(request, "sign_out", {"grants": [grant], "grant": grant, "member": member})


@require_http_methods(_METHODS)
@for_member
def sign_out_everywhere(request: HttpRequest, member: Membership) -> HttpResponse:
    """Ask, then end every sign-in of one's own."""
    grants = list(sign_ins.living(member, now()).filter(membership=member))
    if request.method == "POST":
        return _end(request, grants, member)
    return show(request, "sign_out", {"grants": grants, "member": member})


@own_page_only
def _end(_request: HttpRequest, grants: list[Grant], member: Membership) -> HttpResponse:
    """End them; one that somebody else ended meanwhile is no error: it has ended."""
    for grant in grants:
        sign_ins.end(grant, ids.dump("person", member.person_id), REASON, now())
    return redirect("devices")
