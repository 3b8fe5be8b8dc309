"""An issuer of identity tokens, such as a build platform: a key, the tokens it signs, and what it publishes."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from local_server import Answer, LocalServer, local_server


@dataclass
class TokenIssuer:
    """Signs with its newest key, and publishes all of them unless they were withdrawn."""

    url: str
    keys: list[tuple[str, ECKey | RSAKey]] = field(default_factory=list)
    server: LocalServer | None = None

    def __post_init__(self) -> None:
        if not self.keys:
            self.add_key()

    def add_key(self) -> str:
        kid = f"key-{len(self.keys) + 1}"
        self.keys.append((kid, ECKey.generate_key("P-256")))
        return kid

    @property
    def jwks(self) -> dict[str, Any]:
        return {"keys": [{**key.as_dict(private=False), "kid": kid, "use": "sig"} for kid, key in self.keys]}

    def token(self, *, now: float, key: int = -1, **claims: Any) -> str:
        """Return a token in the shape of a GitHub Actions one, changed by ``claims``; None leaves a claim out."""
        usual = {
            "iss": self.url,
            "aud": "http://127.0.0.1:8420",
            "sub": "repo:acme/app:ref:refs/heads/main",
            "repository": "acme/app",
            "repository_owner": "acme",
            "iat": int(now),
            "exp": int(now) + 600,
            "jti": json.dumps([now, len(self.keys), sorted(claims)]),
        }
        kid, signing = self.keys[key]
        content = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        return jwt.encode({"alg": "ES256", "kid": kid}, content, signing, ["ES256"])

    @property
    def asked(self) -> list[str]:
        assert self.server is not None
        return [one.path for one in self.server.asked]


@contextmanager
def running_issuer(before: Callable[[], object] = lambda: None) -> Iterator[TokenIssuer]:
    """Serve an issuer's discovery document and keys on loopback; ``before`` runs before the document is given."""
    issuer = TokenIssuer("")

    def document(_: object) -> Answer:
        before()
        return 200, "application/json", {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/jwks"}

    def keys(_: object) -> Answer:
        return 200, "application/json", issuer.jwks

    with local_server({"GET /.well-known/openid-configuration": document, "GET /jwks": keys}) as server:
        issuer.url, issuer.server = server.url, server
        yield issuer
