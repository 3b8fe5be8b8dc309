import pytest

from keystead.credentials import Account, BillingClass, Login, LoginKind, OAuthTokens
from keystead.secret import Secret
from keystead.wire.oauth import ServerMetadata

BASE = "https://keys.example.com"


@pytest.fixture
def metadata() -> ServerMetadata:
    return ServerMetadata(
        issuer=BASE,
        token_endpoint=f"{BASE}/oauth/token",
        authorization_endpoint=f"{BASE}/oauth/authorize",
        device_authorization_endpoint=f"{BASE}/oauth/device_authorization",
        revocation_endpoint=f"{BASE}/oauth/revoke",
        userinfo_endpoint=f"{BASE}/oauth/userinfo",
        code_challenge_methods_supported=("S256",),
        iss_parameter_supported=True,
    )


@pytest.fixture
def login() -> Login:
    return Login(
        kind=LoginKind.GATEWAY,
        issuer=BASE,
        api_base=BASE,
        token_endpoint=f"{BASE}/oauth/token",
        revocation_endpoint=f"{BASE}/oauth/revoke",
        client_id="keystead-cli",
        tokens=OAuthTokens(Secret("at-1"), Secret("rt-1"), issued_at=1000.0, expires_in=3600.0, scope="openid"),
        account=Account(email="ada@example.com"),
        billing=BillingClass.GATEWAY,
        allowed_origins=frozenset({BASE}),
    )
