"""What somebody is told whom a limit stops, or will stop soon. Pure."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from keystead.server.policy.limits import MONEY, Beyond, Cap, Limit, Measure, Period, Scope
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
    (Measure.SPEND, Period.DAILY): "daily spend limit",
    (Measure.SPEND, Period.WEEKLY): "weekly spend limit",
    (Measure.SPEND, Period.MONTHLY): "monthly spend limit",
    (Measure.SPEND, Period.FIVE_HOURS): "spend limit for 5 hours",
    (Measure.SPEND, Period.SEVEN_DAYS): "spend limit for 7 days",
    (Measure.ALLOWANCE, Period.FIVE_HOURS): "allowance for 5 hours",
    (Measure.ALLOWANCE, Period.SEVEN_DAYS): "allowance for 7 days",
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
        limit: which one; None where that is not known.
    """

    status: int
    kind: str
    sentence: str
    retry_after: int | None
    limit: Limit | None = None

    @property
    def limit_id(self) -> str:
        """``spl_…``, or empty."""
        return "" if self.limit is None else self.limit.id


STALE: Final = Denial(
    503,
    "api_error",
    "What is left of your limits cannot be known at the moment, so no request is served. Try again shortly; it is for "
    "the operator of the gateway to look.",
    5,
)


def over(cap: Cap, counter: Counter, wanted: int, now: float) -> Denial:
    """Return why ``wanted`` more is refused; the counter has been looked at."""
    if cap.limit.measure not in MONEY:
        return _rate(cap, counter, wanted, now)
    if counter.used + wanted <= cap.amount:
        return Denial(
            429,
            "rate_limit_error",
            f"What is left of {_whose(cap).lower()} {_called(cap)} is held for requests under way. Try again when one "
            f"of them has ended (limit {cap.limit.id}).",
            _SOON,
            cap.limit,
        )
    opens = counter.room_at(max(cap.amount - wanted, 0), now) or now
    sentence = _spent(cap, counter, wanted, opens)
    if cap.limit.measure is Measure.ALLOWANCE:
        after = None if wanted > cap.amount else max(1, math.ceil(opens - now))
        return Denial(429, "rate_limit_error", sentence, after, cap.limit)
    return Denial(429, "billing_error", sentence, None, cap.limit)


def _spent(cap: Cap, counter: Counter, wanted: int, opens: float) -> str:
    left = max(cap.amount - counter.used, 0)
    until = datetime.fromtimestamp(opens, UTC)
    wait = f"wait until {until:%Y-%m-%d %H:%M} UTC"
    if not left:
        what = f"is used up: {wait}"
    elif wanted <= cap.amount:
        what = f"has {_money(left)} left, and this request may cost up to {_money(wanted)}: lower max_tokens, or {wait}"
    else:
        what = f"has {_money(left)} left, and this request may cost up to {_money(wanted)}: lower max_tokens"
    return f"{_whose(cap)} {_called(cap)} {what}. An administrator can raise it (limit {cap.limit.id})."


def near(cap: Cap, counter: Counter) -> str:
    """Return what to say beside an answer when a limit of money is nearly used up; else nothing."""
    if cap.limit.measure not in MONEY or counter.used * 100 < cap.amount * WARN_AT:
        return ""
    after = ", and what goes beyond it is billed" if cap.limit.beyond is Beyond.METERED else ""
    percent = counter.used * 100 // max(cap.amount, 1)
    return f"{_whose(cap)} {_called(cap)} is used up to {percent} percent{after} ({cap.limit.id})"


def _rate(cap: Cap, counter: Counter, wanted: int, now: float) -> Denial:
    free = counter.room_at(cap.amount - counter.held - wanted, now)
    after = _SOON if free is None else max(1, math.ceil(free - now))
    if cap.limit.measure is Measure.TOKENS and wanted > cap.amount:
        more = f"and this request alone may use {wanted}: lower max_tokens, or send less"
    elif cap.limit.measure is Measure.CONCURRENT or free is None:
        more = "which is reached: send fewer at a time"
    else:
        more = f"which is reached: wait {after} s, or send fewer"
    return Denial(
        429,
        "rate_limit_error",
        f"{_whose(cap)} limit is {cap.amount} {_RATES[cap.limit.measure]}, {more}. "
        f"An administrator can raise it (limit {cap.limit.id}).",
        after,
        cap.limit,
    )


def _whose(cap: Cap) -> str:
    return _WHOSE[cap.limit.scope] if cap.limit.shared else "Your"


def _called(cap: Cap) -> str:
    return f"{_CALLED[cap.limit.measure, cap.limit.period]} of {_money(cap.amount)}"


def _money(micro: int) -> str:
    return f"{amount(micro, 2 if micro % 10_000 == 0 else 6)} {CURRENCY}"
