"""The legal wall's table."""

from datetime import date

import pytest

from keystead.credentials.rules import RULES, VENDOR_SUBSCRIPTION, CredentialRule, refusal


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_is_dated_and_cited(rule: CredentialRule) -> None:
    """A rule nobody can check is no rule."""
    assert date.fromisoformat(rule.dated)
    assert rule.source
    assert rule.url.startswith("https://")


def test_a_denial_offers_the_lawful_alternative() -> None:
    """Whoever is refused learns what to do instead."""
    assert all(rule.alternative for rule in RULES if rule.denied)


def test_a_refusal_names_the_rule_its_source_and_its_date() -> None:
    """And exits with 77."""
    error = refusal(VENDOR_SUBSCRIPTION, "CLAUDE_CODE_OAUTH_TOKEN")

    for part in (
        "CLAUDE_CODE_OAUTH_TOKEN",
        VENDOR_SUBSCRIPTION.id,
        VENDOR_SUBSCRIPTION.source,
        VENDOR_SUBSCRIPTION.url,
        VENDOR_SUBSCRIPTION.dated,
    ):
        assert part in error.message
    assert error.hint == VENDOR_SUBSCRIPTION.alternative
    assert error.exit_code == 77
