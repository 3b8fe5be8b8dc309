"""Data and compliance: what an organization has switched on for its data, and whose sign-ins count (S-20, S-22)."""

from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from keystead.errors import UsageError
from keystead.server.console.access import for_those_who, now, refused
from keystead.server.organizations import switches
from keystead.server.organizations.models import Membership
from keystead.server.organizations.switches import Switch
from keystead.server.suspensions import operations as suspensions


@require_http_methods(["GET", "HEAD", "POST"])
@for_those_who(switches.require)
def overview(request: HttpRequest, member: Membership) -> HttpResponseBase:
    """Show how the switches stand, and turn one."""
    if request.method == "POST":
        try:
            switch = Switch(request.POST.get("switch", ""))
        except ValueError as error:
            raise Http404 from error
        try:
            switches.turn(member, switch, request.POST.get("on") == "yes", now())
        except UsageError as error:
            return refused(request, error)
        return redirect("compliance")
    page = {"stand": switches.of(member.organization), "suspended": suspensions.living(member.organization)}
    return render(request, "console/compliance.html", page)
