from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from keystead.credentials import Login
from keystead.errors import ServerUnreachable
from keystead.wire import oauth

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Issuer, Machine

DISCOVERY = f"GET {oauth.METADATA_PATH}"


def test_a_server_that_is_not_there_is_an_error_with_its_fix(machine: "Machine") -> None:
    machine.issuer.answer(DISCOVERY, ServerUnreachable("refused"))

    outcome = machine.run("login")

    assert outcome.code == 75
    assert "There is no server at http://127.0.0.1:8420." in outcome.err
    assert "keystead server run" in outcome.err


@pytest.mark.parametrize(
    "url", ["http://keys.example.com", "keys.example.com", "https://u:canary@keys.example.com", "https://x?y", ""]
)
def test_an_unsafe_address_is_refused_before_it_is_asked(machine: "Machine", url: str) -> None:
    outcome = machine.run("login", "--server", url)

    assert outcome.code == 78
    assert "--server" in outcome.err
    assert "canary" not in outcome.err
    assert machine.issuer.transport.requests == []


def asked(issuer: "Issuer") -> str:
    return issuer.transport.requests[0].url.removesuffix(oauth.METADATA_PATH)


def test_the_server_comes_from_the_first_place_that_names_one(machine: "Machine", login: Login) -> None:
    """The last sign-in, then above it an administrator's setting, the variable, and the command line."""
    found = []

    def ask(*flags: str) -> None:
        machine.issuer.transport.requests.clear()
        machine.run("login", *flags)
        found.append(asked(machine.issuer))

    machine.issuer.answer(DISCOVERY, ServerUnreachable("refused"))
    ask()
    machine.surroundings.store.save(replace(login, issuer="https://last.example"))
    ask()
    managed = machine.surroundings.environment.managed_dir
    managed.mkdir()
    (managed / "managed-settings.json").write_text('{"forceLoginGatewayUrl": "https://forced.example"}')
    ask()
    machine.set(KEYSTEAD_SERVER="https://variable.example")
    ask()
    ask("--server", "https://flag.example")

    assert found == [
        "http://127.0.0.1:8420",
        "https://last.example",
        "https://forced.example",
        "https://variable.example",
        "https://flag.example",
    ]


def test_only_an_administrator_forces_a_server(machine: "Machine") -> None:
    machine.user_settings('{"forceLoginGatewayUrl": "https://evil.example"}')
    machine.issuer.answer(DISCOVERY, ServerUnreachable("refused"))

    machine.run("login")

    assert asked(machine.issuer) == "http://127.0.0.1:8420"


def test_an_unreadable_managed_file_lets_nothing_else_decide(machine: "Machine") -> None:
    managed = machine.surroundings.environment.managed_dir
    managed.mkdir()
    (managed / "managed-settings.json").write_text("{")

    outcome = machine.run("login")

    assert outcome.code == 78
    assert "managed-settings.json:1" in outcome.err
    assert machine.issuer.transport.requests == []
