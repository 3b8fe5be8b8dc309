"""``keystead limits``: what is left of the limits that hold here, as the gateway says it now."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click

from keystead.cli.ask import again, failure, rejected
from keystead.cli.exits import visible
from keystead.cli.paper import Paper, relative
from keystead.cli.purse import checked
from keystead.cli.surroundings import Surroundings
from keystead.client import Client
from keystead.drivers.transport import Transport
from keystead.errors import ServerFailure
from keystead.release import Access, Authorized
from keystead.secret import Secret
from keystead.wire import limits as wire
from keystead.wire.fields import Malformed
from keystead.wire.http import Request, Response
from keystead.wire.limits import Standing

SCHEMA: Final = "keystead.my-limits/1"
_UNKNOWN: Final = frozenset({404, 405, 501})
"""What a server answers that has no such address."""
_DAY: Final = 86_400.0
_WINDOWS: Final = {"five_hours": "5-hour", "seven_days": "7-day"}
_RATES: Final = {"requests": "Requests a minute", "tokens": "Tokens a minute", "concurrent": "Requests at a time"}
_WHOSE: Final = {
    ("organization", False): "for everybody",
    ("organization", True): "shared by your organization",
    ("workspace", True): "shared by your workspace",
    ("rbac_group", False): "for your group",
    ("rbac_group", True): "shared by your group",
    ("user", False): "for you",
    ("api_key", True): "for this key",
}


@click.command()
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {SCHEMA}.")
@click.pass_obj
def limits(surroundings: Surroundings, *, wants_json: bool) -> None:
    """Ask the gateway what is left of the limits that hold for the credential in use, and when they reset.

    A server that does not tell is said to be one; that is no error. Exit code: 0 answered, 4 no usable credential, 75
    the server cannot be asked now, 77 refused by a rule.
    """
    client = surroundings.client()
    access, found = ask(client, client.access(checked(surroundings, client)), surroundings.network)
    now = surroundings.clock.now()
    if wants_json:
        click.echo(json.dumps(document(access, found), indent=2))
    else:
        paper = Paper.of(surroundings.environment)
        click.echo("\n".join(lines(access, found, now, paper)), color=paper.colour)


def ask(
    client: Client, access: Access, transport: Callable[[], Transport]
) -> tuple[Access, tuple[Standing, ...] | None]:
    """Return whom was asked, and each limit that holds, the nearest first; None where the server tells none.

    Raises:
        KeysteadError: the credential is refused, or the server gives no answer.
    """
    if access.route is not None or not isinstance(access, Authorized):
        return access, None  # a cloud has no such address
    network = transport()
    response = network.send(_request(access))
    if access.is_refused(response.status):
        access = again(client, access, response.body)
        response = network.send(_request(access))
        if access.is_refused(response.status):
            raise rejected(access, response.body, " twice")
    return access, _read(response, access)


def _request(access: Authorized) -> Request:
    url = access.api_base + wire.PATH
    headers: dict[str, str | Secret] = {**access.for_url(url)}
    return Request("GET", url, headers)


def _read(response: Response, access: Authorized) -> tuple[Standing, ...] | None:
    if response.status in _UNKNOWN:
        return None
    if response.status != 200:
        raise failure(response.status, response.headers, response.body, access)
    try:
        return wire.parse(response.body)
    except Malformed as error:
        what = f"{access.api_base} answered with something else: {error}."
        raise ServerFailure(what, hint="Check the base URL.") from error


def document(access: Access, found: Sequence[Standing] | None) -> dict[str, Any]:
    """Return the answer for programs; ``limits`` is null where the server tells none."""
    return {
        "schema": SCHEMA,
        "api_base": access.api_base,
        "source": access.candidate.source,
        "limits": None if found is None else [one.to_json() for one in found],
    }


def lines(access: Access, found: Sequence[Standing] | None, now: float, paper: Paper) -> list[str]:
    """Return the answer for people: a line for each limit."""
    where = visible(access.api_base)
    if found is None:
        return paper.wrap(f"{where} does not tell what is left; a Keystead gateway of this version does.")
    if not found:
        return paper.wrap(f"No limit holds for you at {where}.")
    labels = [visible(called(one)) for one in found]
    width = max(map(len, labels))
    written = [paper.style(line, bold=True) for line in paper.wrap(f"What is left at {where}:")]
    for label, one in zip(labels, found, strict=True):
        written += _row(paper, label, width, visible(said(one, now)), _style(one))
    return written


def _row(paper: Paper, label: str, width: int, text: str, style: dict[str, bool | str]) -> list[str]:
    if paper.narrow:
        below = [paper.style(line, **style) for line in paper.wrap(text, 4)]
        return ["  " + paper.style(label, dim=True), *below]
    column = width + 4
    first, *rest = paper.wrap(text, column)
    head = paper.style(f"  {label}".ljust(column), dim=True)
    return [head + paper.style(first.lstrip(), **style), *(paper.style(line, **style) for line in rest)]


def _style(one: Standing) -> dict[str, bool | str]:
    if one.currency and one.is_used_up:
        return {"fg": "red"} if one.beyond == "stopped" else {"fg": "yellow"}
    return {"fg": "yellow"} if one.is_warning else {}


def called(one: Standing) -> str:
    """Return what people call a limit, such as ``5-hour allowance``; a newer server's words as they are."""
    if one.measure in _RATES:
        return _RATES[one.measure]
    what = "spend limit" if one.measure == "spend" else one.measure
    return f"{_WINDOWS.get(one.period, one.period.capitalize())} {what}"


def said(one: Standing, now: float) -> str:
    """Return how somebody stands: used, left, when it resets, what comes beyond it, and whom it was set for."""
    is_money = one.currency is not None
    left = _money(one.remaining) if one.remaining or one.is_used_up else "less than 0.01"
    left = f"{left} of {_money(one.amount)} {one.currency} left"
    parts = [f"{one.percent}% used", left] if is_money else [f"{one.used} of {one.amount} used"]
    if one.resets_at is not None and is_money:
        parts.append(f"resets {'from ' if one.is_gradual else ''}{_moment(one.resets_at, now)}")
    if one.resets_at is not None and not is_money and one.is_used_up:
        parts.append(f"again {relative(one.resets_at, now)}")
    if one.beyond == "metered":
        parts.append("then billed")
    elif is_money and one.is_used_up:
        parts.append("requests stop until then" if one.resets_at is not None else "requests stop")
    whose = _WHOSE.get((one.scope, one.shared), one.scope)
    return f"{', '.join(parts)} ({whose})"


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def _moment(when: float, now: float) -> str:
    """Return a time as short as it is clear: within a day, within a week, or a date."""
    moment = datetime.fromtimestamp(when, UTC)
    if when - now < _DAY:
        return f"{moment:%H:%M} UTC"
    return f"{moment:%a %H:%M} UTC" if when - now < 7 * _DAY else f"{moment:%Y-%m-%d}"
