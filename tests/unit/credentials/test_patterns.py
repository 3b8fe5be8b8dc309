import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.credentials.patterns import leaks, masked, may_hold
from keystead.wire import tokens

REAL = "abcdEFGHijkl01234567mnop"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (f"ENV ANTHROPIC_API_KEY=sk-ant-api03-{REAL}", "an Anthropic API key"),
        (f"token: sk-ant-oat01-{REAL}", "an Anthropic subscription token"),
        (f"sk-proj-{REAL}", "an OpenAI API key"),
        ("AKIAIOSFODNN7ABCDEFG", "an AWS access key"),
        (f"ABSK{REAL}{REAL}==", "an Amazon Bedrock API key"),
        (f"AIza{REAL}{REAL[:11]}", "a Google API key"),
        (f"export ANTHROPIC_AUTH_TOKEN='{REAL}'", "a credential variable with its value"),
        (f'"ANTHROPIC_API_KEY": "{REAL}"', "a credential variable with its value"),
    ],
)
def test_each_sort_is_recognised_once(line: str, kind: str) -> None:
    found = list(leaks(f"first\n{line}\n"))

    assert [(leak.kind, leak.line) for leak in found] == [(kind, 2)]
    assert REAL[:8] not in repr(found)
    assert may_hold(line.encode())


@pytest.mark.parametrize(
    "line",
    [
        "ANTHROPIC_API_KEY=$(cat /run/secrets/key)",
        "ANTHROPIC_API_KEY=${KEY}",
        "ANTHROPIC_API_KEY=sk-ant-api03-xxxxxxxxxxxxxxxxxxxxxxxx",
        "ANTHROPIC_API_KEY=your-key-goes-here-please",
        "ANTHROPIC_API_KEY=",
        "set ANTHROPIC_API_KEY before you start",
        "run(ANTHROPIC_API_KEY=settings.upstream_api_key)",
        "mask-ant-api is a word",
    ],
)
def test_what_is_not_a_secret_is_not_reported(line: str) -> None:
    assert not list(leaks(line))


def test_most_text_is_done_with_quickly() -> None:
    assert not may_hold(b"a task, a disk, ksm, an api key and a token")


@given(st.sampled_from(tokens.TokenKind), st.integers(5, tokens.LENGTH - 1))
def test_our_own_are_known_by_their_checksum(kind: tokens.TokenKind, position: int) -> None:
    """A changed character makes it something else, so that a scanner gives no false alarm."""
    token = tokens.mint(kind, secrets.token_bytes)
    changed = token[:position] + ("1" if token[position] == "0" else "0") + token[position + 1 :]

    assert [leak.kind for leak in leaks(f"a {token} b")] == ["a Keystead token"]
    assert may_hold(token.encode())
    assert not list(leaks(f"a {changed} b"))


@given(st.text())
def test_any_text_can_be_searched(text: str) -> None:
    assert all(leak.line >= 1 for leak in leaks(text))


def test_a_text_can_be_shown_without_its_secrets() -> None:
    shown = masked(f"ANTHROPIC_API_KEY={REAL} get-key --token sk-ant-api03-{REAL}")

    assert REAL[:8] not in shown
    assert shown == "ANTHROPIC_API_KEY=[redacted] get-key --token [redacted]"
