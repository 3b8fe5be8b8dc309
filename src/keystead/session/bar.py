"""The prompt bar: profile, source, who pays, expiry; on as many lines as a narrow terminal needs."""

from collections.abc import Callable, Iterable
from typing import Final

from keystead.credentials import BillingClass, Freshness
from keystead.resolver import Resolution
from keystead.sources.candidate import Candidate

_PAYERS: Final = {
    BillingClass.SUBSCRIPTION: "paid by subscription",
    BillingClass.METERED: "paid per token",
    BillingClass.CLOUD: "on the cloud's bill",
    BillingClass.GATEWAY: "paid by the gateway",
    BillingClass.UNKNOWN: "payer not known",
}
_BETWEEN: Final = " · "


def parts(profile: str, resolution: Resolution, when: Callable[[float], str]) -> list[str]:
    """Return what the bar says.

    Args:
        profile: the account in use, by name.
        resolution: which credential is used.
        when: turns Unix seconds into words.
    """
    winner = resolution.winner
    said = [f"profile {profile}"]
    if winner is None:
        return [*said, "no credential: /login or /status"]
    said += [winner.title, _payer(winner)]
    if winner.expires_at is not None:
        ended = winner.freshness is Freshness.EXPIRED
        said.append("renewed at the next question" if ended else f"expires {when(winner.expires_at)}")
    return said


def _payer(winner: Candidate) -> str:
    account = winner.account
    organization = account and (account.organization_name or account.organization_id)
    return f"{organization} pays" if organization else _PAYERS[winner.billing]


def fold(texts: Iterable[str], width: int) -> list[str]:
    """Return ``texts`` on lines of at most ``width`` columns, each whole where it fits; control characters go."""
    lines: list[str] = []
    for text in ("".join(one if one.isprintable() else "\ufffd" for one in text) for text in texts):
        cut = text if len(text) <= width else f"{text[: max(0, width - 1)]}…"
        joined = f"{lines[-1]}{_BETWEEN}{cut}" if lines else cut
        if lines and len(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(cut)
    return lines
