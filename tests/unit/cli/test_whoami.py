"""Whose credential it is: as stored without a word to anybody, or as its server says now."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from keystead.credentials import Login, LoginKind
from keystead.errors import ServerUnreachable
from keystead.secret import Secret
from keystead.stores.file import FileStore
from keystead.testing.clock import FakeClock
from keystead.testing.transport import json_response
from keystead.wire import limits, messages
from keystead.wire.http import Request, Response
from keystead.wire.limits import Standing
from keystead.wire.messages import ApiError

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine

JSON = {"content-type": "application/json"}
SUSPENDED = messages.dump_error(ApiError("permission_error", "Your membership is suspended: on leave."))
SAME = {"sub": "per_0", "email": "old@example.com", "organization": {"id": "org_0", "name": "Old Ltd"}}


def contents(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {str(file): (file.stat().st_mtime_ns, file.read_bytes()) for file in directory.rglob("*") if file.is_file()}


@pytest.mark.requirement("R-06 silent")
@pytest.mark.parametrize("command", ["status", "whoami"])
@pytest.mark.parametrize("age", [0, 3500, 9000])
def test_nothing_is_sent_run_or_written_without_being_asked(
    machine: "Machine", login: Login, clock: FakeClock, command: str, age: float
) -> None:
    machine.surroundings.store.save(login)
    machine.user_settings(json.dumps({"apiKeyHelper": f"touch {machine.surroundings.environment.home}/ran"}))
    machine.change(network=lambda: pytest.fail("a request was about to be sent"))
    clock.advance(age)
    before = contents(machine.surroundings.environment.home)

    assert machine.run(command).code == machine.run(command, "--json").code == 0
    assert contents(machine.surroundings.environment.home) == before


@pytest.mark.requirement("R-06 silent")
@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace here")
@pytest.mark.parametrize("command", ["status", "whoami"])
def test_the_system_sees_no_socket_no_program_and_no_write(
    machine: "Machine", login: Login, tmp_path: Path, command: str
) -> None:
    environment = machine.surroundings.environment
    FileStore(environment.state_dir, machine.surroundings.clock).save(login)
    machine.user_settings(json.dumps({"apiKeyHelper": "true"}))
    trace = tmp_path / "trace"
    calls = "trace=socket,connect,execve,rename,unlink,mkdir,openat,creat"
    program = "from keystead.cli import main; main()"
    done = subprocess.run(
        ["strace", "-f", "-qq", "-e", calls, "-o", str(trace), sys.executable, "-B", "-c", program, command],
        env={"HOME": str(environment.home), "PATH": os.defpath}, cwd=environment.cwd, capture_output=True, check=False,
    )  # fmt: skip
    if b"PTRACE" in done.stderr or not trace.exists():
        pytest.skip("tracing is not allowed here")

    seen = trace.read_text().splitlines()
    assert done.returncode == 0, done.stderr
    assert len([line for line in seen if "execve(" in line]) == 1  # the interpreter itself
    assert not [line for line in seen if any(f" {call}(" in line for call in ("socket", "connect", "rename", "mkdir"))]
    assert not [line for line in seen if "O_CREAT" in line or "O_WRONLY" in line or "O_RDWR" in line]


def test_it_says_account_organization_with_id_and_who_pays(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)

    told, listed = machine.run("whoami"), json.loads(machine.run("whoami", "--json").out)

    for part in ("old@example.com (per_0)", "Old Ltd (org_0)", "Old Ltd, through https://keys.example.com"):
        assert part in told.out
    assert listed["organization"] == {"id": "org_0", "name": "Old Ltd"}
    assert listed["account"] == {"id": "per_0", "email": "old@example.com", "name": None}
    assert (listed["source"], listed["billing"], listed["verification"]) == ("gateway_session", "gateway", None)
    assert listed["profile"]["name"] == "default"


def test_nobody_is_an_error_and_a_key_is_not_somebody(machine: "Machine") -> None:
    assert machine.run("whoami").code == 4
    machine.set(ANTHROPIC_API_KEY="canary-key")

    outcome = machine.run("whoami")

    assert (outcome.code, "canary" in outcome.out) == (0, False)
    assert "not known from here" in outcome.out
    assert "per token" in outcome.out


@pytest.mark.requirement("R-06 verify")
@pytest.mark.parametrize("command", ["status", "whoami"])
@pytest.mark.parametrize(
    ("answer", "state", "code"),
    [
        (json_response(200, SAME), "verified", 0),
        (Response(401, {}, b""), "rejected", 4),
        (Response(503, {}, b""), "unverifiable", 75),
        (Response(200, {"content-type": "text/html"}, b"<html>sign in to the hotel"), "unverifiable", 75),
        (Response(302, {"location": "https://elsewhere.example"}, b""), "unverifiable", 75),
        (ServerUnreachable("gone"), "unverifiable", 75),
    ],
)
def test_each_answer_about_a_sign_in_has_its_state_and_exit_code(
    machine: "Machine", login: Login, command: str, answer: Response | Exception, state: str, code: int
) -> None:
    machine.surroundings.store.save(login)
    machine.issuer.answer("GET /oauth/userinfo", answer)

    told, listed = machine.run(command, "--verify"), machine.run(command, "--verify", "--json")

    assert (told.code, listed.code) == (code, code)
    assert f"{state}: " in told.out
    assert json.loads(listed.out)["verification"]["state"] == state
    assert machine.surroundings.store.load(LoginKind.GATEWAY) is not None


@pytest.mark.requirement("R-06 verify")
@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
@pytest.mark.parametrize(
    ("answer", "state", "code"),
    [
        (Response(200, JSON, messages.dump_models(("a-model",))), "verified", 0),
        (Response(200, JSON, b"{}"), "unverifiable", 75),
        (Response(401, JSON, b"{}"), "rejected", 4),
        (Response(403, JSON, b"{}"), "unverifiable", 75),
        (Response(403, JSON, SUSPENDED), "refused", 77),
        (Response(529, JSON, messages.dump_error(ApiError("overloaded_error", "busy"))), "unverifiable", 75),
        (ServerUnreachable("gone"), "unverifiable", 75),
    ],
)
def test_a_key_is_asked_about_where_it_would_be_sent(
    machine: "Machine", variable: str, answer: Response | Exception, state: str, code: int
) -> None:
    machine.set(**{variable: "canary-fake"})
    machine.issuer.answer("GET /v1/models", answer)

    assert machine.run("status").code == 0
    assert "present; only its server" in machine.run("status").out
    outcome = machine.run("status", "--verify", "--json")

    assert (outcome.code, json.loads(outcome.out)["verification"]["state"]) == (code, state)
    assert "canary" not in outcome.out
    assert len(machine.issuer.transport.requests) == 1


@pytest.mark.requirement("R-06 verify")
def test_a_refused_token_is_renewed_and_asked_about_again(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)

    def only_the_new_one(request: Request) -> Response:
        renewed = request.headers["authorization"] == Secret("Bearer canary-new-access")
        return json_response(200, SAME) if renewed else Response(401, {}, b"")

    machine.issuer.answer("GET /oauth/userinfo", only_the_new_one)
    assert machine.run("whoami", "--verify").code == 0


@pytest.mark.requirement("R-06 verify")
def test_a_renewed_token_that_is_refused_too_is_final(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)
    machine.issuer.answer("GET /oauth/userinfo", Response(401, {}, b""))

    assert machine.run("whoami", "--verify").code == 4

    asked = [request.url.rsplit("/", 1)[-1] for request in machine.issuer.transport.requests]
    assert asked == ["oauth-authorization-server", "userinfo", "token", "userinfo"]


@pytest.mark.requirement("R-06 verify")
def test_after_a_change_outside_the_account_shown_is_the_one_the_server_names(machine: "Machine", login: Login) -> None:
    """Somebody's sign-in with somebody else's name on it; afterwards the record is right too."""
    machine.surroundings.store.save(replace(login, account=replace(login.account, email="mallory@example.com")))

    outcome = machine.run("whoami", "--verify")

    assert outcome.code == 0
    assert "ada@example.com (per_1)" in outcome.out
    assert "stored as mallory@example.com" in outcome.err
    assert "stored as Old Ltd" in outcome.err
    assert "Example Ltd (org_1)" in machine.run("whoami").out
    kept = machine.surroundings.store.load(LoginKind.GATEWAY)
    assert kept is not None
    assert kept.tokens == login.tokens


@pytest.mark.requirement("R-06 verify")
@pytest.mark.parametrize(
    ("answer", "state", "code"),
    [
        (Response(403, JSON, SUSPENDED), "refused", 77),
        (Response(401, JSON, messages.dump_error(ApiError("authentication_error", "no"))), "rejected", 4),
        (Response(404, JSON, b"{}"), "verified", 0),
        (Response(503, JSON, b""), "verified", 0),
        (Response(200, {"content-type": "text/html"}, b"<html>"), "verified", 0),
        (ServerUnreachable("gone"), "verified", 0),
    ],
)
def test_what_the_gateway_says_of_an_accepted_sign_in_counts(
    machine: "Machine", login: Login, answer: Response | Exception, state: str, code: int
) -> None:
    machine.surroundings.store.save(login)
    machine.issuer.answer("GET /oauth/userinfo", json_response(200, SAME))
    machine.issuer.answer("GET /v1/me/limits", answer)

    outcome = machine.run("status", "--verify", "--json")

    assert outcome.code == code
    assert json.loads(outcome.out)["verification"]["state"] == state
    if state == "refused":
        assert "Your membership is suspended: on leave" in " ".join(machine.run("whoami", "--verify").out.split())


def test_a_verified_status_names_the_nearest_limit(machine: "Machine", login: Login) -> None:
    near = Standing(
        "spl_1", "spend", "monthly", {"type": "user"}, False, "stopped", 2000, 1900, 100, 95, "USD", None, False, True
    )
    machine.surroundings.store.save(login)
    machine.issuer.answer("GET /v1/me/limits", Response(200, JSON, limits.dump([near, replace(near, percent=1)])))

    assert "Limits" not in machine.run("status").out
    told = " ".join(machine.run("status", "--verify").out.split())
    listed = json.loads(machine.run("status", "--verify", "--json").out)["verification"]["limits"]

    assert "Limits Monthly spend limit: 95% used, 1.00 of 20.00 USD left (for you); keystead limits shows 1" in told
    assert [one["percent_used"] for one in listed] == [95, 1]


def test_a_cloud_cannot_be_verified_without_its_own_tools(machine: "Machine") -> None:
    machine.set(CLAUDE_CODE_USE_FOUNDRY="1")

    assert json.loads(machine.run("status", "--verify", "--json").out)["verification"]["state"] != "verified"
