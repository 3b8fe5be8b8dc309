"""Freshness, and what a credential shows of itself."""

import pytest

from keystead.credentials import Freshness, OAuthTokens
from keystead.credentials.provenance import Provenance, ProvenanceKind
from keystead.secret import Secret
from keystead.testing.store_contract import sample_login


@pytest.mark.parametrize(
    ("lifetime", "age", "expected"),
    [
        (3600.0, 0.0, Freshness.FRESH),
        (3600.0, 3299.0, Freshness.FRESH),
        (3600.0, 3300.0, Freshness.STALE),
        (3600.0, 3599.9, Freshness.STALE),
        (3600.0, 3600.0, Freshness.EXPIRED),
        (60.0, 47.0, Freshness.FRESH),
        (60.0, 48.0, Freshness.STALE),
        (0.0, 0.0, Freshness.EXPIRED),
    ],
)
def test_two_windows(lifetime: float, age: float, expected: Freshness) -> None:
    """Stale is the last five minutes, or the last fifth of a short life."""
    tokens = OAuthTokens(Secret("a"), None, issued_at=1000.0, expires_in=lifetime)

    assert tokens.freshness(1000.0 + age) is expected


@pytest.mark.requirement("R-26 clock")
@pytest.mark.parametrize(
    ("back", "expected"), [(30.0, Freshness.FRESH), (61.0, Freshness.STALE), (86_400.0, Freshness.STALE)]
)
def test_a_clock_that_was_set_back_makes_a_token_doubtful(back: float, expected: Freshness) -> None:
    """It was issued in the future, so its end would be believed too late: it is used, and renewed if that works."""
    tokens = OAuthTokens(Secret("a"), None, issued_at=1_000_000.0, expires_in=3600.0)

    assert tokens.freshness(1_000_000.0 - back) is expected


def test_a_login_shows_no_token_and_no_field_it_does_not_know() -> None:
    """A later version may keep a secret in a field this one does not know."""
    login = sample_login(access_token="canary")

    assert "canary" not in repr(login)
    assert "later" not in repr(login)


def test_a_place_reads_like_an_address() -> None:
    """File and line, or the variable's name."""
    assert str(Provenance(ProvenanceKind.VARIABLE, "A")) == "A in the environment"
    assert str(Provenance(ProvenanceKind.SETTINGS, "A", "~/.claude/settings.json", 12)) == "~/.claude/settings.json:12"
    assert str(Provenance(ProvenanceKind.FILE, "f", "~/f")) == "~/f"
