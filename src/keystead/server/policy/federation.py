"""Which identity of another issuer a federation rule accepts: pure functions from verified claims to verdicts.

Three tables decide, and each fails closed: what every identity token must say (:data:`CHECKS`), what the rule asks of
its claims (:class:`Condition`; a rule without one accepts nobody), and what a rule must pin down when its issuer
speaks for the whole world (:data:`SHARED`).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeGuard

from keystead.errors import UsageError

LONGEST_VALUE: Final = 500
MOST_CONDITIONS: Final = 20


class Operator(StrEnum):
    """How a claim is compared; always case-sensitive."""

    EQUALS = "="
    STARTS_WITH = "^="
    LIKE = "~="
    """``*`` stands for any characters but ``/`` and ``:``, so that it cannot run over into the next part of a path."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One line of a rule, such as ``repository = acme/app``.

    Attributes:
        claim: name of a claim, or a JSON pointer (RFC 6901) when it starts with ``/``.
    """

    claim: str
    operator: Operator
    value: str

    def __str__(self) -> str:
        return f"{self.claim} {self.operator.value} {self.value}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one check; ``detail`` is for administrators, since it says what was compared."""

    what: str
    holds: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Expected:
    """What an identity token must be for, whose, and how long it may have been made for."""

    issuer: str
    audience: str
    max_lifetime: int


def _issuer(value: Any, expected: Expected, _claims: Mapping[str, Any]) -> bool:
    return bool(value == expected.issuer)


def _audience(value: Any, expected: Expected, _claims: Mapping[str, Any]) -> bool:
    return any(one == expected.audience for one in (value if isinstance(value, list) else [value]))


def _subject(value: Any, _expected: Expected, _claims: Mapping[str, Any]) -> bool:
    return isinstance(value, str) and bool(value)


def _lifetime(value: Any, expected: Expected, claims: Mapping[str, Any]) -> bool:
    issued = claims.get("iat")
    if not _is_number(issued) or not _is_number(value):
        return False
    return bool(0 < value - issued <= expected.max_lifetime)


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) in {int, float}


CHECKS: Final[Mapping[str, tuple[str, Callable[[Any, Expected, Mapping[str, Any]], bool]]]] = {
    "iss": ("The issuer is the registered one", _issuer),
    "aud": ("The audience is the expected one", _audience),
    "sub": ("There is a subject", _subject),
    "exp": ("It was made for no longer than allowed", _lifetime),
}
"""Claims that every identity token must have, and the check of each. Times themselves are checked with the signature.

All other claims prove nothing by being there: only a condition of a rule gives one a meaning.
"""


def examine_token(claims: Mapping[str, Any], expected: Expected) -> tuple[Verdict, ...]:
    """Return what :data:`CHECKS` make of verified claims."""
    return tuple(
        Verdict(what, check(claims.get(claim), expected, claims), _found(claim, claims, expected))
        for claim, (what, check) in CHECKS.items()
    )


def _found(claim: str, claims: Mapping[str, Any], expected: Expected) -> str:
    """Return what a claim is, and what it should be where that is one thing."""
    wanted = {"iss": expected.issuer, "aud": expected.audience, "exp": f"{expected.max_lifetime} s after iat at most"}
    found = f"{claim} is {_shown(claims.get(claim))}"
    return f"{found}, expected {wanted[claim]}" if claim in wanted else found


def examine(conditions: Sequence[Condition], claims: Mapping[str, Any]) -> tuple[Verdict, ...]:
    """Return a verdict for each condition; no condition is one verdict, and it is no."""
    if not conditions:
        return (Verdict("The rule has a condition", False, "a rule without one accepts nobody"),)
    return tuple(
        Verdict(str(one), _holds(one, found := claim(claims, one.claim)), f"it is {_shown(found)}")
        for one in conditions
    )


def accepted(verdicts: Sequence[Verdict]) -> bool:
    """Return whether there are verdicts and all of them say yes."""
    return bool(verdicts) and all(one.holds for one in verdicts)


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """Return the claim of that name or at that JSON pointer; None when it is not there."""
    if not name.startswith("/"):
        return claims.get(name)
    found: Any = claims
    for step in name[1:].split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or key not in found:
            return None
        found = found[key]
    return found


def _holds(condition: Condition, found: Any) -> bool:
    """Compare; a list holds when one of its texts is equal, and is never searched by pattern."""
    if isinstance(found, list):
        return condition.operator is Operator.EQUALS and any(_text(one) == condition.value for one in found)
    text = _text(found)
    return text is not None and _COMPARISONS[condition.operator](text, condition.value)


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int) else None


_BORDER: Final = re.compile("([/:])")


def _like(text: str, pattern: str) -> bool:
    """Compare part by part: a regular expression with many ``*`` would try every way to share a long text out."""
    parts, patterns = _BORDER.split(text), _BORDER.split(pattern)
    return len(parts) == len(patterns) and all(map(_like_part, parts, patterns))


def _like_part(part: str, pattern: str) -> bool:
    """Compare what has no border inside. The first place where a piece fits leaves most to the pieces after it."""
    if "*" not in pattern:
        return part == pattern
    first, *middle, last = pattern.split("*")
    end = len(part) - len(last)
    if len(first) > end or not part.startswith(first) or not part.endswith(last):
        return False
    at = len(first)
    for piece in middle:
        at = part.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True


_COMPARISONS: Final[Mapping[Operator, Callable[[str, str], bool]]] = {
    Operator.EQUALS: lambda text, value: text == value,
    Operator.STARTS_WITH: lambda text, value: text.startswith(value),
    Operator.LIKE: _like,
}


def _shown(value: Any) -> str:
    text = "not there" if value is None else str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


_LINE: Final = re.compile(r"(?P<claim>\S+)\s+(?P<operator>=|\^=|~=)\s+(?P<value>\S.*)")


def parse_conditions(text: str) -> tuple[Condition, ...]:
    """Read conditions as people write them, one a line.

    Raises:
        UsageError: a line is not a condition, or one that would accept too much; the message names the line.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise UsageError("A rule needs a condition.", hint="Write one a line, such as: repository = acme/app")
    if len(lines) > MOST_CONDITIONS:
        raise UsageError(f"A rule has at most {MOST_CONDITIONS} conditions.", hint="Make two rules.")
    return tuple(map(_parse_line, range(1, len(lines) + 1), lines))


def _parse_line(number: int, line: str) -> Condition:
    match = _LINE.fullmatch(line)
    if match is None or len(line) > LONGEST_VALUE or not line.isprintable():
        raise UsageError(
            f"Condition {number} is not of the form: claim = value.",
            hint="The operators are = (equal), ^= (starts with) and ~= (like, with *), with a space on each side.",
        )
    condition = Condition(match["claim"], Operator(match["operator"]), match["value"])
    if condition.operator is not Operator.LIKE and "*" in condition.value:
        raise UsageError(
            f"Condition {number} has a *, which only ~= understands.", hint="Use ~= for a pattern, ^= for a beginning."
        )
    if not head(condition) or "**" in condition.value:
        raise UsageError(
            f"Condition {number} begins with a *, which would accept anybody.", hint="Begin with what is fixed."
        )
    return condition


def head(condition: Condition) -> str:
    """Return the part of the value that is fixed: all that a claim must begin with."""
    return condition.value.partition("*")[0] if condition.operator is Operator.LIKE else condition.value


SHARED: Final[Mapping[str, Mapping[str, str | None]]] = {
    "https://token.actions.githubusercontent.com": {
        "sub": r"repo:[^/*]+/.*",
        "repository": r"[^/*]+/.*",
        "repository_owner": None,
        "repository_owner_id": None,
        "repository_id": None,
    },
    "https://gitlab.com": {
        "sub": r"project_path:[^/*]+/.*",
        "project_path": r"[^/*]+/.*",
        "namespace_path": None,
        "namespace_id": None,
        "project_id": None,
    },
    "https://agent.buildkite.com": {"sub": r"organization:[^:*]+:.*", "organization_slug": None},
    "https://accounts.google.com": {"sub": None, "email": None},
}
"""Issuers that sign for anybody who has an account there, and the claims that say whose account it is.

One of these claims must be pinned: by equality, or by a fixed beginning that contains the whole name of the account.
"""


def require_owner(issuer: str, conditions: Sequence[Condition]) -> None:
    """Check that a rule for a shared issuer says whose identities it accepts.

    Raises:
        UsageError: it would accept everybody's.
    """
    pins = SHARED.get(issuer)
    if pins is None or any(_pins(one, pins) for one in conditions):
        return
    raise UsageError(
        f"{issuer} signs for everybody, and no condition says which account is yours.",
        hint=f"Add a condition on one of: {', '.join(pins)}; with = or a beginning that includes the whole name.",
    )


def _pins(condition: Condition, pins: Mapping[str, str | None]) -> bool:
    if condition.claim not in pins:
        return False
    beginning = pins[condition.claim]
    if condition.operator is Operator.EQUALS:
        return True
    return beginning is not None and re.fullmatch(beginning, head(condition)) is not None
