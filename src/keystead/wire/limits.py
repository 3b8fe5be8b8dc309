"""What is left of a caller's limits, as a gateway tells it: ``GET /v1/me/limits``.

Money is whole cents of the currency in a string, rounded down, as in the vendor's spend limits API; what is no money
is a number in a string, and has no currency. What a newer server calls something is kept as it is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from keystead.wire import fields
from keystead.wire.fields import Fields, Malformed

PATH: Final = "/v1/me/limits"
_LONGEST: Final = 18
"""Digits of an amount."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One limit, and how its caller stands.

    Attributes:
        limit_id: ``spl_…``, by which an administrator finds it.
        measure: ``spend``, ``allowance``, ``requests``, ``tokens`` or ``concurrent``.
        period: such as ``monthly``, or ``five_hours`` for a window that reaches back from now.
        source: whom it was set for: ``type``, and the identifier of what that names.
        shared: one pot for all who draw on it.
        beyond: ``stopped`` or ``metered``: what becomes of requests for which nothing is left.
        amount: at most this much; cents of money.
        used: of it.
        remaining: what is left.
        percent: of it that is used; more than 100 where it was overspent.
        currency: such as ``USD``; None for what is no money.
        resets_at: Unix seconds; of a window, when the first of what is used leaves it; None when nothing will.
        is_gradual: whether what is used leaves it little by little.
        is_warning: whether it is nearly used up.
    """

    limit_id: str
    measure: str
    period: str
    source: Mapping[str, str] = field(hash=False)
    shared: bool
    beyond: str
    amount: int
    used: int
    remaining: int
    percent: int
    currency: str | None
    resets_at: float | None
    is_gradual: bool
    is_warning: bool

    @property
    def is_used_up(self) -> bool:
        """Whether nothing is left; ``remaining`` is rounded down and cannot say it."""
        return self.percent >= 100

    @property
    def scope(self) -> str:
        """Whom it was set for, such as ``organization`` or ``rbac_group``."""
        return self.source.get("type", "")

    def to_json(self) -> dict[str, Any]:
        """Return it as it is on the wire."""
        moment = None if self.resets_at is None else datetime.fromtimestamp(self.resets_at, UTC)
        return {
            "type": "limit",
            "limit_id": self.limit_id,
            "measure": self.measure,
            "period": self.period,
            "source": dict(self.source),
            "shared": self.shared,
            "beyond": self.beyond,
            "amount": str(self.amount),
            "used": str(self.used),
            "remaining": str(self.remaining),
            "percent_used": self.percent,
            "currency": self.currency,
            "resets_at": None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}",
            "is_gradual": self.is_gradual,
            "is_warning": self.is_warning,
        }


def dump(standings: Iterable[Standing]) -> bytes:
    """Return the answer, in this order."""
    return fields.dump({"type": "limits", "data": [one.to_json() for one in standings]})


def parse(body: bytes) -> tuple[Standing, ...]:
    """Read what :func:`dump` writes.

    Raises:
        Malformed: it is something else.
    """
    document = Fields.parse(body, "list of limits")
    if document.text("type") != "limits":
        raise Malformed("the list of limits is something else")
    return tuple(_standing(one) for one in document.objects("data"))


def _standing(one: Fields) -> Standing:
    return Standing(
        one.text("limit_id"),
        one.text("measure"),
        one.text("period"),
        one.object("source").all_texts(),
        one.flag("shared"),
        one.text("beyond"),
        _whole(one, "amount"),
        _whole(one, "used"),
        _whole(one, "remaining"),
        int(one.number("percent_used")),
        one.optional_text("currency"),
        _time(one),
        one.flag("is_gradual"),
        one.flag("is_warning"),
    )


def _whole(one: Fields, name: str) -> int:
    text = one.text(name)
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST):
        raise Malformed(f"{name} of a limit is not a whole number in a string")
    return int(text)


def _time(one: Fields) -> float | None:
    text = one.optional_text("resets_at")
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise Malformed("resets_at of a limit is not a time such as 2026-11-26T21:40:00Z") from error
