import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from local_server import Asked, LocalServer, local_server

from keystead.cli.run import child_variables
from keystead.clock import SYSTEM_CLOCK
from keystead.credentials import Login
from keystead.stores.file import FileStore

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine

PRINT = "import json, os; print(json.dumps(dict(os.environ)))"


def keystead(home: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {"HOME": str(home), "PATH": os.defpath, **variables}
    program = "from keystead.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment, cwd=home, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_the_child_gets_the_winner_and_nothing_else(tmp_path: Path) -> None:
    done = keystead(
        tmp_path, "run", "--", sys.executable, "-c", PRINT,
        ANTHROPIC_AUTH_TOKEN="winner", ANTHROPIC_API_KEY="loser", CLAUDE_CODE_OAUTH_TOKEN="vendor",
        ANTHROPIC_CUSTOM_HEADERS="x: y", OTHER="kept",
    )  # fmt: skip
    child = json.loads(done.stdout)

    assert child["ANTHROPIC_AUTH_TOKEN"] == "winner"
    assert child["ANTHROPIC_BASE_URL"] == "https://api.anthropic.com"
    assert child["OTHER"] == "kept"
    assert not {"ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS"} & child.keys()
    assert "loser" not in done.stdout


def test_a_sign_in_takes_the_cloud_switches_away_from_the_child(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)
    machine.set(CLAUDE_CODE_USE_BEDROCK="1", ANTHROPIC_API_KEY="loser")
    authorized = machine.surroundings.client().credential()

    child = child_variables(machine.surroundings.environment.variables, authorized)

    assert child == {"ANTHROPIC_BASE_URL": login.api_base, "ANTHROPIC_AUTH_TOKEN": "canary-old-access"}


def test_exit_code_and_options_are_the_childs(tmp_path: Path) -> None:
    assert keystead(tmp_path, "run", "--", "sh", "-c", "exit 9", ANTHROPIC_API_KEY="k").returncode == 9
    assert keystead(tmp_path, "run", "printf", "%s", "--json", ANTHROPIC_API_KEY="k").stdout == "--json"


def test_a_signal_reaches_the_child(tmp_path: Path) -> None:
    done = keystead(tmp_path, "run", "--", "sh", "-c", "kill -TERM $$", ANTHROPIC_API_KEY="k")

    assert done.returncode == -signal.SIGTERM


def test_without_credential_nothing_is_run(tmp_path: Path) -> None:
    done = keystead(tmp_path, "run", "--", "touch", "witness")

    assert done.returncode == 4
    assert not (tmp_path / "witness").exists()


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    done = keystead(tmp_path, "run", "--", "no-such-program", ANTHROPIC_API_KEY="canary")

    assert done.returncode == 2
    assert "no-such-program was not found" in done.stderr
    assert "canary" not in done.stderr


def test_run_without_command_is_a_usage_error(tmp_path: Path) -> None:
    assert keystead(tmp_path, "run").returncode == 2


SDK = """
import anthropic
anthropic.Anthropic(max_retries=0).messages.create(
    model="m", max_tokens=5, messages=[{"role": "user", "content": "hi"}]
)
"""
PACKAGE = Path(__file__).parents[2] / "peers/node_modules/@anthropic-ai/sdk/index.mjs"
NODE_SDK = f"""
import Anthropic from {json.dumps(PACKAGE.as_uri())};
await new Anthropic({{ maxRetries: 0 }}).messages.create(
    {{ model: "m", max_tokens: 5, messages: [{{ role: "user", content: "hi" }}] }}
);
"""
PROGRAMS = [(sys.executable, "-c", SDK), ("node", "--input-type=module", "-e", NODE_SDK)]
ANSWER = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
}  # fmt: skip


@pytest.fixture
def gateway(login: Login, tmp_path: Path, machine: "Machine") -> Iterator[LocalServer]:
    """A gateway on loopback that this home is signed in to."""
    with local_server({"POST /v1/messages": (200, "application/json", ANSWER)}) as server:
        environment = machine.surroundings.environment
        signed_in = replace(
            login, issuer=server.url, api_base=server.url, token_endpoint=f"{server.url}/oauth/token",
            revocation_endpoint=f"{server.url}/oauth/revoke", allowed_origins=frozenset({server.url}),
            tokens=replace(login.tokens, issued_at=SYSTEM_CLOCK.now()),
        )  # fmt: skip
        FileStore(environment.state_dir, SYSTEM_CLOCK).save(signed_in)
        yield server


def sent(
    machine: "Machine", gateway: LocalServer, program: tuple[str, ...] = PROGRAMS[0], **variables: str
) -> tuple[Asked, str]:
    """Return what the vendor's SDK sends as it is run, and what was said."""
    home, path = machine.surroundings.environment.home, os.environ["PATH"]
    done = keystead(home, "run", "--", *program, NO_PROXY="127.0.0.1", **variables | {"PATH": path})
    assert done.returncode == 0, done.stderr
    (asked,) = gateway.asked
    return asked, done.stderr


@pytest.mark.parametrize("program", PROGRAMS, ids=["python", "node"])
@pytest.mark.parametrize(("declared", "told"), [("remote", "remote"), ("desktop", "local"), ("terminal", "local")])
def test_a_program_tells_the_gateway_the_surface(
    machine: "Machine", gateway: LocalServer, declared: str, told: str, program: tuple[str, ...]
) -> None:
    asked, said = sent(machine, gateway, program, KEYSTEAD_SURFACE=declared)
    assert asked.headers["x-keystead-surface"] == told
    assert asked.headers["authorization"] == "Bearer canary-old-access"
    assert said == ""


def test_headers_of_the_users_own_are_not_passed_on_and_that_is_said(machine: "Machine", gateway: LocalServer) -> None:
    mine = "x-team: blue\nx-api-key: canary-of-mine"
    asked, said = sent(machine, gateway, KEYSTEAD_SURFACE="remote", ANTHROPIC_CUSTOM_HEADERS=mine)
    assert asked.headers["x-keystead-surface"] == "remote"
    assert "x-team" not in asked.headers
    assert "canary-of-mine" not in json.dumps(asked.headers) + said
    assert said == "keystead: ANTHROPIC_CUSTOM_HEADERS is not passed on, since a header can hold another credential.\n"


def test_nothing_is_told_where_nothing_is_declared(machine: "Machine", gateway: LocalServer) -> None:
    asked, _ = sent(machine, gateway)
    assert "x-keystead-surface" not in asked.headers


def test_no_other_server_is_told_the_surface(tmp_path: Path) -> None:
    done = keystead(
        tmp_path, "run", "--", sys.executable, "-c", PRINT, ANTHROPIC_API_KEY="k", KEYSTEAD_SURFACE="terminal",
        ANTHROPIC_CUSTOM_HEADERS="x-keystead-surface: remote",
    )  # fmt: skip
    assert "ANTHROPIC_CUSTOM_HEADERS" not in json.loads(done.stdout)
    assert done.stderr == ""


def test_what_a_program_was_given_is_no_reason_to_warn_it(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)
    machine.set(KEYSTEAD_SURFACE="remote")
    given = child_variables(machine.surroundings.environment.variables, machine.surroundings.client().credential())
    assert given["ANTHROPIC_CUSTOM_HEADERS"] == "x-keystead-surface: remote"
    machine.set(**given)
    assert "ANTHROPIC_CUSTOM_HEADERS" not in machine.run("status").out
