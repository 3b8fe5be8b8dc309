"""A federated token in the client: exchanged once, kept privately, shared, renewed before its end and after a 401."""

import json
import stat
from pathlib import Path
from threading import Thread
from urllib.request import Request as UrllibRequest

import pytest

from keystead.client import Client
from keystead.clock import SYSTEM_CLOCK
from keystead.errors import CredentialRejected, PolicyDenied, RateLimited, ServerFailure, UnreadableFile
from keystead.release import Authorized
from keystead.testing.machine import Machine
from keystead.testing.transport import Answer, ScriptedTransport, json_response

CANARY = "canary-of-the-identity"
BETA = "oauth-2025-04-20"


class Workload:
    """A machine with an identity token in a file."""

    def __init__(self, root: Path, *answers: Answer) -> None:
        self.machine = Machine(root)
        self.identity = self.machine.bare.home / "identity"
        self.identity.write_text(f"{CANARY}\n")
        self.machine.variables.update(
            ANTHROPIC_FEDERATION_RULE_ID="fdrl_1",
            ANTHROPIC_ORGANIZATION_ID="org-1",
            ANTHROPIC_IDENTITY_TOKEN_FILE=str(self.identity),
        )
        self.transport = ScriptedTransport(list(answers))

    def client(self, **variables: str) -> Client:
        """Return the client of a new process."""
        machine = self.machine
        return Client(machine.environment(**variables), machine.store, lambda: self.transport, machine.clock)

    def kept(self) -> list[Path]:
        return sorted(self.machine.bare.state_dir.glob("federation-*.json"))


def issued(number: int, lifetime: int = 600) -> Answer:
    return json_response(200, {"access_token": f"federated-{number}", "token_type": "Bearer", "expires_in": lifetime})


def shown(authorized: Authorized) -> str:
    return authorized.secret.reveal()


def test_processes_share_one_token_until_its_last_fifth(tmp_path: Path) -> None:
    """Kept 0600; then the next exchange, with the identity token of then."""
    workload = Workload(tmp_path, issued(1), issued(2))

    assert shown(workload.client().credential()) == "federated-1"
    assert shown(workload.client().credential()) == "federated-1"
    assert [stat.S_IMODE(path.stat().st_mode) for path in workload.kept()] == [0o600]
    assert CANARY not in workload.kept()[0].read_text()

    workload.identity.write_text("rotated-identity")
    workload.machine.clock.sleep(500)
    assert shown(workload.client().credential()) == "federated-2"
    assert [json.loads(one.body or b"")["assertion"] for one in workload.transport.requests] == [
        CANARY,
        "rotated-identity",
    ]


def test_a_token_that_is_still_valid_survives_a_failing_exchange(tmp_path: Path) -> None:
    """Quietly; after its end the failure is told."""
    workload = Workload(tmp_path, issued(1), json_response(503, {}))
    workload.client().credential()

    workload.machine.clock.sleep(500)
    assert shown(workload.client().credential()) == "federated-1"

    workload.machine.clock.sleep(200)
    workload.transport.script.append(json_response(503, {}))
    with pytest.raises(ServerFailure):
        workload.client().credential()


def test_an_endpoint_that_asks_to_wait_is_left_alone(tmp_path: Path) -> None:
    """By every process of the machine (R-20)."""
    workload = Workload(tmp_path, json_response(429, {}, {"retry-after": "60"}))
    with pytest.raises(RateLimited):
        workload.client().credential()

    with pytest.raises(RateLimited, match="has asked to wait"):
        workload.client().credential()
    assert len(workload.transport.requests) == 1


def test_a_401_causes_one_exchange_for_everybody(tmp_path: Path) -> None:
    """Whoever was refused with the same token gets the new one (R-09)."""
    workload = Workload(tmp_path, issued(1), issued(2))
    refused = workload.client().credential()

    assert shown(workload.client().again(refused)) == "federated-2"
    assert shown(workload.client().again(refused)) == "federated-2"
    assert len(workload.transport.requests) == 2


def test_at_the_same_moment_one_exchange_is_made(tmp_path: Path) -> None:
    """The others wait for it and use what it kept."""
    workload = Workload(tmp_path, issued(1))
    machine = workload.machine
    found: list[str] = []

    def take() -> None:
        client = Client(machine.environment(), machine.store, lambda: workload.transport, SYSTEM_CLOCK)
        found.append(shown(client.credential()))

    threads = [Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == ["federated-1"] * 8
    assert len(workload.transport.requests) == 1


def test_another_question_is_another_token(tmp_path: Path) -> None:
    """Another workspace, for one; and another identity token in the variable."""
    workload = Workload(tmp_path, issued(1), issued(2), issued(3))
    literal = {"ANTHROPIC_IDENTITY_TOKEN_FILE": "", "ANTHROPIC_IDENTITY_TOKEN": CANARY}

    assert shown(workload.client().credential()) == "federated-1"
    assert shown(workload.client(ANTHROPIC_WORKSPACE_ID="wrkspc_2").credential()) == "federated-2"
    assert shown(workload.client(**literal).credential()) == "federated-3"
    assert len(workload.kept()) == 3


def test_the_token_goes_with_its_beta_to_its_origin_and_nowhere_else(tmp_path: Path) -> None:
    """Beside the betas a program asked for."""
    authorized = Workload(tmp_path, issued(1)).client().credential()
    url = "https://api.anthropic.com/v1/messages"

    named = {name: value.reveal() for name, value in authorized.for_url(url).items()}
    assert named == {"authorization": "Bearer federated-1", "anthropic-beta": BETA}
    request = authorized.add_to(UrllibRequest(url))
    assert dict(request.header_items()) == {"Authorization": "Bearer federated-1", "Anthropic-beta": BETA}
    with pytest.raises(PolicyDenied):
        authorized.for_url("https://evil.example/v1/messages")


def test_a_refused_identity_is_a_rejected_credential(tmp_path: Path) -> None:
    """Exit 4; nothing is kept."""
    workload = Workload(tmp_path, json_response(400, {"error": "invalid_grant"}))

    with pytest.raises(CredentialRejected) as caught:
        workload.client().credential()

    assert caught.value.exit_code == 4
    assert workload.kept() == []


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), (b"", "is empty"), (b"\xff", "is not text"), (b"x" * 20_000, "is too long")],
)
def test_an_identity_token_that_is_none_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    """Before anything is sent."""
    workload = Workload(tmp_path)
    workload.identity.unlink()
    if content is not None:
        workload.identity.write_bytes(content)

    with pytest.raises(UnreadableFile, match=words):
        workload.client().credential()


def test_where_nothing_can_be_kept_nothing_is_shared(tmp_path: Path) -> None:
    """A state directory that is a file: every process exchanges for itself."""
    workload = Workload(tmp_path, issued(1), issued(2))
    workload.machine.bare.state_dir.write_text("")

    assert shown(workload.client().credential()) == "federated-1"
    assert shown(workload.client().credential()) == "federated-2"
