"""The precedence table: every row, every pair, and what each says about itself."""

import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from keystead.credentials import LoginKind
from keystead.sources import SOURCES
from keystead.sources.candidate import CandidateState
from keystead.testing.machine import Machine
from keystead.testing.store_contract import sample_login

CANARY = "canary-of-the-precedence-table"


def _variable(name: str, value: str = CANARY) -> Callable[[Machine], None]:
    return lambda machine: machine.variables.update({name: value})


def _login(kind: LoginKind) -> Callable[[Machine], None]:
    def add(machine: Machine) -> None:
        machine.store.save(sample_login(kind, access_token=CANARY))

    return add


def _profile(name: str, **variables: str) -> Callable[[Machine], None]:
    """A profile of the vendor's SDKs for federation; the canary is its identity token."""

    def add(machine: Machine) -> None:
        token = machine.bare.home / "identity"
        token.write_text(CANARY)
        path = machine.bare.home / f".config/anthropic/configs/{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        rule = {"type": "oidc_federation", "federation_rule_id": "fdrl_1"}
        identity = {"identity_token": {"source": "file", "path": str(token)}}
        path.write_text(json.dumps({"organization_id": "org-1", "authentication": rule | identity}))
        path.chmod(0o644)
        machine.variables.update(variables)

    return add


def _workload(machine: Machine) -> None:
    machine.variables.update(
        ANTHROPIC_FEDERATION_RULE_ID="fdrl_2", ANTHROPIC_ORGANIZATION_ID="org-2", ANTHROPIC_IDENTITY_TOKEN=CANARY
    )


def _reference(machine: Machine) -> None:
    key = machine.bare.home / "key"
    key.write_text(CANARY)
    key.chmod(0o600)
    machine.variables["KEYSTEAD_API_KEY"] = "file:~/key"


def _vendor_login(machine: Machine) -> None:
    machine.vendor_login(CANARY)


SET_UP: dict[str, Callable[[Machine], None]] = {
    "gateway_session": _login(LoginKind.GATEWAY),
    "cloud:bedrock": _variable("CLAUDE_CODE_USE_BEDROCK", "1"),
    "cloud:foundry": _variable("CLAUDE_CODE_USE_FOUNDRY", "true"),
    "cloud:aws": _variable("CLAUDE_CODE_USE_ANTHROPIC_AWS", " YES "),
    "cloud:mantle": _variable("CLAUDE_CODE_USE_MANTLE", "on"),
    "cloud:vertex": _variable("CLAUDE_CODE_USE_VERTEX", "1"),
    "auth_token": _variable("ANTHROPIC_AUTH_TOKEN"),
    "api_key": _variable("ANTHROPIC_API_KEY"),
    "api_key_reference": _reference,
    "api_key_helper": lambda machine: machine.settings({"apiKeyHelper": f"echo {CANARY}"}),
    "profile": _profile("work", ANTHROPIC_PROFILE="work"),
    "workload_identity": _workload,
    "active_profile": _profile("default"),
    "oauth_token": _variable("CLAUDE_CODE_OAUTH_TOKEN"),
    "vendor_login": _vendor_login,
    "login": _login(LoginKind.ACCOUNT),
}
NEVER_USED = {"oauth_token", "vendor_login"}
ORDER = [source.id for source in SOURCES]


def test_the_table_has_the_documented_order() -> None:
    """A session outranks all, then clouds, the variables, the helper, federation; a stored login is last (S-04)."""
    assert list(SET_UP) == ORDER


@pytest.mark.parametrize("source", ORDER)
def test_alone_a_source_wins_or_is_refused(tmp_path: Path, source: str) -> None:
    """And every other row says that it has nothing."""
    machine = Machine(tmp_path)
    SET_UP[source](machine)

    resolution = machine.resolve()

    states = {one.source: one.state for one in resolution.considered}
    expected = CandidateState.REFUSED if source in NEVER_USED else CandidateState.SELECTED
    assert states.pop(source) is expected
    assert set(states.values()) == {CandidateState.ABSENT}
    assert (resolution.winner is None) == (source in NEVER_USED)
    assert (resolution.problem is None) == (source not in NEVER_USED)


@pytest.mark.parametrize(("first", "second"), list(combinations(ORDER, 2)))
def test_of_two_sources_the_higher_usable_one_wins(tmp_path: Path, first: str, second: str) -> None:
    """Whatever the pair; the other one is named with its state."""
    machine = Machine(tmp_path)
    SET_UP[second](machine)
    SET_UP[first](machine)

    resolution = machine.resolve()

    usable = [source for source in (first, second) if source not in NEVER_USED]
    assert (resolution.winner.source if resolution.winner else None) == (usable[0] if usable else None)
    states = {one.source: one.state for one in resolution.considered if one.present}
    assert set(states) == {first, second}
    if len(usable) == 2:
        assert states[second] is CandidateState.OUTRANKED


def test_with_everything_set_every_row_is_explained_and_nothing_leaks(tmp_path: Path) -> None:
    """The canary is in every source and in no output."""
    machine = Machine(tmp_path)
    for add in SET_UP.values():
        add(machine)

    resolution = machine.resolve()

    assert [one.source for one in resolution.considered] == ORDER
    assert all(one.reason and one.provenance and one.payer for one in resolution.considered)
    assert CANARY not in f"{resolution!r} {resolution}"
    for one in resolution.considered:
        assert CANARY not in f"{one!r} {one.reason} {one.provenance} {one.warnings} {one.error!r}"


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.id)
def test_every_row_documents_itself(source: Any) -> None:
    """What it reads, who pays, and one sentence."""
    assert source.reads
    assert source.payer
    assert source.sentence.endswith(".")


def test_resolving_touches_nothing(tmp_path: Path) -> None:
    """No file appears, neither the helper nor the reference's program runs (R-06)."""
    machine = Machine(tmp_path)
    machine.settings({"apiKeyHelper": f"touch {tmp_path}/ran"})
    machine.variables["KEYSTEAD_API_KEY"] = f"exec:touch {tmp_path}/ran"
    before = sorted(tmp_path.rglob("*"))

    machine.resolve()

    assert sorted(tmp_path.rglob("*")) == before
