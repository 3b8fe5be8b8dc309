"""Terms published from another process reach a server that runs: agents are refused until the administrator accepts."""

import json
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from people import PATIENCE
from running import Machine, RunningServer

TRIES = 6_000
"""Requests, with a hundredth of a second between them, until a server has read what another process wrote."""


def ask(base: str, key: str) -> tuple[int, dict[str, Any]]:
    body = {"model": "keystead-test-1", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01", "content-type": "application/json"}
    request = urllib.request.Request(f"{base}/v1/messages", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def until_refused(base: str, key: str) -> tuple[int, dict[str, Any]]:
    for _ in range(TRIES):
        status, told = ask(base, key)
        if status != 200:
            return status, told
        threading.Event().wait(0.01)
    pytest.fail("it never heard of the terms")


@pytest.mark.requirement("S-21 refused", "S-21 accepted")
def test_agents_wait_for_the_administrator_and_for_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "server"
    home.mkdir()
    (home / "terms.txt").write_text("Be kind.")
    machine = Machine(home)
    with RunningServer(home) as server:
        person = server.administrator()
        key = person.create_key()
        assert ask(server.base, key)[0] == 200
        publish = ("server", "terms", "publish", "--kind", "commercial", "--version", "2026-11", "--json")
        made = machine.keystead(*publish, str(home / "terms.txt"))
        assert made.returncode == 0, made.stderr
        status, told = until_refused(server.base, key)
        assert (status, told["error"]["type"]) == (403, "permission_error")
        assert f"they wait at {server.base}/terms (rule terms; " in told["error"]["message"]
        address, page = person.open(f"{server.base}/keys")
        assert address == f"{server.base}/terms?next=%2Fkeys"
        after, _ = person.fill(address, page, {"terms": json.loads(made.stdout)["terms"][0]["id"]})
        assert after == f"{server.base}/keys"
        assert ask(server.base, key)[0] == 200, "an acceptance counts at once"
        (row,) = json.loads(machine.keystead("server", "terms", "list", "--json").stdout)["terms"]
        assert (row["version"], row["accepted_by"]) == ("2026-11", {"organizations": 1, "members": 1})
