"""Usage: what is left of one's limits, what was used and by what, and the same as tables for spreadsheets."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from keystead.server.console.access import for_members, now
from keystead.server.console.charts import chart
from keystead.server.console.limits import what_of
from keystead.server.keys.models import ApiKey
from keystead.server.limits import report
from keystead.server.limits.line import Line
from keystead.server.organizations import memberships
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership
from keystead.server.organizations.roles import Permission
from keystead.server.policy.limits import Scope
from keystead.server.usage import export
from keystead.server.usage import operations as ledger
from keystead.wire import ids

PERIODS: Final = {ledger.Period.DAY: "Today", ledger.Period.WEEK: "This week", ledger.Period.MONTH: "This month"}
_LISTS: Final = ("by_model", "by_key", "by_member", "by_workspace")
_WHOSE: Final = {
    Scope.ORGANIZATION: "of all together",
    Scope.WORKSPACE: "of your workspace together",
    Scope.GROUP: "of your group together",
}
_DAY: Final = 86_400
MOST_LINES: Final = 100
"""Lines of a list that the page has; the others are one, and the table for spreadsheets has each."""
MOST_PEOPLE: Final = 200
"""People among whom one chooses; where there are more, one types an address."""


@dataclass(frozen=True, slots=True)
class Left:
    """One limit as the page shows it.

    Attributes:
        resets: when it is whole again, in words; empty where that is at once.
        is_nearest: of those that are used at all, this one is used most.
    """

    what: str
    line: Line
    resets: str
    is_nearest: bool


@require_safe
@for_members
def usage(request: HttpRequest, member: Membership) -> HttpResponse:
    """Show what is left, and what was used today, this week or this month, and what it cost."""
    whose = _whose(request, member)
    found = _short(ledger.usage_of(member, now(), _period(request), whose))
    people = _people(member)
    page = {
        "report": found,
        "periods": PERIODS,
        "left": left(whose or member, now()),
        "chart": chart(found.by_time),
        "whose": whose,
        "of": f"&member={ids.dump('membership', whose.pk)}" if whose else "",
        "people": people,
        "is_typed": len(people) > MOST_PEOPLE,
    }
    return render(request, "console/usage.html", page)


@require_safe
@for_members
def usage_csv(request: HttpRequest, member: Membership) -> HttpResponse:
    """Hand out what the page counts as a table for spreadsheets."""
    text = export.as_csv(member, now(), _period(request), _whose(request, member))
    return _handed_out("usage", text, _period(request))


@require_safe
@for_members
def sessions_csv(request: HttpRequest, member: Membership) -> HttpResponse:
    """Hand out what agents' sessions used as a table for spreadsheets."""
    text = export.sessions_as_csv(member, now(), _period(request), _whose(request, member))
    return _handed_out("sessions", text, _period(request))


def _people(member: Membership) -> list[tuple[str, str]]:
    """Return whose usage ``member`` may look at, by identifier and address; empty when only their own."""
    if not organizations.may(member, Permission.USAGE_READ_ALL):
        return []
    some = memberships.of(member.organization)[: MOST_PEOPLE + 1]
    found = [(ids.dump("membership", one.pk), one.person.email) for one in some]
    return found if len(found) > 1 else []


def _short(report: ledger.Report) -> ledger.Report:
    lists: dict[str, Any] = {name: ledger.shortened(getattr(report, name), MOST_LINES) for name in _LISTS}
    return replace(report, **lists)


def _whose(request: HttpRequest, member: Membership) -> Membership | None:
    """Return the one member whose usage is asked for, by identifier or address, by who may see everybody's."""
    text = request.GET.get("member", "").strip()
    if not text:
        return None
    found = None
    if organizations.may(member, Permission.USAGE_READ_ALL):
        with suppress(ValueError):
            named = {"person__email__iexact": text} if "@" in text else {"pk": ids.parse("membership", text)}
            found = memberships.of(member.organization).filter(**named).first()
    if found is None:
        raise Http404
    return found


def left(member: Membership, moment: datetime) -> list[Left]:
    """Return every limit that holds for a member, the nearest one first."""
    lines = report.holding(member, moment)
    keys = ApiKey.objects.filter(member=member).values_list("id", "name")
    names = {ids.dump("api_key", key): name for key, name in keys}
    return [
        Left(_said(line, names), line, _resets(line, moment.timestamp()), number == 0 and bool(line.used))
        for number, line in enumerate(lines)
    ]


def _said(line: Line, keys: dict[str, str]) -> str:
    limit = line.cap.limit
    if limit.scope is Scope.KEY:
        return f"{what_of(limit)}, of the key {keys.get(limit.subject, limit.subject)}"
    return f"{what_of(limit)}, {_WHOSE[limit.scope]}" if limit.shared else what_of(limit)


def _resets(line: Line, at: float) -> str:
    when = line.resets(at)
    if when is None:
        return ""
    return f"little by little from {_moment(when, at)}" if line.is_window else _moment(when, at)


def _moment(when: float, now: float) -> str:
    moment = datetime.fromtimestamp(when, UTC)
    return f"{moment:%H:%M} UTC" if when - now < _DAY else f"{moment.day} {moment:%B, %H:%M} UTC"


def _handed_out(name: str, text: str, period: ledger.Period) -> HttpResponse:
    disposition = f'attachment; filename="{name}-{period}-{now():%Y-%m-%d}.csv"'
    return HttpResponse(
        text,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": disposition, "Cache-Control": "no-store"},
    )


def _period(request: HttpRequest) -> ledger.Period:
    try:
        return ledger.Period(request.GET.get("period", ledger.Period.DAY))
    except ValueError as error:
        raise Http404 from error
