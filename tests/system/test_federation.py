"""Workload identity federation end to end: the real program, a token endpoint and a Messages API on loopback (S-12)."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from local_server import Answer, Asked, LocalServer, local_server
from running import Machine

from keystead.secret import Secret
from keystead.testing.messages_api import MessagesApi

IDENTITY = "canaryIdentity7xcanaryIdentity7x"
ISSUED = "canaryIssued7xcanaryIssued7x"


def exchange(asked: Asked) -> Answer:
    """Issue a token for the right identity and rule, and echo what was sent otherwise."""
    sent = json.loads(asked.body)
    if (sent["assertion"], sent["federation_rule_id"], sent["organization_id"]) != (IDENTITY, "fdrl_1", "org-1"):
        return 400, "application/json", {"error": "invalid_grant", "error_description": asked.body}
    return 200, "application/json", {"access_token": ISSUED, "token_type": "Bearer", "expires_in": 600}


@pytest.fixture
def vendor() -> Iterator[LocalServer]:
    """One address with both, as the vendor's is."""
    with MessagesApi(api_key=Secret(ISSUED)) as api:

        def forward(asked: Asked) -> Answer:
            kept = {name: asked.headers[name] for name in ("authorization", "anthropic-version", "content-type")
                    if name in asked.headers}  # fmt: skip
            request = Request(api.base_url + asked.path, asked.body.encode() or None, kept, method=asked.method)
            try:
                with urlopen(request) as response:
                    return response.status, response.headers["content-type"], response.read().decode()
            except HTTPError as error:
                with error:
                    return error.code, error.headers["content-type"], error.read().decode()

        with local_server({"POST /v1/oauth/token": exchange, "*": forward}) as server:
            yield server


def workload(home: Path, base: str) -> Machine:
    """Return a machine whose platform gives it an identity."""
    identity = home / "identity"
    identity.write_text(IDENTITY + "\n")
    identity.chmod(0o644)
    return Machine(
        home,
        {
            "KEYSTEAD_DEBUG": "1",
            "ANTHROPIC_BASE_URL": base,
            "ANTHROPIC_FEDERATION_RULE_ID": "fdrl_1",
            "ANTHROPIC_ORGANIZATION_ID": "org-1",
            "ANTHROPIC_IDENTITY_TOKEN_FILE": str(identity),
        },
    )


def test_an_identity_pays_for_an_answer_and_shows_nowhere(tmp_path: Path, vendor: LocalServer) -> None:
    """One exchange for all commands; the token is in its own file and on the output of `token` only."""
    machine = workload(tmp_path, vendor.url)

    shown = ""
    commands = [("status",), ("status", "--json"), ("explain", "--json"), ("-p", "hello"), ("status", "--verify")]
    for command in commands:
        done = machine.keystead(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        shown += done.stdout + done.stderr

    assert machine.keystead("token").stdout == f"{ISSUED}\n"
    assert [one.path for one in vendor.asked].count("/v1/oauth/token") == 1
    model = [one for one in vendor.asked if one.path != "/v1/oauth/token"]
    assert {one.headers["authorization"] for one in model} == {f"Bearer {ISSUED}"}
    assert {one.headers["anthropic-beta"] for one in model} == {"oauth-2025-04-20"}
    assert IDENTITY not in shown
    assert ISSUED not in shown
    holders = {path.name for path in tmp_path.rglob("*") if path.is_file() and ISSUED in path.read_text("latin-1")}
    assert len(holders) == 1
    assert holders.pop().startswith("federation-")


def test_a_refused_identity_is_told_without_being_repeated(tmp_path: Path, vendor: LocalServer) -> None:
    """Even where the endpoint echoes it."""
    machine = workload(tmp_path, vendor.url)
    (tmp_path / "identity").write_text(f"{IDENTITY}-of-another")

    done = machine.keystead("token")

    assert done.returncode == 4
    assert "federation rule fdrl_1" in done.stderr
    assert IDENTITY not in done.stdout + done.stderr


def test_a_configuration_in_part_is_refused_before_anything_is_sent(tmp_path: Path, vendor: LocalServer) -> None:
    """With the name of what is missing."""
    machine = workload(tmp_path, vendor.url)
    del machine.variables["ANTHROPIC_ORGANIZATION_ID"]

    done = machine.keystead("token")

    assert done.returncode == 78
    assert "ANTHROPIC_ORGANIZATION_ID" in done.stderr
    assert vendor.asked == []
