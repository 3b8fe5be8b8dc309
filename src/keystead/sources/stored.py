"""Sign-ins kept by Keystead itself: the gateway session that outranks all, and the login that ranks last."""

import os
from collections.abc import Callable
from dataclasses import replace

from keystead.credentials import Freshness, Login, LoginKind
from keystead.credentials.provenance import Provenance, ProvenanceKind
from keystead.environment import Environment
from keystead.errors import CredentialExpired, CredentialRejected
from keystead.sources.candidate import Candidate, Facts, Source
from keystead.stores import DEFAULT_PROFILE, TokenStore


def finder(kind: LoginKind) -> Callable[[Source, Facts], Candidate]:
    """Return the ``find`` of one kind of login."""

    def find(source: Source, facts: Facts) -> Candidate:
        login = facts.store.peek(kind)
        if login is None:
            return source.absent("nobody is signed in" + _in_profile(facts))
        freshness = login.tokens.freshness(facts.now)
        _require_alive(login, freshness)
        return _candidate(source, facts, login, freshness)

    return find


def place(store: TokenStore, environment: Environment) -> str:
    """Return where ``store`` is, for people: a path as it is shown elsewhere, or words."""
    location = store.location
    return environment.display(location) if os.path.isabs(location) else location  # noqa: PTH117  on each decision


def _candidate(source: Source, facts: Facts, login: Login, freshness: Freshness) -> Candidate:
    shown = place(facts.store, facts.environment)
    who = login.account.email or login.account.name or login.account.id
    return replace(
        source.found(
            f"signed in to {login.issuer}" + (f" as {who}" if who else "") + _in_profile(facts),
            Provenance(ProvenanceKind.STORE, f"sign-in to {login.issuer}", shown),
        ),
        billing=login.billing,
        payer=_payer(login),
        account=login.account,
        expires_at=login.tokens.expires_at,
        freshness=freshness,
        api_base=login.api_base,
        allowed_origins=login.allowed_origins,
        upstream=login.upstream,
        credential=login.tokens,
    )


def _in_profile(facts: Facts) -> str:
    profile = facts.store.profile
    return "" if profile == DEFAULT_PROFILE else f" (profile {profile})"


def _require_alive(login: Login, freshness: Freshness) -> None:
    """A login that ended is an error, not an absence: falling through to the next row would change who pays."""
    fix = "Run `keystead login` to sign in again, or `keystead logout` to go on without it."
    if login.retired_at is not None:
        raise CredentialRejected(f"{login.issuer} has ended this sign-in.", hint=fix)
    if freshness is Freshness.EXPIRED and login.tokens.refresh_token is None:
        raise CredentialExpired(f"The sign-in to {login.issuer} has expired and cannot be renewed.", hint=fix)


def _payer(login: Login) -> str:
    organization = login.account.organization_name or login.account.organization_id
    return f"{organization}, through {login.issuer}" if organization else f"whoever {login.issuer} charges"
