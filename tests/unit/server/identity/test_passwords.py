"""Which passwords are taken and which are not, and that a list of any size is searched and not loaded."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from keystead.errors import ConfigurationError, UsageError

pytestmark = pytest.mark.usefixtures("migrated")

GOOD = "correct horse battery"


def check(password: str) -> None:
    from keystead.server.identity import passwords

    passwords.check(password, email="ada.lovelace@example.com", organizations=["Analytical Engines Ltd"])


@pytest.mark.parametrize(
    "password",
    [
        GOOD,
        "twelve chars",
        "gxqzjvkwmpyt",
        "пароль на дворе",
        "🐎🔋📎🧷🪜🧲🪣🧯🪤🧺🪑🛁",
        " leading and trailing ",
        "kestrel-omnibus-" + "q" * 64,
        "lovelace sat down at noon",
        "keystead is where I work on Fridays",
        "0000-" + GOOD * 8,
    ],
)
def test_any_characters_and_any_length_that_a_form_takes(password: str) -> None:
    check(password)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "fewer than 12"),
        ("elevenchars", "fewer than 12"),
        ("q" * 6 + "w" * 195, "more than 200"),
        ("qwertyuiop123", "most common"),
        ("QwertyUiop123", "most common"),
        ("password12345", "most common"),
        ("passwordpassword", "most common"),
        ("aaaaaaaaaaaaaaaa", "most common"),
        ("abcabcabcabcabc", "most common"),
        ("ada@example.com", "belong to this place"),
        ("AnalyticalEngines1", "belong to this place"),
        ("lovelace2026!", "belong to this place"),
        ("Keystead-keystead-1", "belong to this place"),
    ],
)
def test_what_others_would_guess_is_refused_and_the_sentence_says_why(password: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        check(password)
    assert caught.value.message.startswith("Password: ")
    assert why in caught.value.message
    assert not password or password not in caught.value.message
    assert caught.value.hint


def listed(folder: Path, *passwords: str, ending: str = "\r\n") -> Path:
    hashes = sorted(hashlib.sha1(one.encode(), usedforsecurity=False).hexdigest().upper() for one in passwords)
    file = folder / "pwned.txt"
    file.write_text("".join(f"{one}:{number}{ending}" for number, one in enumerate(hashes, 1)), newline="")
    return file


@pytest.mark.parametrize("ending", ["\r\n", "\n"])
@pytest.mark.parametrize("count", [1, 2, 3, 100, 1001])
def test_every_line_of_a_list_is_found_and_nothing_else(tmp_path: Path, count: int, ending: str) -> None:
    from keystead.server.identity import breached

    known = [f"known {number}" for number in range(count)]
    file = listed(tmp_path, *known, ending=ending)
    assert all(breached.contains(file, one) for one in known)
    assert not any(breached.contains(file, f"unknown {number}") for number in range(200))


def test_a_list_without_an_end_of_its_last_line_is_read_whole(tmp_path: Path) -> None:
    from keystead.server.identity import breached

    known = [f"known {number}" for number in range(9)]
    file = listed(tmp_path, *known, ending="\n")
    file.write_bytes(file.read_bytes().rstrip(b"\n"))
    assert all(breached.contains(file, one) for one in known)


def test_a_breached_password_is_refused(tmp_path: Path) -> None:
    from django.conf import settings
    from django.test import override_settings

    file = listed(tmp_path, GOOD, "something else")
    with override_settings(KEYSTEAD=replace(settings.KEYSTEAD, breached_passwords_file=str(file))):
        with pytest.raises(UsageError, match="stolen elsewhere"):
            check(GOOD)
        check("another horse battery")


@pytest.mark.parametrize("content", [b"", b"not a list\n" * 30, b"0" * 5000, None])
def test_a_list_that_cannot_be_asked_is_said_at_the_start_and_never_counts_as_no(
    tmp_path: Path, content: bytes | None
) -> None:
    from keystead.server.identity import breached

    file = tmp_path / "pwned.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"pwned\.txt") as caught:
        breached.check(file)
    assert caught.value.hint is not None
    assert "BREACHED_PASSWORDS_FILE" in caught.value.hint


@pytest.mark.usefixtures("costly_passwords")
def test_hashing_costs_a_thief_at_least_what_owasp_asks_for() -> None:
    """OWASP Password Storage: Argon2id with 19 MiB and two rounds, or more."""
    from argon2 import extract_parameters
    from argon2.low_level import Type
    from django.contrib.auth.hashers import make_password

    stored = make_password(GOOD)
    found = extract_parameters(stored.removeprefix("argon2"))
    assert found.type is Type.ID
    assert found.memory_cost >= 19 * 1024
    assert found.time_cost >= 2
    assert found.salt_len >= 16


def test_nothing_of_a_long_password_is_cut_off() -> None:
    from django.contrib.auth.hashers import check_password, make_password

    stored = make_password("ä" * 200)
    assert check_password("ä" * 200, stored)
    assert not check_password("ä" * 199, stored)


@pytest.mark.parametrize("password", ["123qweasdzxc", "1QAZ2wsx3edc", "counterstrike", "q1w2e3r4t5y6u7i8"])
def test_the_commonest_long_passwords_are_refused(password: str) -> None:
    with pytest.raises(UsageError, match="most common"):
        check(password)


def test_the_list_of_long_passwords_is_long_enough_and_in_order() -> None:
    from keystead.server.identity import passwords

    lines = Path(passwords.__file__).with_name("common_long_passwords.txt").read_text(encoding="ascii").splitlines()
    assert len(lines) > 3000
    assert lines == sorted(set(lines))
