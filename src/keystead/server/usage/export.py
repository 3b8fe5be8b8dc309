"""The usage of a period as a table for spreadsheets (CSV, RFC 4180) and as plain data."""

import csv
import io
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from django.db.models import Sum
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
)
_BY: Final = ("member_id", "service_account_id", "principal_id", "workspace_id", "upstream", "model", "upstream_kind")
_COST: Final = COLUMNS.index("cost_usd")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "\N{FULLWIDTH EQUALS SIGN}")


def as_csv(member: Membership, now: datetime, period: Period) -> str:
    """Return what ``member`` may read of ``period``: a line per day, person, key, workspace, upstream and model.

    Model names come from clients: a text that a spreadsheet would compute begins with an apostrophe instead.
    """
    names = Names.of(member.organization_id)
    rows = (
        entries_for(member, now, period)
        .annotate(day=TruncDate("started_at", tzinfo=UTC))
        .values_list("day", *_BY)
        .annotate(**MEASURES, hour=Sum("cache_write_1h_tokens"), searches=Sum("web_searches"))
    )
    text = io.StringIO()
    write = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow
    write(COLUMNS)
    for row in sorted((_line(row, names) for row in rows), key=lambda line: line[:6]):
        write(row)
    return text.getvalue()


def _line(row: tuple[Any, ...], names: Names) -> list[str]:
    day, person, service, key, workspace, upstream, model, kind, *numbers = row
    owner = str(person or service)
    texts = (names.owners.get(owner, owner), names.key(key), names.workspaces.get(str(workspace), str(workspace)))
    counts = [str(int(number or 0)) for number in numbers]
    line = [day.isoformat(), *map(harmless, (*texts, upstream, model)), *counts]
    line[_COST] = amount(int(line[_COST]))
    return [*line, kind]


def harmless(text: str) -> str:
    """Return ``text`` so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.lstrip(" \N{NO-BREAK SPACE}").startswith(_FORMULA) else text


def described(report: Report) -> dict[str, Any]:
    """Return a report as plain data; costs are whole micro-units, and the same as decimal text."""
    lists = {"people": report.by_member, "keys": report.by_key, "models": report.by_model}
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
    for title, tallies in (("People", report.by_member), ("Keys", report.by_key), ("Models", report.by_model)):
        lines += ["", title] if tallies else []
        lines += [f"  {_money(one):>18}  {one.requests:>8} requests  {printable(one.label)}" for one in tallies]
    if report.total.unpriced:
        lines += ["", f"{report.total.unpriced} requests have no cost yet: keystead server usage-reprice."]
    return lines


def printable(text: str) -> str:
    """Return ``text`` without what a terminal would act on; model names come from clients."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def _money(line: Tally) -> str:
    return f"{'≈ ' if line.estimates else ''}{amount(line.cost_micro)} {CURRENCY}"


def _described(line: Tally) -> dict[str, Any]:
    return asdict(line) | {"cost": amount(line.cost_micro)}
