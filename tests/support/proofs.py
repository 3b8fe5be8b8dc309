"""A program that holds a key and signs its requests with it (DPoP, RFC 9449)."""

import base64
import hashlib
import itertools
import json
from dataclasses import dataclass, field
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey


@dataclass
class Signer:
    """Makes proofs; what a test wants to be wrong with one is an argument."""

    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    number: Any = field(default_factory=lambda: itertools.count(1))

    @property
    def thumbprint(self) -> str:
        return self.key.thumbprint()

    def proof(self, method: str, uri: str, now: float, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """Return a proof; a claim that is None is left out."""
        claims = {"htm": method, "htu": uri, "iat": int(now), "jti": f"proof-{next(self.number)}", **changes}
        whole = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.as_dict(private=False), **(header or {})}
        kept = {name: value for name, value in claims.items() if value is not None}
        return jws.serialize_compact(whole, json.dumps(kept), self.key, [whole["alg"]])


def token_hash(token: str) -> str:
    """Return the ``ath`` of an access token."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
