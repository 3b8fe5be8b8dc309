"""Spend limits as programs read and write them, in the documented shapes, and allowances in shapes like these."""

from datetime import UTC, datetime
from typing import Any, Final

from keystead.errors import UsageError
from keystead.server.audit.models import AuditEvent
from keystead.server.limits.facts import rule_of
from keystead.server.limits.line import Line
from keystead.server.limits.models import Limit
from keystead.server.limits.operations import Draft, cents
from keystead.server.limits.over import WARN_AT
from keystead.server.limits.report import Seat
from keystead.server.policy.limits import MICRO_PER_CENT, SHARED, SUBJECTS, Beyond, Measure, Period, Scope, source_of
from keystead.server.usage.prices import CURRENCY
from keystead.wire import ids

Document = dict[str, Any]
CALLED: Final = {Measure.SPEND: "spend_limit", Measure.ALLOWANCE: "allowance"}
"""What programs call the object of each measure of money."""
_FIELDS: Final = {
    Measure.SPEND: ("scope", "amount", "period", "shared"),
    Measure.ALLOWANCE: ("scope", "amount", "period", "beyond"),
}
_USUAL: Final = {Measure.SPEND: Period.MONTHLY, Measure.ALLOWANCE: ""}


def draft(document: Any, measure: Measure) -> Draft:
    """Return the limit that a request asks for.

    Raises:
        UsageError: a field is missing or cannot be; the message names it.
    """
    if not isinstance(document, dict):
        raise UsageError("The body is not a JSON object.", hint="Send scope, amount and period.")
    unknown = sorted(document.keys() - set(_FIELDS[measure]))
    if unknown:
        there_are = f"There are {', '.join(_FIELDS[measure][:-1])} and {_FIELDS[measure][-1]}."
        raise UsageError(f"{unknown[0][:60]}: no such field.", hint=there_are)
    scope, subject = _scope(document.get("scope"))
    amount, shared = document.get("amount", ""), document.get("shared", False not in SHARED[scope])
    if not isinstance(amount, str | None):
        raise UsageError("amount is neither a string nor null.", hint='Whole cents, such as "50000" for 500.00.')
    if not isinstance(shared, bool):
        raise UsageError("shared is neither true nor false.", hint="Leave it out for a limit per seat.")
    micro = None if amount is None else cents(amount)
    period, beyond = _period(document.get("period", _USUAL[measure])), _beyond(document.get("beyond", Beyond.STOPPED))
    return Draft(scope, subject, measure, period, micro, shared, beyond)


def _beyond(given: Any) -> Beyond:
    if given not in (*Beyond,):
        raise UsageError(f"beyond: {str(given)[:40]} is none of {', '.join(Beyond)}.", hint="Left out, requests stop.")
    return Beyond(given)


def _scope(given: Any) -> tuple[Scope, str]:
    kinds = ", ".join(Scope)
    if not isinstance(given, dict) or given.get("type") not in [*Scope]:
        raise UsageError(f"scope.type is none of {kinds}.", hint='Such as {"type": "organization"}.')
    scope = Scope(given["type"])
    field = SUBJECTS.get(scope)
    if field is None:
        return scope, ""
    subject = given.get(field)
    if not isinstance(subject, str):
        raise UsageError(f"scope.{field} is missing.", hint="It is an identifier as the console shows it.")
    return scope, subject


def _period(given: Any) -> Period:
    try:
        return Period(given)
    except ValueError as error:
        raise UsageError(f"period: {str(given)[:40]} is none.", hint="Such as daily, weekly or monthly.") from error


def of_limit(limit: Limit) -> Document:
    """Return a stored limit."""
    rule = rule_of(limit)
    more = {"beyond": rule.beyond.value} if rule.measure is Measure.ALLOWANCE else {"shared": rule.shared}
    return {
        "type": CALLED[rule.measure],
        "id": rule.id,
        "scope": source_of(rule.scope, rule.subject),
        **more,
        "amount": None if rule.amount is None else str(rule.amount // MICRO_PER_CENT),
        "currency": CURRENCY,
        "period": rule.period.value,
        "is_enabled": True,
        "created_at": _time(limit.created_at),
        "updated_at": _time(limit.updated_at),
    }


def of_line(seat: Seat, line: Line) -> Document:
    """Return what holds for one member in one period, and what they used."""
    limit, person = line.cap.limit, seat.member.person
    called, used = CALLED[limit.measure], line.used or 0
    resets_at = None if line.resets_at is None else _time(datetime.fromtimestamp(line.resets_at, UTC))
    more: Document = {"shared": limit.shared, "period_to_date_spend": str(used // MICRO_PER_CENT)}
    if limit.measure is Measure.ALLOWANCE:
        more = {"beyond": limit.beyond.value, "covered": str(used // MICRO_PER_CENT)}
    return {
        "type": f"effective_{called}",
        "actor": {
            "type": "user_actor",
            "user_id": ids.dump("membership", seat.member.pk),
            "email_address": person.email,
            "deleted": False,
        },
        "amount": str(line.cap.amount // MICRO_PER_CENT),
        "currency": CURRENCY,
        "period": limit.period.value,
        f"{called}_id": limit.id,
        "source": source_of(limit.scope, limit.subject),
        **more,
        "remaining": str((line.left or 0) // MICRO_PER_CENT),
        "resets_at": resets_at,
        "percent_used": line.percent,
        "is_warning": line.percent >= WARN_AT,
    }


def of_event(event: AuditEvent) -> Document:
    """Return one change of a limit."""
    called = CALLED[Measure(str(event.details["measure"]))]
    is_allowance = event.details["measure"] == Measure.ALLOWANCE
    more = {"beyond": event.details["beyond"]} if is_allowance else {"shared": event.details["shared"]}
    return {
        "type": f"{called}_audit_event",
        "id": ids.dump("audit_event", event.pk),
        "action": event.action.partition(":")[2],
        f"{called}_id": event.target,
        "actor": {"type": "user_actor", "user_id": event.actor},
        "created_at": _time(event.at),
        "scope": source_of(Scope(str(event.details["scope"])), str(event.details["subject"])),
        **more,
        "period": event.details["period"],
        "amount_before": _cents(event.details["before"]),
        "amount_after": _cents(event.details["amount"]),
    }


def _cents(micro: Any) -> str | None:
    return None if micro is None else str(int(micro) // MICRO_PER_CENT)


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
