"""Whether a credential is of the purse that was declared: account, organization, provider, billing class (B-05)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from keystead.credentials import ANTHROPIC_API, Account, BillingClass
from keystead.errors import ExpectationFailed
from keystead.sources.candidate import Candidate
from keystead.stores.expectations import Expectation

PROVIDERS: Final = ("anthropic", "bedrock", "foundry", "aws", "mantle", "vertex", "gateway")
"""Whose service a request goes to; a server's own address such as ``https://keys.example.com`` is one too."""


def _account(candidate: Candidate) -> list[str | None]:
    account = candidate.account or Account()
    return [account.email, account.id]


def _organization(candidate: Candidate) -> list[str | None]:
    account = candidate.account or Account()
    return [account.organization_name, account.organization_id]


def _provider(candidate: Candidate) -> list[str | None]:
    if candidate.source.startswith("cloud:"):
        return [candidate.source.removeprefix("cloud:")]
    named = "gateway" if candidate.billing is BillingClass.GATEWAY else None
    if candidate.allowed_origins == {ANTHROPIC_API}:
        named = "anthropic"
    return [named, *sorted(candidate.allowed_origins)]


def _billing(candidate: Candidate) -> list[str | None]:
    return [None if candidate.billing is BillingClass.UNKNOWN else candidate.billing.value]


NAMES_OF: Final[Mapping[str, Callable[[Candidate], list[str | None]]]] = {
    "account": _account,
    "organization": _organization,
    "provider": _provider,
    "billing": _billing,
}
"""Field -> the names a credential answers to, the best known first; what is not known answers to none."""


_ASKED_LATER: Final = frozenset({"account", "organization"})
"""What only a cloud itself can say: :meth:`keystead.client.Client.cloud` looks again when it has been asked."""


def mismatch(candidate: Candidate, expectations: Iterable[Expectation]) -> ExpectationFailed | None:
    """Return why ``candidate`` is not what is expected, or None when it is; what is not known does not hold."""
    for expectation in expectations:
        unlike = first_unlike(candidate, expectation.expected)
        if unlike is not None:
            return _failed(candidate, expectation, *unlike)
    return None


def first_unlike(candidate: Candidate, expected: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the first field in which ``candidate`` is another than ``expected``, and what it is; None when none is."""
    later = _ASKED_LATER if candidate.source.startswith("cloud:") and candidate.account is None else frozenset()
    for field, wanted in expected.items():
        if field in later:
            continue
        known = [name for name in NAMES_OF[field](candidate) if name]
        if wanted.casefold() not in (name.casefold() for name in known):
            return field, known[0] if known else "not known"
    return None


def _failed(candidate: Candidate, expectation: Expectation, field: str, found: str) -> ExpectationFailed:
    flag = (
        f"--directory {expectation.directory}"
        if expectation.directory is not None
        else f"--profile {expectation.profile}"
    )
    place = candidate.provenance
    gone = (
        f"Take {place.name} out of {place.path}" if place and place.path else f"Unset {place.name if place else 'it'}"
    )
    return ExpectationFailed(
        f"{candidate.title} ({place}) would be used, and its {field} is {found}; "
        f"{expectation.place} expects {field}={expectation.expected[field]}.",
        hint=f"{gone}, or change what is expected: keystead expect --remove {flag}",
    )
