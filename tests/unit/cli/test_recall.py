"""Whatever is remembered, it is what the resolver would say now; and the question is all that the resolver reads."""

import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keystead.cli import recall
from keystead.cli.remember import MOST, resolved
from keystead.cli.surroundings import Surroundings
from keystead.credentials import LoginKind
from keystead.environment import Environment, managed_directory
from keystead.errors import KeysteadError, ServerUnreachable
from keystead.sources.login_store import open_store
from keystead.stores.bindings import Bindings
from keystead.stores.expectations import Expectations
from keystead.stores.file import FileStore
from keystead.stores.trust import Trust
from keystead.testing.clock import FakeClock
from keystead.testing.store_contract import sample_login
from keystead.testing.transport import ScriptedTransport

NAMES = [
    "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "ANTHROPIC_PROFILE", "ANTHROPIC_CONFIG_DIR",
    "ANTHROPIC_FEDERATION_RULE_ID", "ANTHROPIC_ORGANIZATION_ID", "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CONFIG_DIR", "KEYSTEAD_PROFILE", "KEYSTEAD_API_KEY",
]  # fmt: skip
VALUES = [
    "", "key", "other-key", "key\n", "a b", "1", "work", "https://keys.example.com", "elsewhere", "file:~/key",
    "env:HOME",
]  # fmt: skip
TEXTS = [
    "{}", "{", '{"env": {"ANTHROPIC_API_KEY": "key-of-a-file"}}', '{"env": {"ANTHROPIC_API_KEY": ""}}',
    '{"apiKeyHelper": "echo key-of-a-helper"}', '{"env": {"ANTHROPIC_CONFIG_DIR": "sdk"}}',
    '{"env": {"CLAUDE_CODE_USE_VERTEX": "1"}}', '{"env": {"ANTHROPIC_BASE_URL": "https://keys.example.com"}}',
]  # fmt: skip
FILES = [
    "managed/managed-settings.json", "managed/managed-settings.d/a.json", "project/.claude/settings.json",
    "project/.claude/settings.local.json", "home/.claude/settings.json", "home/.claude/.credentials.json",
    "home/.config/anthropic/active_config", "home/.config/anthropic/configs/default.json",
    "project/sdk/configs/default.json", "home/.keystead/credentials.json", "home/.keystead/expectations.json",
    "home/.keystead/bindings.json", "home/.keystead/trust.json", "home/.keystead/notices.json",
    "home/.keystead/store.json", "home/key",
]  # fmt: skip


class Variables(dict[str, str]):
    """Remembers what was looked up."""

    def __init__(self, **given: str) -> None:
        super().__init__(**given)
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


class World:
    """A machine that changes step by step."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("home", "project", "managed"):
            (root / name).mkdir()
        self.variables = Variables(HOME=str(root / "home"))
        self.clock = FakeClock()

    @property
    def surroundings(self) -> Surroundings:
        environment = Environment(
            self.variables, self.root / "home", self.root / "project", managed_dir=self.root / "managed"
        )
        transport = ScriptedTransport(routes={"POST /oauth/token": ServerUnreachable("gone")})
        store = open_store(environment, self.clock)
        return Surroundings(
            environment, store, self.clock, lambda: transport, os.urandom, lambda url, environment: False
        )

    def ask(self) -> recall.Question | None:
        try:
            return recall.ask(dict(self.variables), str(self.root / "project"), "linux", str(self.root / "managed"))
        except OSError:
            return None

    def remembered(self) -> str | None:
        question = self.ask()
        return recall.answer(question, self.clock.now()) if question is not None else None

    def decide(self) -> tuple[str | None, str]:
        """Return what the resolver answers, and what it says on standard error; it may be remembered."""
        question, said = self.ask(), io.StringIO()
        try:
            with redirect_stderr(said):
                return resolved(self.surroundings.for_profile(None), question, self.ask), said.getvalue()
        except KeysteadError as error:
            return None, error.message

    def write(self, name: str, text: str, mode: int = 0o600) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(text)
        path.chmod(mode)

    def sign_in(self, kind: LoginKind, profile: str, lifetime: float) -> None:
        login = sample_login(kind)
        tokens = replace(login.tokens, issued_at=self.clock.now(), expires_in=lifetime, clock_skew=0.0)
        with pytest.MonkeyPatch.context() as patch:
            patch.delitem(self.variables, "KEYSTEAD_PROFILE", raising=False)
            FileStore(self.surroundings.environment.state_dir, self.clock).at(profile).save(
                replace(login, tokens=tokens)
            )


def _expect(world: World, billing: str) -> None:
    environment = world.surroundings.environment
    Expectations(environment.state_dir, world.clock).declare(
        {"billing": billing}, directory=environment.cwd, profile=None
    )


def _bind(world: World, profile: str) -> None:
    environment = world.surroundings.environment
    Bindings(environment.state_dir, world.clock).bind(environment.cwd, profile)


def _trust(world: World, command: str) -> None:
    environment = world.surroundings.environment
    Trust(environment.state_dir).grant(environment.cwd, {"apiKeyHelper": command}, world.clock)


Step = Callable[[World], Any]
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.builds(
        lambda name, value: lambda world: world.variables.update({name: value}),
        st.sampled_from(NAMES), st.sampled_from(VALUES),
    ),
    st.builds(lambda name: lambda world: world.variables.pop(name, None), st.sampled_from(NAMES)),
    st.builds(lambda name, text: lambda world: world.write(name, text), st.sampled_from(FILES), st.sampled_from(TEXTS)),
    st.builds(lambda name: lambda world: world.write(name, "{}", 0o644), st.sampled_from(FILES)),
    st.builds(lambda name: lambda world: (world.root / name).unlink(missing_ok=True), st.sampled_from(FILES)),
    st.builds(
        lambda kind, profile, lifetime: lambda world: world.sign_in(kind, profile, lifetime),
        st.sampled_from(LoginKind), st.sampled_from(["default", "work"]), st.sampled_from([60.0, 3600.0]),
    ),
    st.builds(lambda billing: lambda world: _expect(world, billing), st.sampled_from(["metered", "gateway"])),
    st.builds(lambda profile: lambda world: _bind(world, profile), st.sampled_from(["default", "work"])),
    st.builds(lambda text: lambda world: _trust(world, text), st.just("echo key-of-a-helper")),
    st.builds(lambda seconds: lambda world: world.clock.advance(seconds), st.sampled_from([1.0, 50.0, 3000.0, -90.0])),
)  # fmt: skip


@contextmanager
def watched() -> Iterator[set[str]]:
    """Collect every path that is opened, listed or looked at."""
    seen: set[str] = set()

    def watch(function: Callable[..., Any]) -> Callable[..., Any]:
        def watching(path: Any, *more: Any, **named: Any) -> Any:
            if isinstance(path, str | os.PathLike):
                seen.add(os.path.normpath(os.fspath(path)))
            return function(path, *more, **named)

        return watching

    with pytest.MonkeyPatch.context() as patch:
        for name in ("open", "stat", "lstat", "readlink", "listdir", "scandir"):
            patch.setattr(os, name, watch(getattr(os, name)))
        patch.setattr(io, "open", watch(io.open))
        yield seen


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, min_size=2, max_size=12))
def test_what_is_remembered_is_what_the_resolver_says(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as name:
        world = World(Path(os.path.realpath(name)))
        for step in steps:
            try:
                step(world)
            except KeysteadError:  # a damaged file that cannot be added to
                continue
            remembered = world.remembered()
            decided = world.decide()

            assert remembered is None or (remembered, "") == decided
            assert world.remembered() in (None, decided[0])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, min_size=1, max_size=8))
def test_the_question_is_all_that_the_resolver_reads(steps: list[Step]) -> None:
    """Whenever an answer is kept, nothing was looked at that the question does not look at."""
    with tempfile.TemporaryDirectory() as name:
        world = World(Path(os.path.realpath(name)))
        for step in steps:
            try:
                step(world)
            except KeysteadError:
                continue
            with watched() as asked:
                world.ask()
            with watched() as read:
                world.decide()
            if world.remembered() is None:
                continue
            known = {*asked, *(str(parent) for path in asked for parent in Path(path).parents)}
            strays = {path for path in read - known if path.startswith(name) and recall.DIRECTORY not in path}
            assert strays == set()
            assert world.variables.asked & recall.PASSING == set()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def kept(world: World) -> list[Path]:
    return sorted((world.root / "home/.keystead" / recall.DIRECTORY).glob("*"))


def test_a_key_in_a_variable_is_remembered_without_the_key(world: World) -> None:
    world.variables["ANTHROPIC_API_KEY"] = "canary-key"

    assert (world.remembered(), world.decide(), world.remembered()) == (None, ("canary-key", ""), "canary-key")
    [file] = kept(world)
    assert "canary" not in file.name + file.read_text()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert file.parent.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("profile", ["default", "work"])
def test_a_sign_in_is_remembered_until_its_renewal_is_due(world: World, profile: str) -> None:
    world.sign_in(LoginKind.GATEWAY, profile, 3600.0)
    world.variables["KEYSTEAD_PROFILE"] = profile
    token, _ = world.decide()

    assert token is not None
    assert world.remembered() == token
    world.clock.advance(3299)
    assert world.remembered() == token
    world.clock.advance(1)
    assert world.remembered() is None


def test_an_answer_from_the_future_is_none(world: World) -> None:
    """The clock was set back since: when the token ends can no longer be told (R-26)."""
    world.sign_in(LoginKind.GATEWAY, "default", 3600.0)
    world.decide()
    world.clock.advance(-5)

    assert world.remembered() is None


def test_a_shadowed_purse_is_told_before_silence_is_remembered(world: World) -> None:
    world.write("home/.claude/.credentials.json", "{}")
    world.variables["ANTHROPIC_API_KEY"] = "key"

    assert "would bill as subscription" in world.decide()[1]
    assert world.remembered() is None
    assert world.decide() == ("key", "")
    assert world.remembered() == "key"


@pytest.mark.parametrize("line", ["", "0 0 3", "0 0 3 0 99999999999", "99 0 3 0 99999999999\n", "a b c d e\n"])
def test_a_damaged_answer_is_none(world: World, line: str) -> None:
    world.variables["ANTHROPIC_API_KEY"] = "key"
    world.decide()
    kept(world)[0].write_text(line)

    assert world.remembered() is None


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_an_answer_that_others_could_have_written_is_none(world: World) -> None:
    world.variables["ANTHROPIC_API_KEY"] = "key"
    world.decide()
    kept(world)[0].chmod(0o620)

    assert world.remembered() is None


def test_a_helpers_key_is_never_remembered(world: World) -> None:
    """What it prints next may differ, though nothing that was read does."""
    world.write("home/.claude/settings.json", '{"apiKeyHelper": "echo key"}')

    assert world.decide() == ("key", "")
    assert kept(world) == []


def test_a_handful_is_kept(world: World) -> None:
    for number in range(MOST + 3):
        world.variables["ANTHROPIC_API_KEY"] = f"key-{number}"
        world.decide()

    assert len(kept(world)) == MOST
    assert world.remembered() == f"key-{MOST + 2}"


def test_a_directory_that_cannot_be_written_costs_nothing(world: World) -> None:
    world.variables["ANTHROPIC_API_KEY"] = "key"
    world.write("home/.keystead", "in the way")

    assert world.decide()[0] in ("key", None)
    assert world.remembered() is None


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_managed_settings_are_looked_for_where_they_are(platform: str) -> None:
    assert Path(recall.MANAGED.get(platform, recall.ELSEWHERE)) == managed_directory(platform)
