"""The small questions: redirects, same origin, scopes, user codes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.server.authorization.checks import redirects, same_origin, scopes
from keystead.server.authorization.refusals import Refusal

REGISTERED = ["http://127.0.0.1/callback", "http://[::1]/callback", "https://app.example/cb?fixed=1"]
OURS = {"https://keys.example"}


@given(st.integers(1, 65_535), st.sampled_from(["127.0.0.1", "[::1]"]))
def test_only_the_port_of_a_loopback_address_may_differ(port: int, host: str) -> None:
    assert redirects.allowed(f"http://{host}:{port}/callback", REGISTERED)
    assert not redirects.allowed(f"https://app.example:{port}/cb?fixed=1", REGISTERED)


@given(st.text(max_size=60))
def test_nothing_else_passes(text: str) -> None:
    assert not redirects.allowed(text, REGISTERED)
    assert not redirects.allowed("http://127.0.0.1" + text + "x", REGISTERED)


def test_an_exact_address_passes_and_keeps_its_query() -> None:
    assert redirects.allowed(REGISTERED[2], REGISTERED)
    assert redirects.with_answer(REGISTERED[2], {"code": "a b"}) == "https://app.example/cb?fixed=1&code=a+b"


def test_localhost_is_refused_even_if_registered() -> None:
    assert not redirects.allowed("http://localhost/callback", ["http://localhost/callback"])


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Origin": "https://keys.example"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Referer": "https://keys.example/device?x=1"}, True),
        ({"Origin": "https://keys.example", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "https://keys.example.evil"}, False),
        ({"Origin": "http://keys.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "https://evil.example", "Referer": "https://keys.example/"}, False),
        ({"Referer": "https://keys.example.evil/"}, False),
        ({"Referer": "https://keys.example@evil.example/"}, False),
        ({"Referer": "http://[broken"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({}, False),
    ],
)
def test_a_form_is_from_our_page_only_if_the_browser_says_so(headers: dict[str, str], expected: bool) -> None:
    assert same_origin.holds(headers, OURS) is expected


def test_scopes_are_the_smallest_of_what_was_asked_and_allowed() -> None:
    assert scopes.asked(None, "a b") == "a b"
    assert scopes.asked("b unknown", "a b") == "b"
    with pytest.raises(Refusal):
        scopes.asked("unknown", "a b")
    assert scopes.effective("openid models:use", "billing") == "openid"
    assert scopes.effective("openid models:use", "agent_user") == "openid models:use"
    assert scopes.effective("openid models:use", "made up") == "openid"


def test_user_codes_use_every_letter_about_equally(migrated: object) -> None:
    from collections import Counter
    from hashlib import sha256

    from keystead.server.authorization.device_codes import ALPHABET, user_code

    counter = iter(range(10_000))
    letters = Counter[str]()
    for _ in range(2_000):
        letters.update(user_code(lambda size: sha256(str(next(counter)).encode()).digest()[:size]).replace("-", ""))
    assert set(letters) == set(ALPHABET)
    assert max(letters.values()) < 1.3 * min(letters.values())


@pytest.mark.requirement("rfc8628 6.1")
@pytest.mark.parametrize("typed", ["BCDF-GHJK", "bcdfghjk", " bcdf - ghjk ", "BCDF GHJK"])
def test_a_code_is_recognised_however_it_is_typed(migrated: object, typed: str) -> None:
    from keystead.server.authorization.device_codes import user_code_digest

    assert user_code_digest(typed) == user_code_digest("BCDFGHJK") is not None


@pytest.mark.parametrize("typed", ["", "BCDF-GHJ", "BCDF-GHJKL", "ACDF-GHJK", "BCDF_GHJK", "ßCDFGHJK"])
def test_what_cannot_be_a_code_is_not_looked_up(migrated: object, typed: str) -> None:
    from keystead.server.authorization.device_codes import user_code_digest

    assert user_code_digest(typed) is None
