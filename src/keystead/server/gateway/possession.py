"""Tokens that are bound to a key (DPoP, RFC 9449 section 7): the request beside them must be signed with it.

Nothing here runs for a bearer token or an API key. For a bound one, the token's own signature and the proof's key are
remembered, so that a request costs the one signature that is new in it.
"""

from keystead.server.assertions import ALGORITHMS
from keystead.server.dpop import BadProof, Checker, Expected
from keystead.server.gateway.refusals import Refusal
from keystead.server.policy import Principal


class Possession:
    """Checks the proofs of one gateway.

    Args:
        checker: nonces, and the memory of used proofs.
        origin: the address clients use, as it stands in their proofs.
    """

    def __init__(self, checker: Checker, origin: str) -> None:
        self._checker = checker
        self._origin = origin

    def check(self, principal: Principal, signed: tuple[bytes, bytes, bytes | None, bytes], now: float) -> None:
        """Check that whoever sends the request holds the key of its token.

        Args:
            principal: whose token it is.
            signed: method, target, the ``DPoP`` header, and the token.
            now: Unix seconds.

        Raises:
            Refusal: 401, with the nonce to sign when that is what is missing.
        """
        method, target, proof, token = signed
        if proof is None:
            raise self._refusal("The access token is bound to a key: send a DPoP proof with it.", now)
        path = target.partition(b"?")[0].decode("latin-1")
        expected = Expected(method.decode("latin-1"), self._origin + path, token.decode("latin-1"))
        try:
            thumbprint = self._checker.thumbprint(proof.decode("latin-1"), expected, now)
        except BadProof as bad:
            raise self._refusal(bad.reason, now, bad.error) from bad
        if thumbprint != principal.key_thumbprint:
            raise self._refusal("The request is not signed with the key that the access token is bound to.", now)

    def _refusal(self, message: str, now: float, error: str = "invalid_token") -> Refusal:
        challenge = f'DPoP realm="keystead", error="{error}", algs="{" ".join(ALGORITHMS)}"'
        nonce = self._checker.nonces.current(now)
        return Refusal(401, message, ("www-authenticate", challenge), ("dpop-nonce", nonce))
