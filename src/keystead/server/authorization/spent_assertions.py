"""Signed statements that work once: remembered until they expire (RFC 7523, RFC 9449)."""

import hashlib
from datetime import UTC, datetime, timedelta

from keystead.server.assertions import LEEWAY
from keystead.server.authorization.models import SpentAssertion
from keystead.server.statements import store_first


def spend(signer: str, jti: str, expires_at: float) -> bool:
    """Remember one statement; returns False when it was spent before. Of many at once exactly one is first.

    Args:
        signer: whose ``jti`` it is; two signers may use the same one.
        jti: the statement's name.
        expires_at: Unix seconds of its end, which must have been checked to be near.
    """
    digest = hashlib.sha256(f"{len(signer)} {signer} {jti}".encode()).digest()
    until = datetime.fromtimestamp(expires_at, UTC) + timedelta(seconds=2 * LEEWAY)
    return store_first(SpentAssertion, digest=digest, expires_at=until)
