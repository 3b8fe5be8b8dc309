"""Limits: what there are, what is used of them and what holds for each member; set and removed by an administrator."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, Final

from django import forms
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from keystead.errors import KeysteadError, UsageError
from keystead.server.console.access import for_those_who, now
from keystead.server.keys.models import ApiKey
from keystead.server.limits import facts, operations, report
from keystead.server.limits.line import Line
from keystead.server.limits.models import Limit
from keystead.server.limits.operations import Draft
from keystead.server.organizations import memberships
from keystead.server.organizations.models import Group, Membership, Organization, Workspace
from keystead.server.policy.limits import MONEY, Beyond, Measure, Period, Scope
from keystead.server.policy.limits import Limit as Rule
from keystead.wire import ids

UNPROCESSABLE: Final = 422
WHAT: Final = {
    (Measure.SPEND, Period.DAILY): "USD a day",
    (Measure.SPEND, Period.WEEKLY): "USD a week",
    (Measure.SPEND, Period.MONTHLY): "USD a month",
    (Measure.SPEND, Period.FIVE_HOURS): "USD in 5 hours",
    (Measure.SPEND, Period.SEVEN_DAYS): "USD in 7 days",
    (Measure.ALLOWANCE, Period.FIVE_HOURS): "USD of a flat rate in 5 hours",
    (Measure.ALLOWANCE, Period.SEVEN_DAYS): "USD of a flat rate in 7 days",
    (Measure.REQUESTS, Period.MINUTE): "requests a minute",
    (Measure.TOKENS, Period.MINUTE): "tokens a minute",
    (Measure.CONCURRENT, Period.NOW): "requests at the same time",
}
"""What can be limited, as people say it."""
BEYOND: Final = {Beyond.STOPPED: "requests stop", Beyond.METERED: "requests are billed"}
"""What becomes of requests that a limit has no room for, as people say it."""
MOST_SEATS: Final = 100
"""Members of whom one page says what holds."""
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_FIELDS: Final = {"scope": "whom", "shared": "whom", "period": "what", "beyond": "beyond"}
"""Which field of the form an error is about, by the word that it begins with; else it is the amount."""


@dataclass(frozen=True, slots=True)
class Row:
    """A limit as the page shows it.

    Attributes:
        used: micro-units of a shared one; None for others.
        percent: of it that is used.
    """

    limit: Limit
    whom: str
    what: str
    is_money: bool
    used: int | None
    percent: int


def whom(organization: Organization) -> list[tuple[str, str]]:
    """Return whom a limit can be for: what the form sends, and what it says."""
    groups = list(Group.objects.filter(organization=organization).order_by("name"))
    keys = ApiKey.objects.filter(organization=organization, revoked_at=None).select_related("member__person")
    return [
        ("organization||each", "Everybody, each"),
        ("organization||shared", f"{organization.name}, all together"),
        *((f"rbac_group|{one.wire_id}|each", f"{one.name}: each member") for one in groups),
        *((f"rbac_group|{one.wire_id}|shared", f"{one.name}: all together") for one in groups),
        *((f"user|{ids.dump('membership', one.pk)}|each", one.person.email) for one in memberships.of(organization)),
        *(
            (f"workspace|{ids.dump('workspace', one.pk)}|shared", f"Workspace {one.name}")
            for one in Workspace.objects.filter(organization=organization).order_by("name")
        ),
        *((f"api_key|{one.wire_id}|shared", f"Key {one.name} of {one.member.person.email}") for one in keys),
    ]


class LimitForm(forms.Form):
    """A limit."""

    whom = forms.ChoiceField(label="For")
    amount = forms.CharField(
        label="At most",
        max_length=20,
        required=False,
        help_text="Such as 250 or 12.50; empty means none here, whatever holds for the group or everybody.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "decimal"}),
    )
    what = forms.ChoiceField(label="Of", choices=[(f"{one}|{period}", said) for (one, period), said in WHAT.items()])

    beyond = forms.ChoiceField(
        label="Beyond it",
        choices=[(one.value, said) for one, said in BEYOND.items()],
        required=False,
        help_text="Billed is for a flat rate. Where a member's flat rate stops, their API keys are refused too: only "
        "sign-ins draw on it.",
    )

    def __init__(self, choices: list[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chooser = self.fields["whom"]
        assert isinstance(chooser, forms.ChoiceField)
        chooser.choices = choices

    @property
    def draft(self) -> Draft:
        """What was typed.

        Raises:
            UsageError: the amount is none.
        """
        given = self.cleaned_data
        scope, subject, shared = given["whom"].split("|")
        measure, period = given["what"].split("|")
        text = given["amount"].strip()
        read = operations.money if measure in MONEY else operations.number
        return Draft(
            Scope(scope),
            subject,
            Measure(measure),
            Period(period),
            read(text) if text else None,
            shared == "shared",
            Beyond(given["beyond"] or Beyond.STOPPED),
        )


def about_one(view: Any) -> Any:
    """Decorate a page about one limit of the administrator's own organization."""

    @for_those_who(operations.require)
    @wraps(view)
    def found(request: HttpRequest, member: Membership, limit_id: str) -> HttpResponseBase:
        limit = operations.find(member.organization, limit_id)
        if limit is None:
            raise Http404
        return view(request, member, limit)  # type: ignore[no-any-return]

    return found


@require_http_methods(["GET", "HEAD", "POST"])
@for_those_who(operations.require)
def overview(request: HttpRequest, member: Membership) -> HttpResponseBase:
    """Show the limits and what holds for each member; set one."""
    choices = whom(member.organization)
    form = LimitForm(choices, request.POST or None)
    if form.is_valid():
        try:
            operations.put(member, form.draft, now())
        except KeysteadError as error:
            word = error.message.partition(":")[0]
            field = _FIELDS.get(word, "amount") if isinstance(error, UsageError) else None
            form.add_error(field, f"{error.message} {error.hint}" if error.hint else error.message)
        else:
            return redirect("limits")
    members, pages = _page(memberships.of(member.organization).filter(deactivated_at=None), request.GET.get("from", ""))
    page = {
        "form": form,
        "rows": rows(member.organization, now()),
        "seats": [(seat, _said(seat)) for seat in report.seats(member.organization, members, now())],
        "pages": pages,
    }
    return render(request, "console/limits.html", page, status=UNPROCESSABLE if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@about_one
def remove(request: HttpRequest, member: Membership, limit: Limit) -> HttpResponse | HttpResponseBase:
    """Ask before a limit is removed, then remove it."""
    if request.method == "POST":
        operations.remove(member, limit, now())
        return redirect("limits")
    (row,) = [one for one in rows(member.organization, now()) if one.limit.pk == limit.pk]
    return render(request, "console/limit_remove.html", {"row": row})


@dataclass(frozen=True, slots=True)
class Pages:
    """Which members are shown, the first of all being 1; ``before`` and ``after`` begin other pages, if there are."""

    first: int
    last: int
    count: int
    before: int | None
    after: int | None


def _page(members: QuerySet[Membership], text: str) -> tuple[list[Membership], Pages]:
    """Return the members of the page that begins with the asked for one, by number."""
    count = members.count()
    begin = int(text) - 1 if _NUMBER.fullmatch(text) and int(text) <= count else 0
    shown = list(members[begin : begin + MOST_SEATS])
    end = begin + len(shown)
    return shown, Pages(
        begin + 1, end, count, max(begin - MOST_SEATS, 0) + 1 if begin else None, end + 1 if end < count else None
    )


def _said(seat: report.Seat) -> list[tuple[str, Line]]:
    return [(what_of(line.cap.limit), line) for line in seat.lines]


def what_of(limit: Rule) -> str:
    """Return what a limit is of, and what comes after a flat rate."""
    said = WHAT[limit.measure, limit.period]
    return f"{said}, then {limit.beyond}" if limit.measure is Measure.ALLOWANCE else said


def rows(organization: Organization, moment: datetime) -> list[Row]:
    """Return an organization's limits in words, with what is used of those that are one pot."""
    names, used = dict(whom(organization)), report.pots(organization, moment)
    return [_row(limit, names, used.get(limit.wire_id)) for limit in operations.all_of(organization)]


def _row(limit: Limit, names: dict[str, str], used: int | None) -> Row:
    rule = facts.rule_of(limit)
    subject = "" if rule.scope is Scope.ORGANIZATION else rule.subject
    name = names.get(f"{rule.scope}|{subject}|{'shared' if rule.shared else 'each'}", f"{rule.subject} (gone)")
    percent = 0 if used is None else used * 100 // max(rule.amount or 0, 1)
    return Row(limit, name, what_of(rule), rule.measure in MONEY, used, percent)
