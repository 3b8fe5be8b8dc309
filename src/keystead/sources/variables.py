"""The two credential variables: a bearer token and an API key."""

from dataclasses import replace

from keystead.credentials import ApiKey, Bearer, BillingClass
from keystead.credentials.lint import clean
from keystead.errors import ConfigurationError, MalformedSecret
from keystead.secret import Secret
from keystead.sources import base_url
from keystead.sources.base_url import BaseUrl
from keystead.sources.candidate import Approval, Candidate, CandidateState, Facts, Source
from keystead.sources.configuration import require_trusted
from keystead.stores.approvals import Decision


def find_auth_token(source: Source, facts: Facts) -> Candidate:
    """Look at ``ANTHROPIC_AUTH_TOKEN``, sent as a bearer."""
    found = _find(source, facts, "ANTHROPIC_AUTH_TOKEN")
    if isinstance(found, Candidate):
        return found
    candidate, secret = found
    return replace(candidate, credential=Bearer(secret))


def find_api_key(source: Source, facts: Facts) -> Candidate:
    """Look at ``ANTHROPIC_API_KEY``, sent as ``x-api-key``; with a person present it needs their approval (S-05)."""
    found = _find(source, facts, "ANTHROPIC_API_KEY")
    if isinstance(found, Candidate):
        return found
    candidate, secret = found
    candidate = replace(candidate, credential=ApiKey(secret))
    if not facts.interactive:
        return candidate
    return _approved(candidate, facts.approvals.decision(secret, next(iter(candidate.allowed_origins))))


def _find(source: Source, facts: Facts, variable: str) -> Candidate | tuple[Candidate, Secret]:
    reading = facts.configuration.variable(variable)
    require_trusted(reading)
    if reading.value is None:
        return source.absent(f"{variable} is not set")
    secret = clean(reading.value.text, reading.value.name)
    base = base_url.read(facts.configuration)
    check_own_token(secret, reading.value.name, custom=base.custom)
    candidate = bound(source.found(f"{variable} is set", reading.value.provenance), base)
    if reading.warnings:
        candidate = replace(candidate, warnings=(*reading.warnings, *candidate.warnings))
    return candidate, secret


def bound(candidate: Candidate, base: BaseUrl) -> Candidate:
    """Bind ``candidate`` to the origin of ``base``; another origin than the vendor's means another payer."""
    candidate = replace(candidate, api_base=base.url, allowed_origins=frozenset({base.origin}), warnings=base.warnings)
    if not base.custom:
        return candidate
    return replace(
        candidate,
        billing=BillingClass.GATEWAY,
        payer=f"whoever the gateway at {base.origin} charges ({_set_by(base)})",
    )


def _set_by(base: BaseUrl) -> str:
    place = base.place or ""
    return place if base_url.VARIABLE in place else f"{base_url.VARIABLE} from {place}"


def check_own_token(secret: Secret, name: str, *, custom: bool) -> None:
    """Name a damaged Keystead token without a request (R-12), and keep one from going to another's server.

    Raises:
        MalformedSecret: it is a Keystead token and damaged.
        ConfigurationError: it is one that is not sent with requests, or not to the vendor.
    """
    text = secret.reveal()
    if not text.startswith("ks"):
        return
    from keystead.wire import tokens  # on demand, for the sake of start-up

    if not text.startswith(tuple(tokens.TokenKind)):
        return
    kind = tokens.parse(text)
    if isinstance(kind, tokens.TokenFault):
        raise MalformedSecret(f"{name} is a damaged Keystead token: {kind.reason}.", hint="Copy it again whole.")
    if kind is not tokens.TokenKind.API_KEY:
        raise ConfigurationError(
            f"{name} holds a Keystead {kind.name.lower().replace('_', ' ')}, which is not sent with requests.",
            hint="Create an API key in the console of that server, or run `keystead login`.",
        )
    if not custom:
        raise ConfigurationError(
            f"{name} is a Keystead token, but {base_url.VARIABLE} does not say which server it belongs to.",
            hint=f"Set {base_url.VARIABLE} to the address of that server.",
        )


def _approved(candidate: Candidate, decision: Decision | None) -> Candidate:
    if decision is None:
        return replace(
            candidate, state=CandidateState.DECLINED, reason="set, but not yet approved", approval=Approval.PENDING
        )
    if decision.accepted:
        return replace(candidate, reason=f"set, and approved on {decision.date}", approval=Approval.ACCEPTED)
    return replace(
        candidate,
        state=CandidateState.DECLINED,
        reason=f"set, but declined on {decision.date}",
        approval=Approval.DECLINED,
    )
