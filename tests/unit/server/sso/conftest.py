"""A connection to a provider that says what a test wants, and the browsers of an administrator and of a stranger."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

import pytest
from forged_openid import CLIENT_ID, CLIENT_SECRET, ForgedProvider, forged_provider, query

from keystead.secret import Secret

if TYPE_CHECKING:
    from django.http import HttpResponse
    from django.test import Client

    from keystead.server.organizations.models import Membership
    from keystead.server.sso.models import Connection


def now() -> datetime:
    return datetime.now(UTC)


def new_browser() -> "Client":
    from django.test import Client

    return Client(SERVER_NAME="127.0.0.1", SERVER_PORT="8420")


@pytest.fixture
def forged() -> Iterator[ForgedProvider]:
    with forged_provider() as provider:
        yield provider


@pytest.fixture
def domain(administrator: "Membership") -> str:
    """Example's own domain, proven."""
    from keystead.server.sso import domains

    domains.claim(administrator, "example.com", now())
    domains.attest("example.com", now())
    return "example.com"


def connected(administrator: "Membership", provider: ForgedProvider, *, on: bool = True) -> "Connection":
    """A connection as the console makes it."""
    from django.conf import settings

    from keystead.server.sso import connections, conversation
    from keystead.server.sso.models import Kind
    from keystead.server.sso.network import sender
    from keystead.server.sso.oidc_settings import OidcSettings

    metadata = conversation.discover(provider.issuer, sender(settings.KEYSTEAD))
    values = replace(OidcSettings(metadata), client_id=CLIENT_ID).to_json()
    connection = connections.create(administrator, Kind.OIDC, "Example login", values, now())
    connections.set_secret(administrator, connection, Secret(CLIENT_SECRET), now())
    if on:
        connections.switch(administrator, connection, on=True, now=now())
    return connection


@pytest.fixture
def connection(administrator: "Membership", domain: str, forged: ForgedProvider) -> "Connection":
    return connected(administrator, forged)


@dataclass
class Visit:
    """One browser on its way through one connection."""

    provider: ForgedProvider
    connection: "Connection"
    browser: "Client"

    def leave(self, **parameters: str) -> dict[str, str]:
        """Start, and return what the identity provider is asked."""
        page = self.browser.get(f"/sso/{self.connection.wire_id}", parameters)
        assert page.status_code == 302, page.content
        asked = query(page["Location"])
        self.provider.nonce = asked["nonce"]
        return asked

    def come_back(self, state: str, **more: str) -> "HttpResponse":
        """Return with a code, as the identity provider redirects."""
        parameters = {"code": "the-code", "state": state, "iss": self.provider.issuer, **more}
        given = {name: value for name, value in parameters.items() if value}
        address = f"/oauth/callback/{self.connection.wire_id}?{urlencode(given)}"
        response: Any = self.browser.get(address)
        return cast("HttpResponse", response)

    def sign_in(self, **parameters: str) -> "HttpResponse":
        """There and back."""
        return self.come_back(self.leave(**parameters)["state"])

    @property
    def is_signed_in(self) -> bool:
        return "_auth_user_id" in self.browser.session


@pytest.fixture
def visit(forged: ForgedProvider, connection: "Connection") -> Visit:
    return Visit(forged, connection, new_browser())
