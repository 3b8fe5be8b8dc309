"""Two accounts at once: whatever is called where and when, never the other account's token (R-04)."""

import os
import random
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from keystead.client import Client
from keystead.clock import SYSTEM_CLOCK
from keystead.credentials import Login, LoginKind
from keystead.secret import Secret
from keystead.stores import profiles
from keystead.stores.bindings import Bindings
from keystead.stores.file import FileStore
from keystead.testing.environment import bare_environment
from keystead.testing.store_contract import sample_login
from keystead.testing.transport import ScriptedTransport, json_response
from keystead.wire.http import Request, Response

KIND = LoginKind.GATEWAY
PROFILES = ("home", "work")
CALLS = 1000


def renewing(request: Request) -> Response:
    """Stand for the issuer: new tokens for whoever's refresh token it is."""
    refresh_token = (request.form or {})["refresh_token"]
    owner = next(profile for profile in PROFILES if refresh_token == Secret(f"{profile}-refresh"))
    tokens = {"access_token": f"{owner}-renewed", "refresh_token": f"{owner}-refresh"}
    return json_response(200, {**tokens, "token_type": "Bearer", "expires_in": 3600})


def sign_in(profile: str, *, expired: bool = False) -> Login:
    login = sample_login(access_token=f"{profile}-access")
    issued_at = SYSTEM_CLOCK.now() - (7200 if expired else 0)
    tokens = replace(login.tokens, refresh_token=Secret(f"{profile}-refresh"), issued_at=issued_at)
    return replace(login, tokens=tokens, account=replace(login.account, id=f"per_{profile}"))


@dataclass(frozen=True)
class Place:
    """A shell's variables and the directory it is in, and the account that is meant there."""

    variables: Mapping[str, str]
    directory: Path
    flag: str | None
    expected: str


class World:
    """One state directory with two accounts, two bound directories, and shells of every sort in them."""

    def __init__(self, root: Path) -> None:
        self.environment = bare_environment(root)
        self.store = FileStore(self.environment.state_dir, SYSTEM_CLOCK)
        self.transport = ScriptedTransport(routes={"POST /oauth/token": renewing})
        bindings = Bindings(self.environment.state_dir, SYSTEM_CLOCK)
        for profile in PROFILES:
            self.store.at(profile).save(sign_in(profile))
            (root / f"{profile}-projects/deep").mkdir(parents=True)
            bindings.bind(root / f"{profile}-projects", profile)
        self.places = [
            Place(variables, root / f"{bound}-projects/deep", flag, flag or variables.get(profiles.VARIABLE) or bound)
            for bound in PROFILES
            for flag in (None, *PROFILES)
            for variables in ({}, *({profiles.VARIABLE: profile} for profile in PROFILES))
        ]

    def call(self, place: Place) -> tuple[str, str | None]:
        """Do what a process there does, and return its token and the account it takes it for."""
        environment = replace(self.environment, variables=place.variables, cwd=place.directory)
        selection = profiles.select(environment, SYSTEM_CLOCK, place.flag)
        store = profiles.view(FileStore(environment.state_dir, SYSTEM_CLOCK), selection)
        authorized = Client(environment, store, lambda: self.transport, SYSTEM_CLOCK).credential()
        account = authorized.candidate.account
        return authorized.secret.reveal(), account.id if account else None

    def expire(self, profile: str) -> None:
        """Let the sign-in of ``profile`` be past its time, as after a night."""
        store = self.store.at(profile)
        with store.lock(KIND, 60.0):
            store.save(sign_in(profile, expired=True))


@pytest.mark.requirement("R-04 shells")
def test_a_thousand_interleaved_calls_never_get_the_other_account(tmp_path: Path) -> None:
    """In two directories, with and without a variable and a flag, while both accounts are renewed again and again."""
    world = World(tmp_path)
    order = random.Random(4)
    schedule = [order.choice(world.places) for _ in range(CALLS)]

    def one(number: int) -> tuple[str, tuple[str, str | None]]:
        if number % 50 == 0:
            world.expire(order.choice(PROFILES))
        place = schedule[number]
        return place.expected, world.call(place)

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(one, range(CALLS)))

    wrong = [(e, got) for e, got in outcomes if got not in {(f"{e}-access", f"per_{e}"), (f"{e}-renewed", f"per_{e}")}]
    assert wrong == []
    assert {expected for expected, _ in outcomes} == set(PROFILES)
    assert world.transport.requests


SHELL = """
keystead() { "$PYTHON" -c 'from keystead.cli import main; main()' "$@"; }
eval "$(keystead accounts use "$MINE")"
for directory in "$FIRST" "$SECOND" "$FIRST"; do
    cd "$directory" && keystead token && keystead token --profile "$OTHER"
done
unset KEYSTEAD_PROFILE
for directory in "$FIRST" "$SECOND"; do
    cd "$directory" && keystead token
done
"""


@pytest.mark.requirement("R-04 shells")
@pytest.mark.skipif(os.name != "posix", reason="the shells are POSIX shells")
def test_use_in_one_shell_does_not_change_the_other(tmp_path: Path) -> None:
    """Two real shells at once, each in both directories."""
    world = World(tmp_path)
    home, work = (str(tmp_path / f"{profile}-projects") for profile in PROFILES)

    def shell(mine: str, other: str) -> subprocess.Popen[str]:
        variables = {"HOME": str(world.environment.home), "PATH": os.defpath, "PYTHON": sys.executable}
        chosen = {"MINE": mine, "OTHER": other, "FIRST": home, "SECOND": work}
        return subprocess.Popen(
            ["/bin/sh", "-ec", SHELL], env={**variables, **chosen}, cwd=tmp_path, stdout=subprocess.PIPE, text=True
        )

    shells = {"home": shell("home", "work"), "work": shell("work", "home")}
    said = {mine: one.communicate(timeout=120)[0].split() for mine, one in shells.items()}

    for mine, other in (PROFILES, PROFILES[::-1]):
        assert said[mine] == [*(f"{mine}-access", f"{other}-access") * 3, "home-access", "work-access"]


def test_a_helper_is_told_the_profile_and_its_output_is_not_shared(tmp_path: Path) -> None:
    """One that asks a vault for this account's key must not be answered with the other's."""
    world = World(tmp_path)
    settings = world.environment.home / ".claude/settings.json"
    settings.parent.mkdir()
    settings.write_text('{"apiKeyHelper": "echo key-of-$KEYSTEAD_PROFILE"}')

    def key_of(profile: str) -> str:
        store = FileStore(world.environment.state_dir, SYSTEM_CLOCK).at(profile)
        client = Client(world.environment, store, lambda: world.transport, SYSTEM_CLOCK)
        return client.credential().secret.reveal()

    assert [key_of(name) for name in ("default", "other", "default")] == [
        "key-of-default",
        "key-of-other",
        "key-of-default",
    ]


def test_the_library_chooses_like_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By argument, else by what the process was given."""
    world = World(tmp_path)
    monkeypatch.setenv("HOME", str(world.environment.home))
    monkeypatch.delenv("KEYSTEAD_CONFIG_DIR", raising=False)
    monkeypatch.setenv(profiles.VARIABLE, "work")

    assert Client.local().credential().secret == Secret("work-access")
    assert Client.local(profile="home").credential().secret == Secret("home-access")
