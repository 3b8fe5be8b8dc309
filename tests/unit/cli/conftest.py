"""A bare machine, an authorization server out of a script, and a way to run the command line between them."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from keystead.cli.exits import exit_code
from keystead.cli.group import cli
from keystead.cli.surroundings import Surroundings
from keystead.credentials import Account, BillingClass, Login, LoginKind, OAuthTokens
from keystead.environment import Environment
from keystead.secret import Secret
from keystead.stores.file import FileStore
from keystead.testing.clock import FakeClock
from keystead.testing.transport import ScriptedTransport, json_response
from keystead.wire import oauth, tokens
from keystead.wire.http import Request, Response
from keystead.wire.oauth import ServerMetadata

BASE = "https://keys.example.com"
CODE = tokens.mint(tokens.TokenKind.AUTHORIZATION_CODE, secrets.token_bytes)


@dataclass
class Issuer:
    """An authorization server; tests change its answers and look at what it was told."""

    metadata: ServerMetadata = field(
        default_factory=lambda: ServerMetadata(
            issuer=BASE,
            token_endpoint=f"{BASE}/oauth/token",
            authorization_endpoint=f"{BASE}/oauth/authorize",
            device_authorization_endpoint=f"{BASE}/oauth/device_authorization",
            revocation_endpoint=f"{BASE}/oauth/revoke",
            userinfo_endpoint=f"{BASE}/oauth/userinfo",
            code_challenge_methods_supported=("S256",),
            iss_parameter_supported=True,
            gateway_protocol_version=1,
        )
    )
    transport: ScriptedTransport = field(default_factory=ScriptedTransport)

    def __post_init__(self) -> None:
        json = {"content-type": "application/json"}
        self.transport.routes = {
            f"GET {oauth.METADATA_PATH}": Response(200, json, oauth.dump_metadata(self.metadata)),
            "POST /oauth/token": json_response(
                200,
                {
                    "access_token": "canary-new-access",
                    "token_type": "Bearer",
                    "expires_in": 3600,
                    "refresh_token": "canary-new-refresh",
                },
            ),
            "POST /oauth/device_authorization": json_response(
                200,
                {
                    "device_code": "canary-device-code",
                    "user_code": "BCDF-GHJK",
                    "verification_uri": f"{BASE}/device",
                    "verification_uri_complete": f"{BASE}/device?user_code=BCDF-GHJK",
                    "expires_in": 600,
                    "interval": 5,
                },
            ),
            "GET /oauth/userinfo": json_response(
                200,
                {
                    "sub": "per_1",
                    "email": "ada@example.com",
                    "organization": {"id": "org_1", "name": "Example Ltd"},
                    "billing_class": "gateway",
                    "upstream": "anthropic",
                },
            ),
            "POST /oauth/revoke": Response(200, {}, b""),
            "GET /v1/me/limits": json_response(404, {}),
        }

    def answer(self, route: str, answer: "Response | Exception | Callable[[Request], Response]") -> None:
        self.transport.routes[route] = answer

    @property
    def revoked(self) -> list[str]:
        """Every token that was revoked, in order."""
        forms = [request.form for request in self.transport.requests if request.url.endswith("/oauth/revoke")]
        found = [form["token"] for form in forms if form is not None]
        return [token.reveal() for token in found if isinstance(token, Secret)]


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


class Machine:
    """A bare machine: empty home, no variables, no terminal; tests furnish it and run commands on it."""

    def __init__(self, root: Path, issuer: Issuer, clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
        for name in ("home", "project"):
            (root / name).mkdir()
        environment = Environment(
            variables={}, home=root / "home", cwd=root / "project", managed_dir=root / "managed", stdin_tty=True
        )
        self.issuer = issuer
        self.surroundings = Surroundings(
            environment=environment,
            store=FileStore(environment.state_dir, clock),
            clock=clock,
            network=lambda: issuer.transport,
            random_bytes=secrets.token_bytes,
            open_address=lambda url, environment: False,
            stdin=None,
            to_terminal=lambda text: None,
        )
        self._capsys = capsys

    def set(self, **variables: str) -> None:
        self.environment(variables={**self.surroundings.environment.variables, **variables})

    def environment(self, **changes: Any) -> None:
        self.change(environment=replace(self.surroundings.environment, **changes))

    def change(self, **changes: Any) -> None:
        self.surroundings = replace(self.surroundings, **changes)

    def user_settings(self, text: str) -> Path:
        """Write the agent's settings file of the user."""
        path = self.surroundings.environment.agent_dir / "settings.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def run(self, *arguments: str) -> Outcome:
        """Run the command line as ``main`` does."""
        code = exit_code(cli, list(arguments), self.surroundings)
        out, err = self._capsys.readouterr()
        return Outcome(code, out, err)


@pytest.fixture
def machine(tmp_path: Path, issuer: Issuer, clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> Machine:
    return Machine(tmp_path, issuer, clock, capsys)


@pytest.fixture
def login(clock: FakeClock) -> Login:
    """A sign-in of an hour, from before."""
    return Login(
        kind=LoginKind.GATEWAY,
        issuer=BASE,
        api_base=BASE,
        token_endpoint=f"{BASE}/oauth/token",
        revocation_endpoint=f"{BASE}/oauth/revoke",
        client_id="keystead-cli",
        tokens=OAuthTokens(Secret("canary-old-access"), Secret("canary-old-refresh"), clock.now(), 3600.0),
        account=Account("per_0", "old@example.com", None, "org_0", "Old Ltd"),
        billing=BillingClass.GATEWAY,
        allowed_origins=frozenset({BASE}),
    )


@pytest.fixture
def answer_of() -> Callable[..., str]:
    """Return what turns an authorization address into the redirect after approval."""

    def answer(url: str, **changes: str) -> str:
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        return f"{query['redirect_uri']}?{urlencode({'code': CODE, 'state': query['state'], 'iss': BASE, **changes})}"

    return answer


@pytest.fixture
def code() -> str:
    """The authorization code in every answer."""
    return CODE
