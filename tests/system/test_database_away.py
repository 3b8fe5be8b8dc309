"""A server whose database is away: who is known goes on, nobody is told 401, and no use is lost."""

import json
import secrets
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from people import PATIENCE
from postgres import Cluster, cluster
from running import RunningServer

TRIES = 3_000
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
BODY = {"model": "keystead-test-1", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}


@dataclass
class Site:
    """A server, its database, and what somebody has who signed in there."""

    server: RunningServer
    cluster: Cluster
    database: str
    key: str
    tokens: dict[str, str]

    def ask(self, path: str, data: bytes | None = None, /, **headers: str) -> tuple[int, str, dict[str, Any]]:
        """Return status, ``Retry-After`` and what was said."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.server.base + path, data, named)
        try:
            with OPENER.open(request, timeout=PATIENCE) as answer:
                return answer.status, "", self._said(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers.get("retry-after", ""), self._said(error.read())

    def _said(self, body: bytes) -> dict[str, Any]:
        try:
            found = json.loads(body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def message(self, **headers: str) -> int:
        return self.ask("/v1/messages", json.dumps(BODY).encode(), content_type="application/json", **headers)[0]

    def token(self, **form: str) -> tuple[int, str, dict[str, Any]]:
        return self.ask("/oauth/token", urllib.parse.urlencode(form).encode())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        found = stack.enter_context(cluster())
        address = found.create()
        shared = {"KEYSTEAD_SERVER_DATABASE_URL": address, "KEYSTEAD_SERVER_SECRET_KEY": secrets.token_hex(32)}
        server = stack.enter_context(RunningServer(tmp_path, shared))
        person = server.administrator()
        site = Site(server, found, address, person.create_key("away"), {})
        form = urllib.parse.urlencode({"client_id": "keystead-cli"}).encode()
        given = site.ask("/oauth/device_authorization", form)[2]
        person.approve(given["verification_uri_complete"])
        site.tokens = site.token(grant_type=DEVICE, device_code=given["device_code"], client_id="keystead-cli")[2]
        yield site


@pytest.mark.requirement("G-06 away")
def test_who_is_known_goes_on_and_nobody_is_told_401_while_the_database_is_away(site: Site) -> None:
    bearer = {"authorization": f"Bearer {site.tokens['access_token']}"}
    refresh = {"grant_type": "refresh_token", "refresh_token": site.tokens["refresh_token"]}
    assert (site.message(x_api_key=site.key), site.message(**bearer)) == (200, 200)
    site.cluster.stop()
    try:
        assert any(site.ask("/readyz")[0] == 503 for _ in range(TRIES))
        for _ in range(20):
            assert (site.message(x_api_key=site.key), site.message(**bearer)) == (200, 200)
        assert site.ask("/v1/models", **bearer)[0] == 200
        for path, form in {"/oauth/token": refresh, "/oauth/userinfo": None, "/managed/settings": None}.items():
            data = None if form is None else urllib.parse.urlencode(form).encode()
            status, retry_after, _ = site.ask(path, data, **bearer)
            assert (status, retry_after.isdecimal()) == (503, True), path
    finally:
        site.cluster.start()
    assert any(_paused(site.ask("/readyz")[0] == 200) for _ in range(TRIES))
    status, _, renewed = site.token(**refresh)
    assert (status, "access_token" in renewed) == (200, True), "the refresh token was not used up"
    with psycopg.connect(site.database, autocommit=True) as connection:
        rows = "SELECT count(*) FROM usage_usageentry WHERE status = 200"
        assert any(_paused(connection.execute(rows).fetchone() == (42,)) for _ in range(TRIES)), "each was written down"


def _paused(holds: bool) -> bool:
    """Return ``holds``, after a moment when it does not."""
    if not holds:
        threading.Event().wait(0.01)
    return holds
