"""A sign-in in a file, as the benchmarks find it."""

import time
from pathlib import Path

from keystead.clock import SYSTEM_CLOCK
from keystead.credentials import Account, BillingClass, Login, LoginKind, OAuthTokens
from keystead.secret import Secret
from keystead.stores.file import FileStore

LIFETIME = 3600.0


def sign_in(directory: Path, *, issuer: str = "https://keys.example.com", age: float = 0.0) -> None:
    """Keep a gateway session of an hour in the state directory ``directory``, issued ``age`` seconds ago."""
    tokens = OAuthTokens(Secret("not-a-real-token"), Secret("not-a-real-refresh-token"), time.time() - age, LIFETIME)
    login = Login(
        kind=LoginKind.GATEWAY,
        issuer=issuer,
        api_base=issuer,
        token_endpoint=f"{issuer}/oauth/token",
        revocation_endpoint=f"{issuer}/oauth/revoke",
        client_id="keystead-cli",
        tokens=tokens,
        account=Account("per_1", "ada@example.com", "Ada", "org_1", "Example"),
        billing=BillingClass.GATEWAY,
        allowed_origins=frozenset({issuer}),
        upstream="anthropic",
    )
    FileStore(directory, SYSTEM_CLOCK).save(login)
