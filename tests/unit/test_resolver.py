"""What the resolution says about hard cases."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keystead.credentials import BillingClass, Header, LoginKind
from keystead.errors import (
    ConfigurationError,
    CredentialExpired,
    CredentialRejected,
    KeysteadError,
    MalformedSecret,
    NoCredential,
    PolicyDenied,
    UnreadableFile,
)
from keystead.resolver import Resolution, Resolver
from keystead.secret import Secret
from keystead.sources.candidate import Approval, Candidate, CandidateState
from keystead.stores.approvals import Approvals
from keystead.stores.file import FileStore
from keystead.stores.memory import MemoryStore
from keystead.testing.clock import FakeClock
from keystead.testing.environment import bare_environment
from keystead.testing.store_contract import sample_login
from keystead.wire import tokens

ANTHROPIC = "https://api.anthropic.com"


class World:
    """One machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.bare = bare_environment(root)
        self.approvals = Approvals(self.bare.state_dir, self.clock)

    def settings(self, document: Any, *, scope: str = "user") -> None:
        path = {
            "user": self.bare.home / ".claude/settings.json",
            "project": self.bare.cwd / ".claude/settings.json",
            "managed": self.bare.managed_dir / "managed-settings.json",
        }[scope]
        path.parent.mkdir(exist_ok=True)
        path.write_text(document if isinstance(document, str) else json.dumps(document, indent=1))

    def resolve(self, *, interactive: bool = False, **variables: str) -> Resolution:
        environment = replace(self.bare, variables=variables)
        return Resolver(environment, self.store, self.clock, interactive=interactive).resolve()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def row(resolution: Resolution, source: str) -> Candidate:
    return next(one for one in resolution.considered if one.source == source)


def test_on_a_bare_machine_signing_in_is_the_fix(world: World) -> None:
    """Exit 4, and the fix names the command."""
    resolution = world.resolve()

    with pytest.raises(NoCredential) as caught:
        resolution.require()
    assert caught.value.exit_code == 4
    assert "keystead login" in (caught.value.hint or "")


def test_a_key_goes_to_the_vendor_and_bills_per_token(world: World) -> None:
    """Header, base, origin and payer of the plainest case."""
    winner = world.resolve(ANTHROPIC_API_KEY="sk-key\n").require()

    assert (winner.header, winner.api_base, winner.billing) == (Header.X_API_KEY, ANTHROPIC, BillingClass.METERED)
    assert winner.allowed_origins == {ANTHROPIC}


def test_a_base_url_binds_key_and_token_to_its_origin_and_names_the_payer(world: World) -> None:
    """A final slash is no difference."""
    winner = world.resolve(ANTHROPIC_AUTH_TOKEN="t", ANTHROPIC_BASE_URL="https://keys.example.com/x/").require()

    assert winner.api_base == "https://keys.example.com/x"
    assert winner.allowed_origins == {"https://keys.example.com"}
    assert winner.billing is BillingClass.GATEWAY
    assert "https://keys.example.com" in winner.payer
    assert "ANTHROPIC_BASE_URL in the environment" in winner.payer


def test_a_v1_at_the_end_of_the_base_is_reported_and_taken_off(world: World) -> None:
    """Real clients would ask for /v1/v1/messages."""
    resolution = world.resolve(ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL="https://keys.example.com/v1/")

    assert resolution.require().api_base == "https://keys.example.com"
    assert any("/v1" in warning for warning in resolution.warnings)


def test_plain_http_to_another_machine_is_reported(world: World) -> None:
    """On loopback it is fine."""
    far = world.resolve(ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL="http://keys.example.com")
    near = world.resolve(ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL="http://127.0.0.1:8420")

    assert any("unencrypted" in warning for warning in far.warnings)
    assert near.warnings == ()


@pytest.mark.parametrize(
    "url", ["keys.example.com", "https://u@keys.example.com", "https://a/?x", "https://a/#", "ftp://a"]
)
def test_a_base_that_is_no_base_stops(world: World, url: str) -> None:
    """Rather than sending a key somewhere."""
    with pytest.raises(ConfigurationError, match="ANTHROPIC_BASE_URL is not a base URL"):
        world.resolve(ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=url).require()


def test_empty_means_unset_and_blank_is_refused_by_name(world: World) -> None:
    """`export ANTHROPIC_API_KEY=` is how people unset."""
    assert row(world.resolve(ANTHROPIC_API_KEY=""), "api_key").state is CandidateState.ABSENT
    with pytest.raises(MalformedSecret, match="ANTHROPIC_API_KEY is set but blank"):
        world.resolve(ANTHROPIC_API_KEY="  ").require()


def test_a_malformed_value_from_settings_names_its_line(world: World) -> None:
    """The variable's name alone would send people to their shell."""
    world.settings({"env": {"ANTHROPIC_API_KEY": "can\nary"}})

    with pytest.raises(MalformedSecret, match=r"ANTHROPIC_API_KEY \(~/.claude/settings.json:3\) has a line break"):
        world.resolve(ANTHROPIC_API_KEY="of-the-shell").require()


def test_a_broken_source_stops_what_ranks_below_it_and_nothing_above(world: World) -> None:
    """It might have won: failing closed beats guessing."""
    broken = world.resolve(ANTHROPIC_AUTH_TOKEN="a b", ANTHROPIC_API_KEY="k")
    assert broken.winner is None
    assert isinstance(broken.problem, MalformedSecret)
    assert row(broken, "api_key").state is CandidateState.OUTRANKED

    above = world.resolve(ANTHROPIC_AUTH_TOKEN="t", ANTHROPIC_API_KEY="a b")
    assert above.require().source == "auth_token"
    assert row(above, "api_key").state is CandidateState.BROKEN


def test_a_malformed_settings_file_stops_all_but_the_gateway_session(world: World) -> None:
    """What it would have said is unknown; the session outranks it whatever it says."""
    world.settings("{")

    with pytest.raises(UnreadableFile, match=r"settings.json:1"):
        world.resolve(ANTHROPIC_API_KEY="k").require()

    world.store.save(sample_login())
    resolution = world.resolve(ANTHROPIC_API_KEY="k")
    assert resolution.require().source == "gateway_session"
    assert row(resolution, "api_key").reason == "not known while ~/.claude/settings.json:1 cannot be read"
    assert resolution.warnings == ()


def test_an_unreadable_store_stops_even_with_a_key_in_the_environment(world: World, tmp_path: Path) -> None:
    """A gateway session may be in it."""
    store = FileStore(tmp_path / "state", world.clock)
    store.save(sample_login())
    (tmp_path / "state/credentials.json").chmod(0o644)
    environment = replace(world.bare, variables={"ANTHROPIC_API_KEY": "k"})

    with pytest.raises(UnreadableFile, match="open to other users"):
        Resolver(environment, store, world.clock, interactive=False).resolve().require()


def test_the_store_says_when_it_fell_back(world: World, tmp_path: Path) -> None:
    """The person learns that a file was damaged."""
    store = FileStore(tmp_path / "state", world.clock)
    store.save(sample_login())
    store.save(sample_login())
    path = tmp_path / "state/credentials.json"
    path.write_bytes(b"x")

    resolution = Resolver(world.bare, store, world.clock, interactive=False).resolve()

    assert resolution.require().source == "gateway_session"
    assert "damaged" in resolution.warnings[0]


def test_a_stored_login_brings_everything_the_server_said(world: World) -> None:
    """Account, organization, payer, upstream, expiry, origins."""
    login = world.store.save(sample_login())
    winner = world.resolve().require()

    assert winner.account == login.account
    assert winner.expires_at == login.tokens.expires_at
    assert (winner.upstream, winner.allowed_origins) == ("test", login.allowed_origins)
    assert "ada@example.com" in winner.reason
    assert "Example" in winner.payer


def test_an_ended_session_is_an_error_and_not_a_change_of_payer(world: World) -> None:
    """A key in the environment does not quietly take over (R-03)."""
    login = world.store.save(sample_login())
    world.store.save(replace(login, retired_at=world.clock.now()))
    with pytest.raises(CredentialRejected) as caught:
        world.resolve(ANTHROPIC_API_KEY="k").require()
    assert "keystead logout" in (caught.value.hint or "")

    world.store.save(replace(login, tokens=replace(login.tokens, refresh_token=None)))
    world.clock.advance(4000)
    with pytest.raises(CredentialExpired):
        world.resolve(ANTHROPIC_API_KEY="k").require()


def test_an_expired_login_that_can_be_renewed_still_wins(world: World) -> None:
    """Resolving does not renew; using does."""
    world.store.save(sample_login())
    world.clock.advance(10_000)

    winner = world.resolve().require()

    assert winner.freshness == "expired"


def test_a_metered_key_that_shadows_another_purse_is_announced(world: World) -> None:
    """The surprise bill of R-03, with both places."""
    world.store.save(replace(sample_login(LoginKind.ACCOUNT), billing=BillingClass.SUBSCRIPTION))
    resolution = world.resolve(ANTHROPIC_API_KEY="k")

    assert any(
        "metered" in warning and "subscription" in warning and "ANTHROPIC_API_KEY in the environment" in warning
        for warning in resolution.warnings
    )
    assert world.resolve().warnings == ()


def test_a_vendors_own_login_beside_a_key_is_announced_and_not_opened(world: World) -> None:
    """Its presence is enough to know; a file that may not be read proves that it was not opened."""
    path = world.bare.home / ".claude/.credentials.json"
    path.parent.mkdir()
    path.write_text("canary")
    path.chmod(0)

    resolution = world.resolve(ANTHROPIC_API_KEY="k")

    assert row(resolution, "vendor_login").state is CandidateState.REFUSED
    assert "not opened" in row(resolution, "vendor_login").reason
    assert any("subscription" in warning for warning in resolution.warnings)


def test_each_purse_that_is_passed_over_is_announced_once(world: World) -> None:
    """A vendor token and a vendor login are the same purse; a cloud is none here."""
    path = world.bare.home / ".claude/.credentials.json"
    path.parent.mkdir()
    path.touch()

    resolution = world.resolve(ANTHROPIC_API_KEY="k", CLAUDE_CODE_OAUTH_TOKEN="t")

    assert len([warning for warning in resolution.warnings if "would bill" in warning]) == 1


def test_only_a_vendors_login_means_signing_in(world: World) -> None:
    """Nothing forbidden was asked for: exit 4."""
    path = world.bare.home / ".claude/.credentials.json"
    path.parent.mkdir()
    path.touch()

    with pytest.raises(NoCredential):
        world.resolve().require()


def test_a_vendor_subscription_token_is_refused_with_rule_and_alternative(world: World) -> None:
    """Exit 77; with another credential it is only shown."""
    with pytest.raises(PolicyDenied, match="vendor-subscription-token") as caught:
        world.resolve(CLAUDE_CODE_OAUTH_TOKEN="canary").require()
    assert "canary" not in caught.value.message
    assert "API key" in (caught.value.hint or "")

    assert world.resolve(CLAUDE_CODE_OAUTH_TOKEN="x", ANTHROPIC_API_KEY="k").require().source == "api_key"


@pytest.mark.parametrize(
    ("document", "name"),
    [
        ({"apiKeyHelper": "evil"}, "apiKeyHelper"),
        ({"env": {"ANTHROPIC_API_KEY": "theirs"}}, "ANTHROPIC_API_KEY"),
        ({"env": {"ANTHROPIC_AUTH_TOKEN": "theirs"}}, "ANTHROPIC_AUTH_TOKEN"),
    ],
)
def test_what_a_project_may_not_set_is_refused_with_place_and_fix(world: World, document: Any, name: str) -> None:
    """A clone brings no credential and no command (R-07)."""
    world.settings(document, scope="project")

    with pytest.raises(PolicyDenied, match=rf"\./\.claude/settings\.json:\d sets {name}") as caught:
        world.resolve().require()
    assert name in (caught.value.hint or "")


def test_a_project_cannot_redirect_a_key(world: World) -> None:
    """The key keeps going where its owner sends it, and the attempt is reported."""
    world.settings({"env": {"ANTHROPIC_BASE_URL": "https://evil.example"}}, scope="project")

    resolution = world.resolve(ANTHROPIC_API_KEY="k")

    assert resolution.require().allowed_origins == {ANTHROPIC}
    assert any("settings.json:3 sets ANTHROPIC_BASE_URL" in warning for warning in resolution.warnings)


def test_a_projects_helper_does_not_displace_the_persons_own(world: World) -> None:
    """The own one runs, the other is reported."""
    world.settings({"apiKeyHelper": "mine"})
    world.settings({"apiKeyHelper": "evil"}, scope="project")

    resolution = world.resolve()

    assert str(resolution.require().provenance) == "~/.claude/settings.json:2"
    assert any("ignored" in warning for warning in resolution.warnings)


def test_a_key_needs_approval_only_where_a_person_can_be_asked(world: World) -> None:
    """Without a person it is always used (S-05)."""
    world.store.save(sample_login(LoginKind.ACCOUNT))

    assert world.resolve(ANTHROPIC_API_KEY="k").require().source == "api_key"
    asked = world.resolve(interactive=True, ANTHROPIC_API_KEY="k")
    assert asked.require().source == "login"
    assert row(asked, "api_key").approval is Approval.PENDING
    assert "not yet approved" in row(asked, "api_key").reason


@pytest.mark.parametrize(
    ("accepted", "winner", "says"), [(True, "api_key", "approved on"), (False, "login", "declined on")]
)
def test_an_answer_is_remembered_and_shown(world: World, accepted: bool, winner: str, says: str) -> None:
    """A declined key is shown as declined, never silently ignored."""
    world.store.save(sample_login(LoginKind.ACCOUNT))
    world.approvals.decide(Secret("k"), ANTHROPIC, accepted=accepted)

    resolution = world.resolve(interactive=True, ANTHROPIC_API_KEY="k")

    assert resolution.require().source == winner
    assert f"{says} 2026-11-18" in row(resolution, "api_key").reason


def test_only_an_unapproved_key_says_what_to_do(world: World) -> None:
    """Exit 4: a person must act."""
    with pytest.raises(NoCredential, match="not yet approved"):
        world.resolve(interactive=True, ANTHROPIC_API_KEY="k").require()


def test_a_cloud_without_credentials_is_reported_at_once(world: World) -> None:
    """With the fix, before the first request fails (S-09)."""
    missing = world.resolve(CLAUDE_CODE_USE_BEDROCK="1")
    there = world.resolve(CLAUDE_CODE_USE_BEDROCK="1", AWS_PROFILE="work")

    assert any("AWS_PROFILE" in warning for warning in missing.warnings)
    assert there.warnings == ()


@pytest.mark.parametrize("value", ["0", "false", "no", "2", "canary"])
def test_a_switch_that_is_not_on_is_off_and_its_value_is_not_shown(world: World, value: str) -> None:
    """People paste keys into the wrong variable."""
    candidate = row(world.resolve(CLAUDE_CODE_USE_VERTEX=value), "cloud:vertex")

    assert candidate.state is CandidateState.ABSENT
    assert "means off" in candidate.reason
    assert "canary" not in candidate.reason


def test_a_damaged_keystead_key_is_named_without_a_request(world: World) -> None:
    """Its checksum tells (R-12)."""
    key = tokens.mint(tokens.TokenKind.API_KEY, bytes)
    base = "https://keys.example.com"

    assert world.resolve(ANTHROPIC_API_KEY=key, ANTHROPIC_BASE_URL=base).require().source == "api_key"
    with pytest.raises(MalformedSecret, match="truncated at character 20"):
        world.resolve(ANTHROPIC_API_KEY=key[:20], ANTHROPIC_BASE_URL=base).require()


def test_a_keystead_token_of_another_kind_is_named(world: World) -> None:
    """A refresh token is for its server's token endpoint only."""
    token = tokens.mint(tokens.TokenKind.REFRESH_TOKEN, bytes)

    with pytest.raises(ConfigurationError, match="ANTHROPIC_AUTH_TOKEN holds a Keystead refresh token"):
        world.resolve(ANTHROPIC_AUTH_TOKEN=token, ANTHROPIC_BASE_URL="https://keys.example.com").require()


def test_custom_headers_are_named_and_not_shown(world: World) -> None:
    """Other clients may send a credential in them."""
    resolution = world.resolve(ANTHROPIC_API_KEY="k", ANTHROPIC_CUSTOM_HEADERS="x-api-key: canary")

    assert len(resolution.warnings) == 1
    assert "ANTHROPIC_CUSTOM_HEADERS" in resolution.warnings[0]
    assert "canary" not in resolution.warnings[0]


def test_a_keystead_key_does_not_go_to_another_server(world: World) -> None:
    """Without a base URL it would be sent to the vendor."""
    key = tokens.mint(tokens.TokenKind.API_KEY, bytes)

    with pytest.raises(ConfigurationError, match="which server") as caught:
        world.resolve(ANTHROPIC_API_KEY=key).require()
    assert key not in caught.value.message


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, 300), ("0", 0), ("1500", 1.5), ("-1", 300), ("x", 300), ("", 300), ("1.5", 300), ("\u00b2", 300)],
)
def test_the_helpers_lifetime_is_milliseconds_or_five_minutes(world: World, text: str | None, seconds: float) -> None:
    """Anything but a whole number means the default."""
    world.settings({"apiKeyHelper": "h"})
    if text is None:
        credential = world.resolve().require().credential
    else:
        credential = world.resolve(CLAUDE_CODE_API_KEY_HELPER_TTL_MS=text).require().credential

    assert getattr(credential, "lifetime", None) == seconds


def test_a_helper_that_is_not_a_string_is_named(world: World) -> None:
    """With file and line."""
    world.settings({"apiKeyHelper": ["a"]})

    with pytest.raises(KeysteadError, match=r"settings.json:2: apiKeyHelper is not a string"):
        world.resolve().require()
