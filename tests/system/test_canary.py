"""A secret planted in every source is in no output, log or stored byte that is not its own home (R-17).

Everything runs as real processes, with debugging on. What may hold a secret is listed; every other byte is searched.
"""

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import anthropic
import pytest
from people import PASSWORD, PATIENCE
from running import PROGRAM, Installation, Machine, RunningServer, fresh_variables
from watching import HEADER_CANARY, agent_telemetry, watching

from keystead.clock import SYSTEM_CLOCK
from keystead.stores.file import FileStore
from keystead.testing.store_contract import sample_login

UPSTREAM_CANARY = "sk-ant-api03-canaryUpstream7x"
KEY_CANARY = "sk-ant-api03-canaryKey7x"
TOKEN_CANARY = "canaryToken7xcanaryToken7x"
SETTINGS_CANARY = "canarySettings7xcanarySettings7x"
HELPER_CANARY = "canaryHelper7xcanaryHelper7x"

KEYRINGS: Final = Path(__file__).resolve().parents[1] / "support/keyrings"

Ask = Callable[[str, str], Any]

COMMANDS = [
    ("status",),
    ("status", "--json"),
    ("-p", "hello"),
    ("-p", "hello", "--model", "no-such-model"),
    ("login", "--device", "--server", "http://127.0.0.1:1"),
    ("login", "--device", "--json", "--server", "http://127.0.0.1:1"),
    ("run", "--", "true"),
    ("run", "--", "no-such-program-anywhere"),
    ("token", "--no-such-option"),
    ("logout",),
]


def files_with(directory: Path, secret: str) -> set[str]:
    """Return the names of all files below ``directory`` that contain ``secret``, in their content or their name."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {path.name for path in files if secret.encode() in path.read_bytes() or secret in str(path)}


def plant(home: Path, source: str) -> tuple[Machine, str]:
    """Return a machine with one canary in ``source``, which nothing answers for."""
    variables = {"KEYSTEAD_DEBUG": "1", "ANTHROPIC_BASE_URL": "http://127.0.0.1:1"}
    settings = home / ".claude" / "settings.json"
    settings.parent.mkdir(parents=True)
    if source == "api key":
        return Machine(home, {**variables, "ANTHROPIC_API_KEY": KEY_CANARY}), KEY_CANARY
    if source == "bearer token":
        return Machine(home, {**variables, "ANTHROPIC_AUTH_TOKEN": TOKEN_CANARY}), TOKEN_CANARY
    if source == "malformed key":
        return Machine(home, {**variables, "ANTHROPIC_API_KEY": KEY_CANARY + "\u00a0x"}), KEY_CANARY
    if source == "vendor token":
        return Machine(home, {**variables, "CLAUDE_CODE_OAUTH_TOKEN": TOKEN_CANARY}), TOKEN_CANARY
    if source == "another product's file":
        (home / ".claude" / ".credentials.json").write_text(json.dumps({"accessToken": TOKEN_CANARY}))
        return Machine(home, variables), TOKEN_CANARY
    if source == "settings":
        settings.write_text(json.dumps({"env": {"ANTHROPIC_AUTH_TOKEN": SETTINGS_CANARY}}))
        return Machine(home, variables), SETTINGS_CANARY
    if source == "broken settings":
        settings.write_text(json.dumps({"env": {"ANTHROPIC_AUTH_TOKEN": SETTINGS_CANARY}})[:-2])
        return Machine(home, variables), SETTINGS_CANARY
    if source == "reference":
        (home / "key").write_text(KEY_CANARY)
        (home / "key").chmod(0o600)
        return Machine(home, {**variables, "KEYSTEAD_API_KEY": "file:~/key"}), KEY_CANARY
    if source == "keyring":
        backend = {"PYTHON_KEYRING_BACKEND": "fake_keyring.Keyring", "FAKE_KEYRING_FILE": str(home / "keyring.json")}
        machine = Machine(home, {**variables, **backend, "PYTHONPATH": str(KEYRINGS)})
        FileStore(home / ".keystead", SYSTEM_CLOCK).save(sample_login(access_token=TOKEN_CANARY))
        assert machine.keystead("store", "use", "keyring").returncode == 0
        return machine, TOKEN_CANARY
    helper = home / "helper"
    helper.write_text(f"#!/bin/sh\necho {HELPER_CANARY}\necho {HELPER_CANARY} >&2\n")
    helper.chmod(0o700)
    settings.write_text(json.dumps({"apiKeyHelper": str(helper)}))
    return Machine(home, variables), HELPER_CANARY


@pytest.mark.parametrize(
    "source",
    [
        "api key",
        "bearer token",
        "malformed key",
        "vendor token",
        "another product's file",
        "settings",
        "broken settings",
        "helper",
        "reference",
    ],
)
def test_no_command_shows_a_planted_secret(tmp_path: Path, source: str) -> None:
    machine, canary = plant(tmp_path, source)

    for command in COMMANDS:
        done = machine.keystead(*command)

        assert canary not in done.stdout + done.stderr, command
        assert "Traceback" not in done.stderr, command


@pytest.mark.requirement("R-17 arguments")
@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace here")
@pytest.mark.parametrize("source", ["api key", "helper", "reference", "keyring"])
def test_no_process_has_a_secret_among_its_arguments(tmp_path: Path, source: str) -> None:
    """Of all that is started, by the commands that start something; anybody on the machine may read arguments."""
    machine, canary = plant(tmp_path, source)
    started = tmp_path / "started"

    for command in [("-p", "hello"), ("run", "--", "true"), ("store", "use", "file"), ("logout",)]:
        tracing = ["strace", "-f", "-qq", "-A", "-s", "99999", "-e", "trace=execve", "-o", str(started), PROGRAM]
        subprocess.run(
            [*tracing, *command], env=fresh_variables(tmp_path, **machine.variables), cwd=tmp_path, check=False,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
        )  # fmt: skip

    lines = started.read_text() if started.exists() else ""
    if "execve(" not in lines:
        pytest.skip("tracing is not allowed here")
    expected = {"helper": "/helper", "keyring": "keystead.drivers.keyring_worker"}.get(source, '["true"]')
    assert expected in lines, "what this source starts was seen"
    assert canary not in lines


def test_a_sign_in_rests_in_one_file_and_shows_in_none_of_the_output(
    tmp_path: Path, installation: Installation
) -> None:
    machine = Machine(tmp_path, {"KEYSTEAD_DEBUG": "1"})
    shown = machine.sign_in(installation.base, installation.person)
    token = machine.keystead("token").stdout.strip()
    refresh = re.search(r"ksr_[0-9A-Za-z]+", (tmp_path / ".keystead" / "credentials.json").read_text())
    assert refresh

    for command in [("status",), ("status", "--json"), ("-p", "hello"), ("run", "--", "true")]:
        done = machine.keystead(*command)
        shown += done.stdout + done.stderr

    for secret in (token, refresh[0]):
        assert secret not in shown
        assert files_with(tmp_path, secret) == {"credentials.json"}
        assert files_with(installation.server.home, secret) == set()
        assert secret not in installation.server.output


def test_after_logout_nothing_of_it_is_left_on_the_disk(tmp_path: Path, installation: Installation) -> None:
    machine = Machine(tmp_path)
    machine.sign_in(installation.base, installation.person)
    token = machine.keystead("token").stdout.strip()

    machine.keystead("logout")

    assert files_with(tmp_path, token) == set()


def test_the_server_stores_and_logs_no_secret(tmp_path: Path, sdk_call: Ask) -> None:
    with RunningServer(tmp_path, {"KEYSTEAD_SERVER_UPSTREAM_API_KEY": UPSTREAM_CANARY} | NOWHERE) as server:
        person = server.administrator()
        key = person.create_key()
        link = server.setup_link
        assert link
        refused = sdk_call(server.base, key)
        assert refused.status_code in {502, 503, 529}
        assert UPSTREAM_CANARY not in refused.text
        damaged = sdk_call(server.base, KEY_CANARY)
        assert damaged.status_code == 401
        assert KEY_CANARY not in damaged.text

    code = link.partition("#code=")[2]
    for secret in (UPSTREAM_CANARY, KEY_CANARY, key, PASSWORD, code):
        assert files_with(tmp_path, secret) == set(), secret
        assert secret not in server.output.replace(link, "")


def test_whoever_watches_over_the_server_is_told_no_secret(tmp_path: Path, sdk_call: Ask) -> None:
    settings = {"KEYSTEAD_SERVER_UPSTREAM_API_KEY": UPSTREAM_CANARY, "KEYSTEAD_DEBUG": "1"} | NOWHERE
    with watching() as watched, RunningServer(tmp_path, watched.settings | settings) as server:
        key = server.administrator().create_key()
        sdk_call(server.base, key)
        assert sdk_call(server.base, KEY_CANARY).status_code == 401
        for path, content_type, body in agent_telemetry("hello"):
            headers = {"authorization": f"Bearer {key}", "x-api-key": KEY_CANARY, "content-type": content_type}
            with urllib.request.urlopen(urllib.request.Request(server.base + path, body, headers), timeout=PATIENCE):
                pass
        for fake in (watched.first, watched.second):
            fake.wait(7)  # six of the agent, and a span of the request that was let in
        scraped = watched.scraped()
        assert server.stop() == 0

    assert 'keystead_gateway_refusals_total{status="401",type="authentication_error"} 1' in scraped
    assert {one.headers.get("api-key") for one in watched.first.received} == {HEADER_CANARY}
    assert {one.headers.get("api-key") for one in watched.second.received} == {None}
    assert "keystead.request.id" in watched.told()
    for secret in (UPSTREAM_CANARY, KEY_CANARY, key, PASSWORD, HEADER_CANARY):
        assert secret not in watched.told(), secret
        assert secret not in scraped, secret
        assert secret not in server.output, secret
        assert files_with(tmp_path, secret) == set(), secret


NOWHERE: Final = {"KEYSTEAD_SERVER_UPSTREAM_URL": "http://127.0.0.1:1"}
"""An upstream that nobody serves, so that the error path is walked."""


@pytest.fixture
def sdk_call() -> Ask:
    """Return a function that asks once with a key and gives the refusal's response."""

    def ask(base: str, key: str) -> Any:
        question: dict[str, Any] = {
            "model": "claude-test",
            "max_tokens": 9,
            "messages": [{"role": "user", "content": "hello"}],
        }
        with (
            anthropic.Anthropic(base_url=base, api_key=key, max_retries=0) as client,
            pytest.raises(anthropic.APIStatusError) as refused,
        ):
            client.messages.create(**question)
        return refused.value.response

    return ask
