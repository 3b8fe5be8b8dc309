"""Ask the other side about the credential in use: the one part of ``status`` and ``whoami`` that sends something.

A sign-in is checked at its issuer's userinfo endpoint and its identity is derived anew (R-06); a key or bearer by a
list of models, which costs nothing. A helper runs and a sign-in is renewed as they would be for a request.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from keystead.cli.surroundings import Surroundings
from keystead.credentials import Account, CloudCredential, Login, OAuthTokens
from keystead.errors import (
    CloudNotReady,
    ExpectationFailed,
    KeysteadError,
    PolicyDenied,
    SignInRequired,
    TemporaryFailure,
)
from keystead.release import GATEWAY, Authorized
from keystead.secret import Secret
from keystead.sources.candidate import Candidate

if TYPE_CHECKING:
    from keystead.wire.limits import Standing

_LOCK_PATIENCE: Final = 10.0


class Verdict(StrEnum):
    """What came of asking.

    VERIFIED: accepted just now. REJECTED: not accepted. REFUSED: known, and a rule of the server lets it do nothing.
    UNVERIFIABLE: nobody who could know has answered.
    """

    VERIFIED = "verified"
    REJECTED = "rejected"
    REFUSED = "refused"
    UNVERIFIABLE = "unverifiable"


EXIT_CODES: Final[Mapping[Verdict, int]] = {
    Verdict.VERIFIED: 0,
    Verdict.REJECTED: SignInRequired.exit_code,
    Verdict.REFUSED: PolicyDenied.exit_code,
    Verdict.UNVERIFIABLE: TemporaryFailure.exit_code,
}


@dataclass(frozen=True, slots=True)
class Verification:
    """An answer about one candidate.

    Attributes:
        reason: why it is that, a clause without a final dot.
        candidate: as it was asked about, with the account its issuer names now.
        warnings: sentences about what is not as it was stored.
        limits: what is left of those that hold, the nearest first; None where nobody tells.
    """

    verdict: Verdict
    reason: str
    candidate: Candidate
    warnings: tuple[str, ...] = ()
    limits: "tuple[Standing, ...] | None" = None

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict]

    def to_json(self) -> dict[str, Any]:
        """Return the shape of ``verification`` in ``--json`` outputs."""
        limits = None if self.limits is None else [one.to_json() for one in self.limits]
        return {"state": self.verdict, "reason": self.reason, "warnings": list(self.warnings), "limits": limits}


def verify(surroundings: Surroundings, winner: Candidate) -> Verification:
    """Ask about ``winner``. What goes wrong on the way is an answer too, and never "verified"."""
    if isinstance(winner.credential, CloudCredential):
        return _at_cloud(surroundings, winner)
    try:
        authorized = surroundings.client().credential()
        if isinstance(authorized.candidate.credential, OAuthTokens):
            return _at_issuer(surroundings, authorized)
        return _at_api(surroundings, authorized)
    except SignInRequired as error:
        return Verification(Verdict.REJECTED, error.message.rstrip("."), winner)
    except KeysteadError as error:
        return Verification(Verdict.UNVERIFIABLE, error.message.rstrip("."), winner)


def _at_cloud(surroundings: Surroundings, winner: Candidate) -> Verification:
    """Ask the cloud through its own SDK: STS for AWS, a token for Google and Entra ID."""
    try:
        found = surroundings.client().cloud(fresh=True)
    except (CloudNotReady, ExpectationFailed) as error:
        fix = (error.hint,) if error.hint else ()
        return Verification(Verdict.REJECTED, error.message.rstrip("."), winner, fix)
    except KeysteadError as error:
        return Verification(Verdict.UNVERIFIABLE, error.message.rstrip("."), winner)
    assert found is not None
    account = Account(id=found.principal, organization_id=found.account)
    seen = replace(winner, account=account, expires_at=found.expires_at)
    if not found.proven:
        reason = f"it comes from {found.source}, and only the cloud can say whether it is accepted"
        return Verification(Verdict.UNVERIFIABLE, reason, seen, found.notes)
    region = f"; region {found.region}" if found.region else ""
    reason = f"{winner.title} accepts it; it comes from {found.source}{region}"
    return Verification(Verdict.VERIFIED, reason, seen, found.notes)


def _at_issuer(surroundings: Surroundings, authorized: Authorized) -> Verification:
    from keystead.drivers import conversation
    from keystead.flows import discovery, userinfo

    network, clock = surroundings.network(), surroundings.clock
    candidate = authorized.candidate
    metadata = conversation.run(discovery.discover(authorized.api_base), network, clock)
    authorized.for_url(metadata.issuer)  # refuses an origin the sign-in does not belong to

    def ask(current: Authorized) -> Account:
        info = conversation.run(userinfo.userinfo(metadata, current.secret), network, clock)
        return Account(info.sub, info.email, info.name, info.organization_id, info.organization_name)

    account = _once_more(surroundings, authorized, ask)
    warnings = _differences(candidate.account or Account(), account)
    if warnings:
        _correct(surroundings, authorized, account)
    reason = f"{metadata.issuer} accepts it"
    found = Verification(Verdict.VERIFIED, reason, replace(candidate, account=account), warnings)
    return _at_gateway(surroundings, found) if candidate.source == GATEWAY else found


def _at_gateway(surroundings: Surroundings, accepted: Verification) -> Verification:
    """Add what the gateway says beside its issuer: that a rule lets the caller do nothing, or what is left.

    One that says nothing of it, or cannot be asked, takes nothing from the issuer's word.
    """
    from keystead.cli import limits

    client = surroundings.client()
    try:
        _, found = limits.ask(client, client.credential(), surroundings.network)
    except SignInRequired as error:
        return replace(accepted, verdict=Verdict.REJECTED, reason=error.message.rstrip("."))
    except PolicyDenied as error:
        return replace(accepted, verdict=Verdict.REFUSED, reason=error.message.rstrip("."))
    except KeysteadError:
        return accepted
    return replace(accepted, limits=found)


def _once_more(surroundings: Surroundings, authorized: Authorized, ask: Callable[[Authorized], Account]) -> Account:
    """Ask; after a refusal renew once and ask again, then it is final (R-09)."""
    try:
        return ask(authorized)
    except SignInRequired:
        return ask(surroundings.client().again(authorized))


def _differences(stored: Account, named: Account) -> tuple[str, ...]:
    pairs = (
        ("account", stored.email or stored.id, named.email or named.id, stored.id == named.id),
        (
            "organization",
            stored.organization_name or stored.organization_id,
            named.organization_name or named.organization_id,
            stored.organization_id == named.organization_id,
        ),
    )
    return tuple(
        f"The {what} was stored as {before or 'unknown'}, and its server says {now or 'none'}"
        for what, before, now, same in pairs
        if not same
    )


def _correct(surroundings: Surroundings, authorized: Authorized, account: Account) -> None:
    """Keep the identity with the token it belongs to; a token that was replaced meanwhile has its own."""
    from keystead.client import LOGIN_KINDS

    kind = LOGIN_KINDS[authorized.candidate.source]
    with surroundings.store.lock(kind, _LOCK_PATIENCE):
        login: Login | None = surroundings.store.load(kind)
        if login is not None and login.tokens.access_token == authorized.secret:
            surroundings.store.save(replace(login, account=account))


def _at_api(surroundings: Surroundings, authorized: Authorized) -> Verification:
    from keystead.wire import messages
    from keystead.wire.fields import Malformed
    from keystead.wire.http import Request

    url = f"{authorized.api_base}/v1/models?limit=1"
    headers: dict[str, str | Secret] = {"anthropic-version": messages.VERSION, **authorized.for_url(url)}
    response = surroundings.network().send(Request("GET", url, headers))
    candidate, base = authorized.candidate, authorized.api_base
    if response.status == 200:
        try:
            offers = bool(messages.parse_models(response.body))
        except Malformed:
            offers = False
        if not offers:  # a portal's or proxy's page, in whatever format
            return Verification(Verdict.UNVERIFIABLE, f"{base} answered with something other than models", candidate)
        return Verification(Verdict.VERIFIED, f"{base} accepts it", candidate)
    error = messages.parse_error(response.body)
    said = f": {authorized.masked(error.message).rstrip('.')}" if error is not None else ""
    if response.status == 401:
        return Verification(Verdict.REJECTED, f"{base} refuses it{said}", candidate)
    if response.status == 403 and error is not None:
        return Verification(Verdict.REFUSED, f"{base} lets it do nothing{said}", candidate)
    return Verification(Verdict.UNVERIFIABLE, f"{base} answered with HTTP {response.status}{said}", candidate)
