import pytest

from keystead.session import commands
from keystead.session.reader import completions, like_a_secret


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("/lo", ["/login", "/logout"]),
        ("/config ", ["use-custom-api-key yes", "use-custom-api-key no"]),
        ("/config use-custom-api-key n", ["use-custom-api-key no"]),
        ("/nothing ", []),
        ("what is /lo", []),
        ("", []),
    ],
)
def test_commands_and_what_may_follow_them_are_completed(typed: str, offered: list[str]) -> None:
    assert [word for word, _ in completions(typed, commands.choices())] == offered


def test_a_completion_replaces_what_is_typed_of_it() -> None:
    assert next(completions("/config use", commands.choices())) == ("use-custom-api-key yes", 3)


@pytest.mark.parametrize(
    "line",
    [
        "sk-ant-api03-0123456789",
        "is sk-live-0123456789 a key?",
        "ksk_0123456789abcdef",
        "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "token=0123456789abcdef0123456789abcdef",
    ],
)
def test_a_key_is_recognised(line: str) -> None:
    assert like_a_secret(line)


@pytest.mark.parametrize(
    "line",
    ["what is a sketch?", "/config use-custom-api-key yes", "look at https://example.com/a/path/that/is/long/enough"],
)
def test_a_question_is_none(line: str) -> None:
    assert not like_a_secret(line)
