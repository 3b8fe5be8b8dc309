"""Which identities a rule accepts: every operator, every shape of a claim, and rules that would accept strangers."""

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keystead.errors import UsageError
from keystead.server.policy import federation
from keystead.server.policy.federation import Condition, Expected, Operator

GITHUB = "https://token.actions.githubusercontent.com"
CLAIMS: dict[str, Any] = {
    "iss": GITHUB,
    "aud": "https://keys.example.com",
    "sub": "repo:acme/app:ref:refs/heads/main",
    "repository_owner": "acme",
    "run_attempt": 3,
    "protected": True,
    "ratio": 0.5,
    "groups": ["build", "deploy"],
    "kubernetes.io": {"namespace": "ci", "serviceaccount": {"name": "runner"}, "a/b": {"~": "odd"}},
    "iat": 1000,
    "exp": 1600,
}


@pytest.mark.parametrize(
    ("line", "holds"),
    [
        ("sub = repo:acme/app:ref:refs/heads/main", True),
        ("sub = repo:acme/app", False),
        ("sub = REPO:acme/app:ref:refs/heads/main", False),
        ("sub ^= repo:acme/", True),
        ("sub ^= repo:acm/", False),
        ("sub ~= repo:acme/*:ref:refs/heads/main", True),
        ("sub ~= repo:acme/*", False),
        ("sub ~= repo:*:ref:refs/heads/main", False),
        ("sub ~= repo:acme/app:ref:refs/heads/m*", True),
        ("sub ~= repo:acme/app.ref:refs/heads/main", False),
        ("run_attempt = 3", True),
        ("protected = true", True),
        ("protected = True", False),
        ("ratio = 0.5", False),
        ("groups = deploy", True),
        ("groups = dep", False),
        ("groups ^= dep", False),
        ("groups ~= d*", False),
        ("/kubernetes.io/namespace = ci", True),
        ("/kubernetes.io/serviceaccount/name = runner", True),
        ("/kubernetes.io/serviceaccount = runner", False),
        ("/kubernetes.io/a~1b/~0 = odd", True),
        ("/kubernetes.io/missing/deeper = x", False),
        ("/groups/0 = build", False),
        ("missing = x", False),
        ("missing ^= N", False),
        ("kubernetes.io = {}", False),
    ],
)
def test_a_condition_holds_or_not(line: str, holds: bool) -> None:
    (verdict,) = federation.examine(federation.parse_conditions(line), CLAIMS)
    assert (verdict.what, verdict.holds) == (line, holds)


@pytest.mark.requirement("rfc7523 federation closed")
def test_nothing_asked_is_nobody_accepted() -> None:
    assert not federation.accepted(federation.examine((), CLAIMS))
    assert not federation.accepted(())


@pytest.mark.parametrize(
    "text",
    ["", " \n ", "sub", "sub=x", "sub == x", "sub =", "sub ^= repo:*", "sub = *", "sub ~= *", "sub ~= *:main",
     "sub ~= repo:**", "sub = a\x07b", "sub = " + "x" * 600, "\n".join(["sub = a"] * 21)],
)  # fmt: skip
def test_what_is_no_condition_is_refused_by_its_number(text: str) -> None:
    with pytest.raises(UsageError):
        federation.parse_conditions(text)


def test_conditions_read_as_they_were_written() -> None:
    lines = ["sub ^= repo:acme/", "/a/b = c d", "ref ~= refs/heads/release-*"]
    assert [str(one) for one in federation.parse_conditions("\n\n".join(lines))] == lines


@pytest.mark.requirement("rfc7523 3 federation")
@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({}, set()),
        ({"aud": ["other", "https://keys.example.com"]}, set()),
        ({"aud": "https://keys.example.com/"}, {"aud"}),
        ({"aud": None}, {"aud"}),
        ({"iss": GITHUB + "/"}, {"iss"}),
        ({"sub": ""}, {"sub"}),
        ({"sub": 7}, {"sub"}),
        ({"iat": None}, {"exp"}),
        ({"iat": True}, {"exp"}),
        ({"exp": 1000 + 3601}, {"exp"}),
        ({"exp": 900}, {"exp"}),
    ],
)
def test_every_token_must_say_for_whom_and_for_how_long(change: dict[str, Any], failed: set[str]) -> None:
    expected = Expected(GITHUB, "https://keys.example.com", 3600)
    verdicts = federation.examine_token({**CLAIMS, **change}, expected)
    assert {one.detail.split(" ")[0] for one in verdicts if not one.holds} == failed
    assert verdicts[1].detail.endswith(", expected https://keys.example.com")


@pytest.mark.parametrize(
    ("issuer", "text", "allowed"),
    [
        (GITHUB, "repository_owner = acme", True),
        (GITHUB, "sub ^= repo:acme/", True),
        (GITHUB, "sub ~= repo:acme/*:ref:refs/heads/main", True),
        (GITHUB, "repository = acme/app", True),
        (GITHUB, "sub ^= repo:", False),
        (GITHUB, "sub ^= repo:acme", False),
        (GITHUB, "sub ~= repo:a*/app:ref:refs/heads/main", False),
        (GITHUB, "repository_owner ^= acme", False),
        (GITHUB, "ref = refs/heads/main", False),
        ("https://gitlab.com", "project_path ^= acme/", True),
        ("https://gitlab.com", "ref = main", False),
        ("https://cluster.example.com", "sub ^= system:serviceaccount:", True),
    ],
)
def test_a_rule_for_a_shared_issuer_names_its_owner(issuer: str, text: str, allowed: bool) -> None:
    conditions = federation.parse_conditions(text)
    if allowed:
        federation.require_owner(issuer, conditions)
        assert federation.head(conditions[0])
    else:
        with pytest.raises(UsageError, match="signs for everybody"):
            federation.require_owner(issuer, conditions)


@given(st.text(max_size=60), st.text(max_size=60))
def test_comparing_never_fails_and_equal_is_equal(value: str, text: str) -> None:
    for operator in Operator:
        verdict = federation.examine((Condition("x", operator, value),), {"x": text})[0]
        if operator is Operator.EQUALS:
            assert verdict.holds == (value == text)


@given(st.text("ab*/:", max_size=12), st.text("ab*/:", max_size=9))
@example("a:a", "a*a")
@example("aba", "ab*ba")
@example("a*/b:", "*/*:*")
@example("abab", "*a*b*a*b*")
def test_like_is_what_a_regular_expression_would_say(text: str, pattern: str) -> None:
    said = re.fullmatch("[^/:]*".join(map(re.escape, pattern.split("*"))), text) is not None
    (verdict,) = federation.examine((Condition("x", Operator.LIKE, pattern),), {"x": text})
    assert verdict.holds == said


@pytest.mark.parametrize(("text", "holds"), [("a" * 10_000, True), ("a" * 9_999 + "/", False), ("a" * 199, False)])
def test_many_stars_against_a_long_text_come_to_an_end(text: str, holds: bool) -> None:
    many = Condition("x", Operator.LIKE, "a*" * 200)
    assert federation.examine((many,), {"x": text})[0].holds is holds


def test_many_stars_that_nothing_fits_come_to_an_end() -> None:
    many = Condition("x", Operator.LIKE, "a*" * 200 + "b")
    assert not federation.examine((many,), {"x": "a" * 10_000})[0].holds
    assert federation.examine((many,), {"x": "a" * 10_000 + "b"})[0].holds
