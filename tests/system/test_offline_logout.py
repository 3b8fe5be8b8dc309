"""Signing out while the server is down: nothing usable is left here, and once it is up nothing is left there (R-16)."""

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from people import Person
from running import Machine, RunningServer

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
Introspect = Callable[[str], bool]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path / "server") as server:
        yield server


def introspection(person: Person) -> Introspect:
    """Register a client of our own and return what asks in its name whether a token lives (RFC 7662)."""
    client = {"name": "Watch", "auth_method": "client_secret_post", "grant_types": DEVICE, "scope": "openid"}
    address, page = person.open(f"{person.base}/clients/new")
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', page)
    assert token
    _, page = person.open(address, {**client, "first_party": "on", "csrfmiddlewaretoken": token[1]})
    secret, client_id = re.search(r"ksx_\w+", page), re.search(r"[\w-]+(?=</code>)", page)
    assert secret
    assert client_id

    def lives(token: str) -> bool:
        form = {"token": token, "client_id": client_id[0], "client_secret": secret[0]}
        body = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(f"{person.base}/oauth/introspect", body, timeout=60) as answer:
            return bool(json.load(answer)["active"])

    return lives


@pytest.mark.requirement("R-16 queued")
def test_nothing_lives_on_once_the_server_is_back(tmp_path: Path, server: RunningServer) -> None:
    machine, person = Machine(tmp_path / "machine"), server.administrator()
    machine.home.mkdir()
    machine.sign_in(server.base, person)
    lives = introspection(person)
    (kept,) = machine.home.rglob("credentials.json")
    tokens = json.loads(kept.read_text())["logins"]["gateway"]["tokens"]
    secrets = [tokens["access_token"], tokens["refresh_token"]]

    assert lives(secrets[0])
    assert server.stop() == 0
    ended = json.loads(machine.keystead("logout", "--json").stdout)["ended"]

    assert [(one["revocation"], one["queued"]) for one in ended] == [("not_revoked", True)]
    assert not [file for file in machine.home.rglob("*") if file.is_file() and holds(file, secrets)]
    shown = machine.keystead("run", "--", "env")
    assert (shown.returncode, [one for one in secrets if one in shown.stdout + shown.stderr]) == (4, [])
    assert machine.keystead("logout", "--pending").returncode == 75

    settings = {"KEYSTEAD_SERVER_PORT": str(urlsplit(server.base).port)}
    with RunningServer(server.home, settings):
        assert lives(secrets[0])
        assert "is now revoked there too" in machine.keystead("logout", "--pending").stdout
        assert not lives(secrets[0])
        assert machine.keystead("logout", "--pending").returncode == 0


def holds(file: Path, secrets: list[str]) -> bool:
    content = file.read_bytes()
    return any(one.encode() in content for one in secrets)
