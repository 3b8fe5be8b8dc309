"""What somebody is told whom a limit stops, or will stop soon. Pure."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from keystead.server.policy.limits import Cap, Measure, Period, Scope
from keystead.server.policy.windows import Counter
from keystead.server.usage.prices import CURRENCY, amount

WARN_AT: Final = 80
"""Percent of a spend limit from which on every answer says how much is used."""
_SOON: Final = 2
"""Seconds after which a request is worth another try that only what is under way stands against."""
_WHOSE: Final = {
    Scope.ORGANIZATION: "Your organization's",
    Scope.WORKSPACE: "Your workspace's",
    Scope.GROUP: "Your group's",
    Scope.KEY: "This API key's",
}
_CALLED: Final = {
    Period.DAILY: "daily spend limit",
    Period.WEEKLY: "weekly spend limit",
    Period.MONTHLY: "monthly spend limit",
    Period.FIVE_HOURS: "allowance for 5 hours",
    Period.SEVEN_DAYS: "allowance for 7 days",
}
_RATES: Final = {
    Measure.REQUESTS: "requests per minute",
    Measure.TOKENS: "tokens per minute",
    Measure.CONCURRENT: "requests at the same time",
}


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a limit refuses a request.

    Attributes:
        status: HTTP status.
        kind: the error's type.
        sentence: which limit, whose move it is, and when it resets.
        retry_after: seconds after which it is worth another try, or None when trying again is pointless for now.
        limit_id: ``spl_…``.
    """

    status: int
    kind: str
    sentence: str
    retry_after: int | None
    limit_id: str = ""


STALE: Final = Denial(
    503,
    "api_error",
    "What is left of your limits cannot be known at the moment, so no request is served. Try again shortly; it is for "
    "the operator of the gateway to look.",
    5,
)


def over(cap: Cap, counter: Counter, wanted: int, now: float) -> Denial:
    """Return why ``wanted`` more is refused; the counter has been looked at."""
    if cap.limit.measure is not Measure.SPEND:
        return _rate(cap, counter, wanted, now)
    if counter.used + wanted <= cap.amount:
        return Denial(
            429,
            "rate_limit_error",
            f"What is left of {_whose(cap).lower()} {_CALLED[cap.limit.period]} of {_money(cap.amount)} is held for "
            f"requests under way. Try again when one of them has ended (limit {cap.limit.id}).",
            _SOON,
            cap.limit.id,
        )
    return Denial(429, "billing_error", _spent(cap, counter, wanted, now), None, cap.limit.id)


def _spent(cap: Cap, counter: Counter, wanted: int, now: float) -> str:
    left = max(cap.amount - counter.used, 0)
    until = datetime.fromtimestamp(counter.room_at(max(cap.amount - wanted, 0), now) or now, UTC)
    wait = f"wait until {until:%Y-%m-%d %H:%M} UTC"
    if not left:
        what = f"is used up: {wait}"
    elif wanted <= cap.amount:
        what = f"has {_money(left)} left, and this request may cost up to {_money(wanted)}: lower max_tokens, or {wait}"
    else:
        what = f"has {_money(left)} left, and this request may cost up to {_money(wanted)}: lower max_tokens"
    whose = f"{_whose(cap)} {_CALLED[cap.limit.period]} of {_money(cap.amount)}"
    return f"{whose} {what}. An administrator can raise it (limit {cap.limit.id})."


def near(cap: Cap, counter: Counter) -> str:
    """Return what to say beside an answer when a spend limit is nearly used up; else nothing."""
    if cap.limit.measure is not Measure.SPEND or counter.used * 100 < cap.amount * WARN_AT:
        return ""
    called = f"{_whose(cap)} {_CALLED[cap.limit.period]} of {_money(cap.amount)}"
    return f"{called} is used up to {counter.used * 100 // max(cap.amount, 1)} percent ({cap.limit.id})"


def _rate(cap: Cap, counter: Counter, wanted: int, now: float) -> Denial:
    free = counter.room_at(cap.amount - counter.held - wanted, now)
    if cap.limit.measure is Measure.TOKENS and wanted > cap.amount:
        more = f"and this request alone may use {wanted}: lower max_tokens, or send less"
    else:
        more = "which is reached: send fewer at a time"
    return Denial(
        429,
        "rate_limit_error",
        f"{_whose(cap)} limit is {cap.amount} {_RATES[cap.limit.measure]}, {more}. "
        f"An administrator can raise it (limit {cap.limit.id}).",
        _SOON if free is None else max(1, math.ceil(free - now)),
        cap.limit.id,
    )


def _whose(cap: Cap) -> str:
    return _WHOSE[cap.limit.scope] if cap.limit.shared else "Your"


def _money(micro: int) -> str:
    return f"{amount(micro, 2 if micro % 10_000 == 0 else 6)} {CURRENCY}"
