"""Opaque tokens: what is minted parses, what is damaged is named, what is anything else is a fault."""

import secrets
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.wire import tokens
from keystead.wire.tokens import TokenFault, TokenKind

KINDS = st.sampled_from(TokenKind)
RANDOM = st.binary(min_size=32, max_size=32)


@given(KINDS, RANDOM)
def test_a_minted_token_parses_to_its_kind(kind: TokenKind, random: bytes) -> None:
    token = tokens.mint(kind, lambda _: random)

    assert tokens.parse(token) is kind
    assert len(token) == tokens.LENGTH


@given(RANDOM)
def test_the_body_is_the_random_number_to_base_62(random: bytes) -> None:
    number = 0
    for digit in tokens.mint(TokenKind.API_KEY, lambda _: random)[4:-6]:
        number = 62 * number + (string.digits + string.ascii_uppercase + string.ascii_lowercase).index(digit)
    assert number == int.from_bytes(random)


@given(KINDS, RANDOM, st.integers(5, tokens.LENGTH - 1))
def test_a_truncated_token_is_named_with_its_length(kind: TokenKind, random: bytes, length: int) -> None:
    fault = tokens.parse(tokens.mint(kind, lambda _: random)[:length])

    assert fault == TokenFault(f"it is truncated at character {length} of {tokens.LENGTH}")


@given(KINDS, RANDOM, st.integers(4, tokens.LENGTH - 1), st.sampled_from("0aZ"))
def test_a_changed_character_breaks_the_checksum(kind: TokenKind, random: bytes, position: int, character: str) -> None:
    token = tokens.mint(kind, lambda _: random)
    changed = token[:position] + character + token[position + 1 :]

    assert (tokens.parse(changed) is kind) == (changed == token)


@given(st.text())
def test_any_text_gives_a_kind_or_a_fault_that_does_not_repeat_it(text: str) -> None:
    result = tokens.parse("ksk_" + text)

    assert isinstance(result, TokenKind | TokenFault)
    if isinstance(result, TokenFault) and len(text) > 8:
        assert text not in result.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it does not start with a Keystead prefix"),
        ("sk-other", "it does not start with a Keystead prefix"),
        ("ksk_abc def", "character 8 is not a letter or digit"),
        ("ksk_" + "a" * 60, "it has 64 characters instead of 53"),
    ],
)
def test_faults_say_what_is_wrong(text: str, reason: str) -> None:
    assert tokens.parse(text) == TokenFault(reason)


def test_two_tokens_differ_and_so_do_their_digests() -> None:
    one, other = (tokens.mint(TokenKind.API_KEY, secrets.token_bytes) for _ in range(2))

    assert one != other
    assert tokens.digest(one) != tokens.digest(other)
    assert tokens.digest(one) == tokens.digest(one.encode())
