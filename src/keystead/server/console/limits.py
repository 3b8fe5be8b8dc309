"""Limits: what there are, what is used of them and what holds for each member; set and removed by an administrator."""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, Final

from django import forms
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from keystead.errors import KeysteadError
from keystead.server.console.access import for_those_who, now
from keystead.server.form_errors import explain, status_of
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
MOST_NAMED: Final = 200
"""People, and keys, that a form has in a list; where there are more, one is typed."""
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_FIELDS: Final = {"scope": "whom", "subject": "whom", "shared": "whom", "period": "what"}
"""The form's fields by the names that the domain has for what they ask."""


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
    """Return whom a limit can be for: what the form sends, and what it says; people and keys while they are few."""
    are_few = not _are_many(organization)
    people = memberships.of(organization) if are_few else ()
    keys = _keys(organization).filter(revoked_at=None) if are_few else ()
    groups = list(Group.objects.filter(organization=organization).order_by("name"))
    return [
        ("organization||each", "Everybody, each"),
        ("organization||shared", f"{organization.name}, all together"),
        *((f"rbac_group|{one.wire_id}|each", f"{one.name}: each member") for one in groups),
        *((f"rbac_group|{one.wire_id}|shared", f"{one.name}: all together") for one in groups),
        *map(_person, people),
        *(
            (f"workspace|{ids.dump('workspace', one.pk)}|shared", f"Workspace {one.name}")
            for one in Workspace.objects.filter(organization=organization).order_by("name")
        ),
        *map(_key, keys),
    ]


def _are_many(organization: Organization) -> bool:
    """Return whether there are too many people or keys to choose from a list."""
    kinds = memberships.of(organization), _keys(organization).filter(revoked_at=None)
    return any(len(one.values_list("pk")[: MOST_NAMED + 1]) > MOST_NAMED for one in kinds)


def _keys(organization: Organization) -> QuerySet[ApiKey]:
    return ApiKey.objects.filter(organization=organization).select_related("member__person")


def _person(one: Membership) -> tuple[str, str]:
    return f"user|{ids.dump('membership', one.pk)}|each", one.person.email


def _key(one: ApiKey) -> tuple[str, str]:
    revoked = " (revoked)" if one.revoked_at else ""
    return f"api_key|{one.wire_id}|shared", f"Key {one.name} of {one.member.person.email}{revoked}"


def _named(organization: Organization, text: str) -> str | None:
    """Return what the form sends for the one person with this address, or the one key with this identifier."""
    with suppress(ValueError):
        if "@" in text:
            found = memberships.of(organization).filter(person__email__iexact=text).first()
            return None if found is None else _person(found)[0]
        key = _keys(organization).filter(revoked_at=None, pk=ids.parse("api_key", text)).first()
        return None if key is None else _key(key)[0]
    return None


class LimitForm(forms.Form):
    """A limit."""

    whom = forms.ChoiceField(label="For")
    one = forms.CharField(
        label="Or for one person or key",
        max_length=320,
        required=False,
        help_text="A person's address, or a key's identifier (key_…). It counts before what is chosen above.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
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

    def __init__(self, organization: Organization, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._organization = organization
        chooser = self.fields["whom"]
        assert isinstance(chooser, forms.ChoiceField)
        chooser.choices = whom(organization)
        if not _are_many(organization):
            del self.fields["one"]

    def clean(self) -> dict[str, Any]:
        """Take the one who was typed in the place of whom was chosen."""
        given = super().clean() or self.cleaned_data
        if text := given.get("one", ""):
            found = _named(self._organization, text)
            if found is None:
                self.add_error("one", "Nobody here has that address, and no key in use that identifier.")
            else:
                given["whom"] = found
        return given

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
    form = LimitForm(member.organization, request.POST or None)
    if form.is_valid():
        try:
            operations.put(member, form.draft, now())
        except KeysteadError as error:
            explain(form, error, _FIELDS)
        else:
            return redirect("limits")
    members, pages = _page(memberships.of(member.organization).filter(deactivated_at=None), request.GET.get("from", ""))
    page = {
        "form": form,
        "rows": rows(member.organization, now()),
        "seats": [(seat, _said(seat)) for seat in report.seats(member.organization, members, now())],
        "pages": pages,
    }
    return render(request, "console/limits.html", page, status=status_of(form))


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
    limits, used = list(operations.all_of(organization)), report.pots(organization, moment)
    subjects = [one.subject for one in limits]
    people = memberships.of(organization).filter(pk__in=subjects)
    keys = _keys(organization).filter(pk__in=subjects)
    names = dict([*whom(organization), *map(_person, people), *map(_key, keys)])
    return [_row(limit, names, used.get(limit.wire_id)) for limit in limits]


def _row(limit: Limit, names: dict[str, str], used: int | None) -> Row:
    rule = facts.rule_of(limit)
    subject = "" if rule.scope is Scope.ORGANIZATION else rule.subject
    name = names.get(f"{rule.scope}|{subject}|{'shared' if rule.shared else 'each'}", f"{rule.subject} (gone)")
    percent = 0 if used is None else used * 100 // max(rule.amount or 0, 1)
    return Row(limit, name, what_of(rule), rule.measure in MONEY, used, percent)
