"""An upstream connected in the console: requests go there with its credential, also after its key was replaced."""

import json
import re
import urllib.request
from pathlib import Path

from people import PATIENCE, Person
from running import Machine, RunningServer

from keystead.secret import Secret
from keystead.testing.messages_api import MessagesApi

CANARY = "connected-upstream-canary"
MAPPED = "by your own names for models"


def connect(person: Person, address: str, key: str) -> str:
    """Connect an upstream in the console; returns the page that shows it after its test."""
    new = f"{person.base}/upstreams/new/messages"
    shown, _ = person.fill(*person.open(new), {"name": "Ours", "base_url": address, "models": "ours = theirs"})
    form = f"{shown}/credential/api_key"
    shown, page = person.fill(*person.open(form), {"key": key})
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token
    return person.open(f"{shown}/test", {"csrfmiddlewaretoken": token[1]})[1]


def ask(base: str, key: str) -> str:
    body = {"model": "keystead-test-1", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01", "content-type": "application/json"}
    request = urllib.request.Request(f"{base}/v1/messages", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return str(json.load(answer)["type"])


def test_requests_go_where_the_administrator_connected_them(tmp_path: Path) -> None:
    home = tmp_path / "server"
    home.mkdir()
    machine = Machine(home)
    with MessagesApi(api_key=Secret(CANARY)) as models:
        with RunningServer(home) as server:
            person = server.administrator()
            key = person.create_key()
            assert "It answered GET /v1/models." in connect(person, models.base_url, CANARY)
            assert ask(server.base, key) == "message"
            listed = json.loads(machine.keystead("server", "upstreams", "--json").stdout)["upstreams"]
            assert [(one["name"], one["state"]) for one in listed] == [("Ours", "works")]
            busy = machine.keystead("server", "rotate-sealing-key")
            assert "Another Keystead server already runs" in busy.stderr
        before = (home / ".local/share/keystead/server/secret-key").read_text()
        rotated = machine.keystead("server", "rotate-sealing-key", "--json")
        assert (
            json.loads(rotated.stdout)["sealed"] | {"signing keys": 1, "upstream credential": 1}
            == json.loads(rotated.stdout)["sealed"]
        )
        assert (home / ".local/share/keystead/server/secret-key").read_text() != before
        tested = machine.keystead("server", "upstream-test", "Ours")
        assert tested.returncode == 0
        assert tested.stdout == f"Ours: It answered GET /v1/models.\n  ours -> theirs  ({MAPPED})\n"
        named = machine.keystead("server", "upstream-test", "Ours", "--model", "claude-opus-5")
        assert "\n  claude-opus-5 -> claude-opus-5  (as it is)\n" in named.stdout
        shown = machine.keystead("server", "upstreams", "--names").stdout
        assert f"  ours -> theirs  ({MAPPED})\n  Any other name goes as it is.\n" in shown
        with RunningServer(home, {"KEYSTEAD_SERVER_UPSTREAM_URL": "none"}) as server:
            assert "none of its own; organizations connect theirs" in server.output
            assert ask(server.base, key) == "message"
    assert "upstream Ours of Example: It answered GET /v1/models." in server.output, "it is proven at the start"
    assert CANARY not in server.output
    for file in (home / ".local").rglob("*"):
        assert not file.is_file() or CANARY.encode() not in file.read_bytes(), file
    gone = machine.keystead("server", "upstream-test", "Ours", "--json")
    assert (gone.returncode, json.loads(gone.stdout)["works"]) == (1, False)


def test_the_servers_own_upstream_is_proven_at_the_start_and_stops_nothing(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text("rotated-canary")
    with MessagesApi(api_key=Secret(CANARY)) as models:
        settings = {"UPSTREAM_URL": models.base_url, "UPSTREAM_API_KEY": f"file:{key}"}
        with RunningServer(tmp_path, {f"KEYSTEAD_SERVER_{name}": value for name, value in settings.items()}) as server:
            server.wait_for_output("It refused the credential (401)")
            with urllib.request.urlopen(f"{server.base}/readyz", timeout=PATIENCE) as answer:
                assert answer.read() == b"ready; the server's own upstream is in trouble (see the log)"
    assert f"the server's own upstream, {models.base_url}: It refused the credential (401)" in server.output
    assert "rotated-canary" not in server.output
