"""An OpenID provider that says whatever a test wants: right, wrong, stale, unsigned or somebody else's."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from local_server import Answer, Asked, LocalServer, local_server

CLIENT_ID = "keystead-test"
CLIENT_SECRET = "a client secret of the tests"


def now() -> int:
    return int(datetime.now(UTC).timestamp())


@dataclass
class ForgedProvider:
    """A real server on loopback; ``said`` is what the next ID token claims on top of the right claims.

    Attributes:
        header: what the next ID token's header says on top of the right one.
        metadata: what discovery says on top of the right one.
        refresh: the answer to a refresh.
    """

    server: LocalServer
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", parameters={"kid": "k1"}))
    said: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    refresh_token: str | None = None
    refresh: Answer = (400, "application/json", {"error": "invalid_grant"})
    nonce: str = ""

    @property
    def issuer(self) -> str:
        return self.server.url

    def discovery(self) -> dict[str, Any]:
        right = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "scopes_supported": ["openid", "email", "offline_access"],
            "authorization_response_iss_parameter_supported": True,
        }
        return {**right, **self.metadata}

    def claims(self) -> dict[str, Any]:
        right = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": "grace-1",
            "iat": now(),
            "exp": now() + 300,
            "nonce": self.nonce,
            "email": "grace@example.com",
            "email_verified": True,
            "name": "Grace",
            "groups": ["engineers"],
        }
        return {name: value for name, value in {**right, **self.said}.items() if value is not None}

    def id_token(self) -> str:
        header = {"alg": "ES256", "kid": "k1", **self.header}
        if header["alg"] == "none":
            return unsigned(header, self.claims())
        if header["alg"] == "HS256":
            public = json.dumps(self.key.as_dict(private=False)).encode()
            return jwt.encode(header, self.claims(), OctKey.import_key(public), algorithms=["HS256"])
        return jwt.encode(header, self.claims(), self.key)

    def tokens(self, asked: Asked) -> Answer:
        form = parse_qs(asked.body)
        if form["grant_type"] == ["refresh_token"]:
            return self.refresh
        given = {"access_token": "at", "token_type": "Bearer", "id_token": self.id_token()}
        more = {} if self.refresh_token is None else {"refresh_token": self.refresh_token}
        return 200, "application/json", {**given, **more}


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    import base64

    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims))
    return ".".join(parts) + "."


@contextmanager
def forged_provider() -> Iterator[ForgedProvider]:
    """Serve one for the block."""
    rows: dict[str, Any] = {}
    with local_server(rows) as server:
        provider = ForgedProvider(server)
        rows["GET /.well-known/openid-configuration"] = lambda _: (200, "application/json", provider.discovery())
        public = {"keys": [provider.key.as_dict(private=False, use="sig", alg="ES256")]}
        rows["GET /jwks"] = (200, "application/json", public)
        rows["POST /token"] = provider.tokens
        yield provider


def query(address: str) -> dict[str, str]:
    """The parameters of an address, each once."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
