import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from keystead.credentials import Account, Login, LoginKind
from keystead.errors import ServerUnreachable
from keystead.testing.clock import FakeClock
from keystead.wire.http import Response

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine

CANARIES = (b"canary-old-access", b"canary-old-refresh")


def files_with_canaries(machine: "Machine") -> list[str]:
    state = machine.surroundings.environment.state_dir
    return [file.name for file in state.rglob("*") if any(canary in file.read_bytes() for canary in CANARIES)]


def test_it_is_revoked_then_gone(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)
    machine.surroundings.store.save(login)

    outcome = machine.run("logout")

    assert outcome.code == 0
    assert "Signed out of https://keys.example.com as old@example.com." in outcome.out
    assert "The server has revoked it." in outcome.out
    assert "No other credential takes over" in outcome.out
    assert machine.issuer.revoked == ["canary-old-refresh", "canary-old-access"]
    assert machine.surroundings.store.load(login.kind) is None
    assert files_with_canaries(machine) == []


@pytest.mark.parametrize("answer", [ServerUnreachable("the server is gone"), Response(503, {}, b"")])
def test_a_server_that_does_not_confirm_is_said_and_the_copy_here_is_gone_all_the_same(
    machine: "Machine", login: Login, answer: Response | Exception
) -> None:
    machine.surroundings.store.save(login)
    machine.issuer.answer("POST /oauth/revoke", answer)

    outcome = machine.run("logout")

    assert outcome.code == 0
    assert "NOT revoked" in outcome.out
    assert "works for 1 hour more" in outcome.out
    assert files_with_canaries(machine) == []


def test_local_tells_the_server_nothing(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)

    outcome = machine.run("logout", "--local")

    assert "not revoked, as asked" in outcome.out
    assert machine.issuer.transport.requests == []
    assert machine.surroundings.store.load(login.kind) is None


def test_an_expired_leftover_is_not_made_bigger_than_it_is(machine: "Machine", login: Login, clock: FakeClock) -> None:
    tokens = replace(login.tokens, refresh_token=None)
    machine.surroundings.store.save(replace(login, tokens=tokens))
    clock.advance(7200)

    assert "expired anyway" in machine.run("logout", "--local").out


def test_what_takes_over_is_named(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)
    machine.set(ANTHROPIC_API_KEY="canary-key")

    outcome = machine.run("logout")

    assert "From now on API key is used (ANTHROPIC_API_KEY in the environment)" in outcome.out
    assert "per token" in outcome.out


def test_one_method_leaves_the_other(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)
    machine.surroundings.store.save(replace(login, kind=LoginKind.ACCOUNT))

    machine.run("logout", "--method", "gateway")

    assert machine.surroundings.store.load(LoginKind.GATEWAY) is None
    assert machine.surroundings.store.load(LoginKind.ACCOUNT) is not None


def test_nobody_to_sign_out_is_said(machine: "Machine") -> None:
    outcome = machine.run("logout")

    assert outcome.code == 4
    assert "Nobody is signed in here." in outcome.err


def test_a_sign_in_that_could_be_gone_back_to_is_ended_too(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)
    other = replace(login, account=Account("per_2", "other@example.com"), tokens=replace(login.tokens, scope="x"))
    machine.surroundings.store.save(other)

    outcome = machine.run("logout", "--json")

    ended = json.loads(outcome.out)["ended"]
    assert [(one["email"], one["revocation"]) for one in ended] == [
        ("other@example.com", "revoked"),
        ("old@example.com", "revoked"),
    ]
    assert machine.issuer.revoked == ["canary-old-refresh", "canary-old-access"] * 2
    assert files_with_canaries(machine) == []


@pytest.mark.requirement("R-16 residual")
def test_every_credential_that_is_left_is_named_in_its_turn(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)
    machine.set(ANTHROPIC_AUTH_TOKEN="token-canary", ANTHROPIC_API_KEY="key-canary")
    machine.user_settings(json.dumps({"apiKeyHelper": "echo helper-canary"}))

    told = " ".join(machine.run("logout", "--local").out.split())
    machine.surroundings.store.save(login)
    listed = json.loads(machine.run("logout", "--local", "--json").out)

    assert "From now on Bearer token is used" in told
    assert "After it would come API key (ANTHROPIC_API_KEY in the environment), then API key helper (" in told
    assert listed["takes_over"]["source"] == "auth_token"
    assert [one["source"] for one in listed["residual"]] == ["api_key", "api_key_helper"]
    assert "canary" not in told + json.dumps(listed)


@pytest.mark.requirement("R-16 kept on failure")
@pytest.mark.parametrize("answer", [ServerUnreachable("the server is gone"), Response(503, {}, b"")])
def test_revoke_keeps_what_its_server_has_not_revoked(
    machine: "Machine", login: Login, answer: Response | Exception
) -> None:
    kept = machine.surroundings.store.save(login)
    machine.issuer.answer("POST /oauth/revoke", answer)

    outcome = machine.run("revoke")

    assert outcome.code == 75
    assert "is kept" in outcome.err
    assert machine.surroundings.store.load(login.kind) == kept


@pytest.mark.requirement("R-16 kept on failure")
def test_revoke_deletes_what_its_server_has_revoked(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)

    (revoked,) = json.loads(machine.run("revoke", "--json").out)["revoked"]

    assert (revoked["revocation"], revoked["server"]) == ("revoked", login.issuer)
    assert machine.issuer.revoked == ["canary-old-refresh", "canary-old-access"]
    assert files_with_canaries(machine) == []
    assert machine.run("revoke").code == 4
