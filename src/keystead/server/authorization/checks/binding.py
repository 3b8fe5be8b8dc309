"""Whether tokens are bound to a key (DPoP, RFC 9449), and whether whoever asks has it.

An access token is bound to the key that signed the request for it. A public client's refresh tokens are bound to it
too, from the first request that is signed; a confidential client's are bound to the client, which authenticates.
"""

from datetime import datetime
from typing import Final

from keystead.server.authorization import spent_assertions
from keystead.server.authorization.models import Grant
from keystead.server.authorization.refusals import Refusal
from keystead.server.authorization.sign_ins import Redeemed
from keystead.server.authorization.surroundings import issuer
from keystead.server.dpop import BadProof, Checker, Expected, Nonces
from keystead.server.sealing import derived_key

HEADER: Final = "DPoP"
NONCE_HEADER: Final = "DPoP-Nonce"


def nonces() -> Nonces:
    """Return what this installation has signed, the same on each of its servers."""
    return Nonces(derived_key("dpop nonces"))


def _spend(thumbprint: str, jti: str, until: float, _now: float) -> bool:
    """Remember a proof in the database, which all servers of the installation share."""
    return spent_assertions.spend(f"dpop {thumbprint}", jti, until)


def nonce_header(now: datetime) -> dict[str, str]:
    """Return the header that tells a client what to sign next."""
    return {NONCE_HEADER: nonces().current(now.timestamp())}


def proven_key(proof: str | None, expected: Expected, now: datetime) -> str:
    """Return the thumbprint of the key that signed the request, or an empty string when it is not signed.

    Args:
        proof: the header.
        expected: the request; its ``uri`` is the path only.
        now: when.

    Raises:
        Refusal: ``invalid_dpop_proof``, or ``use_dpop_nonce`` with the nonce to use.
    """
    if proof is None:
        return ""
    full = Expected(expected.method, issuer() + expected.uri, expected.token)
    try:
        return Checker(nonces(), _spend).thumbprint(proof, full, now.timestamp())
    except BadProof as bad:
        raise Refusal(bad.error, bad.reason, 400, nonce_header(now)) from bad


def hold(redeemed: Redeemed, key: str) -> None:
    """Hold a sign-in, its client and its code to the key they are bound to, and bind what is to be bound.

    Raises:
        Refusal: ``invalid_dpop_proof``.
    """
    grant = redeemed.grant
    if not key and grant.client.dpop_bound:
        raise Refusal("invalid_dpop_proof", "This client must sign its requests (DPoP).")
    if redeemed.key_thumbprint not in ("", key):
        raise other_key("token")
    if not key or grant.key_thumbprint or redeemed.refresh_token is None or grant.client.is_confidential:
        return
    if not Grant.objects.filter(pk=grant.pk, key_thumbprint__in=("", key)).update(key_thumbprint=key):
        raise other_key("token")


def other_key(name: str) -> Refusal:
    """Return the refusal of a request that is not signed with the key that its ``name`` is bound to."""
    return Refusal("invalid_dpop_proof", f"The request must be signed with the key that its {name} is bound to (DPoP).")
