"""The usage of a period as a table for spreadsheets (CSV, RFC 4180) and as plain data."""

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from django.db.models import Max, Min, Sum
from django.db.models.functions import TruncDate

from keystead.server.organizations.models import Membership
from keystead.server.usage.operations import MEASURES, Names, Period, Report, Tally, entries_for
from keystead.server.usage.prices import CURRENCY, amount

COLUMNS: Final = (
    "day",
    "person",
    "key",
    "workspace",
    "upstream",
    "model",
    "requests",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cost_usd",
    "estimated_requests",
    "unpriced_requests",
    "cache_write_1h_tokens",
    "web_searches",
    "upstream_kind",
    "billed_usd",
    "covered_usd",
    "beyond_allowance_requests",
)
SESSION_COLUMNS: Final = (
    "first_request",
    "last_request",
    "session",
    "person",
    "key",
    "workspace",
    "model",
    "requests",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cost_usd",
    "estimated_requests",
    "unpriced_requests",
    "billed_usd",
    "covered_usd",
    "beyond_allowance_requests",
)
_WHOSE: Final = ("member_id", "service_account_id", "principal_id", "workspace_id")
_TOLD_SESSIONS: Final = 10
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "\N{FULLWIDTH EQUALS SIGN}")


def as_csv(member: Membership, now: datetime, period: Period, whose: Membership | None = None) -> str:
    """Return what ``member`` may read of ``period``: a line per day, person, key, workspace, upstream and model.

    Model names come from clients: a text that a spreadsheet would compute begins with an apostrophe instead.
    """
    names = Names.of(member.organization_id)
    rows = (
        entries_for(member, now, period, whose)
        .annotate(day=TruncDate("started_at", tzinfo=UTC))
        .values_list("day", *_WHOSE, "upstream", "model", "upstream_kind")
        .annotate(hour=Sum("cache_write_1h_tokens"), searches=Sum("web_searches"), **MEASURES)
    )
    return _table(COLUMNS, sorted((_line(row, names) for row in rows), key=lambda line: line[:6]))


def sessions_as_csv(member: Membership, now: datetime, period: Period, whose: Membership | None = None) -> str:
    """Return what ``member`` may read of agents' sessions: a line per session, person, key, workspace and model."""
    names = Names.of(member.organization_id)
    rows = (
        entries_for(member, now, period, whose)
        .exclude(session_id="")
        .values_list("session_id", *_WHOSE, "model")
        .annotate(first=Min("started_at"), last=Max("started_at"), **MEASURES)
    )
    return _table(SESSION_COLUMNS, sorted(_session_line(row, names) for row in rows))


def _table(columns: Iterable[str], lines: Iterable[list[str]]) -> str:
    text = io.StringIO()
    write = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow
    write(columns)
    for line in lines:
        write(line)
    return text.getvalue()


def _line(row: tuple[Any, ...], names: Names) -> list[str]:
    day, *whose, upstream, model, kind, hour, searches = row[:10]
    tally = Tally("", *(int(number or 0) for number in row[10:]))
    texts = map(harmless, (*_named(whose, names), upstream, model))
    more = (str(int(hour or 0)), str(int(searches or 0)), kind)
    return [day.isoformat(), *texts, *_counts(tally), *more, *_billed(tally)]


def _session_line(row: tuple[Any, ...], names: Names) -> list[str]:
    session, *whose, model, first, last = row[:8]
    tally = Tally("", *(int(number or 0) for number in row[8:]))
    times = (f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for moment in (first, last))
    return [*times, *map(harmless, (session, *_named(whose, names), model)), *_counts(tally), *_billed(tally)]


def _named(whose: Iterable[Any], names: Names) -> tuple[str, str, str]:
    """Return what people call the columns of :data:`_WHOSE`."""
    person, service, key, workspace = whose
    owner = str(person or service)
    return names.owners.get(owner, owner), names.key(key), names.workspaces.get(str(workspace), str(workspace))


def _counts(line: Tally) -> list[str]:
    tokens = (line.input_tokens, line.output_tokens, line.cache_read_tokens, line.cache_write_tokens)
    return [*map(str, (line.requests, *tokens)), amount(line.cost_micro), str(line.estimates), str(line.unpriced)]


def _billed(line: Tally) -> list[str]:
    return [amount(line.billed_micro), amount(line.covered_micro), str(line.beyond)]


def harmless(text: str) -> str:
    """Return ``text`` so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.lstrip(" \N{NO-BREAK SPACE}").startswith(_FORMULA) else text


def described(report: Report) -> dict[str, Any]:
    """Return a report as plain data; costs are whole micro-units, and the same as decimal text."""
    lists = {
        "people": report.by_member,
        "keys": report.by_key,
        "workspaces": report.by_workspace,
        "models": report.by_model,
        "sessions": report.by_session,
        "times": report.by_time,
    }
    return {
        "period": report.period.value,
        "begin": report.begin.date().isoformat(),
        "end": report.end.date().isoformat(),
        "currency": CURRENCY,
        "total": _described(report.total),
        **{name: [_described(line) for line in lines] for name, lines in lists.items()},
    }


def told(report: Report) -> list[str]:
    """Return a report as lines for a terminal, the most expensive first; ≈ marks what includes an estimate."""
    until = f"{report.begin:%Y-%m-%d} to {report.end:%Y-%m-%d} (UTC)"
    lines = [f"{until}: {report.total.requests} requests, {_money(report.total)}"]
    if report.total.covered_micro:
        billed, covered = amount(report.total.billed_micro), amount(report.total.covered_micro)
        beyond = f"requests that went beyond one: {report.total.beyond}"
        lines.append(f"{billed} {CURRENCY} are billed, flat rates cover {covered} {CURRENCY}; {beyond}.")
    for title, tallies in _told_lists(report):
        lines += ["", title] if tallies else []
        lines += [f"  {_money(one):>18}  {one.requests:>8} requests  {printable(one.label)}" for one in tallies]
    if report.total.unpriced:
        lines += ["", f"{report.total.unpriced} requests have no cost yet: keystead server usage-reprice."]
    return lines


def _told_lists(report: Report) -> Iterable[tuple[str, tuple[Tally, ...]]]:
    yield from (("People", report.by_member), ("Keys", report.by_key))
    if len(report.by_workspace) > 1:
        yield "Workspaces", report.by_workspace
    yield from (("Models", report.by_model), ("Agent sessions", report.by_session[:_TOLD_SESSIONS]))


def printable(text: str) -> str:
    """Return ``text`` without what a terminal would act on; model names come from clients."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def _money(line: Tally) -> str:
    return f"{'≈ ' if line.estimates else ''}{amount(line.cost_micro)} {CURRENCY}"


def _described(line: Tally) -> dict[str, Any]:
    billed = {"billed_micro": line.billed_micro, "billed": amount(line.billed_micro)}
    return asdict(line) | {"cost": amount(line.cost_micro), **billed}
