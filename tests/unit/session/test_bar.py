from hypothesis import given
from hypothesis import strategies as st

from keystead.credentials import Account, BillingClass, Freshness
from keystead.resolver import Resolution
from keystead.session import bar
from keystead.sources.candidate import Candidate, CandidateState


def when(timestamp: float) -> str:
    return f"at {timestamp:g}"


def said(winner: Candidate | None) -> list[str]:
    return bar.parts("work", Resolution(winner, ()), when)


def candidate(**facts: object) -> Candidate:
    return Candidate("x", "Gateway session", CandidateState.SELECTED, "", **facts)  # type: ignore[arg-type]


def test_it_says_profile_source_payer_and_expiry() -> None:
    winner = candidate(account=Account(organization_name="Example Ltd"), expires_at=5.0, freshness=Freshness.FRESH)

    assert said(winner) == ["profile work", "Gateway session", "Example Ltd pays", "expires at 5"]


def test_without_an_organization_it_says_how_it_is_paid() -> None:
    assert said(candidate(billing=BillingClass.METERED))[2] == "paid per token"


def test_an_expired_sign_in_is_renewed_when_it_is_needed() -> None:
    assert said(candidate(expires_at=5.0, freshness=Freshness.EXPIRED))[-1] == "renewed at the next question"


def test_without_a_credential_it_says_what_to_do() -> None:
    assert said(None) == ["profile work", "no credential: /login or /status"]


def test_a_narrow_terminal_gets_more_lines() -> None:
    texts = ["profile work", "Gateway session", "Example Ltd pays"]

    assert bar.fold(texts, 80) == ["profile work · Gateway session · Example Ltd pays"]
    assert bar.fold(texts, 40) == ["profile work · Gateway session", "Example Ltd pays"]


@given(st.lists(st.text()), st.integers(min_value=2, max_value=100))
def test_no_line_is_wider_than_the_terminal_or_moves_its_cursor(texts: list[str], width: int) -> None:
    lines = bar.fold(texts, width)

    assert all(len(line) <= width for line in lines)
    assert all(line.isprintable() for line in lines)
