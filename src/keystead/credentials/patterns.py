"""What a leaked secret looks like in a text: known prefixes, checked where there is a checksum (S-13)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from keystead.secret import REDACTED, Secret
from keystead.wire import tokens

_FEWEST: Final = 8
"""Different characters below which a value is a placeholder such as ``sk-ant-api03-xxxxxxxx``."""
_TAIL: Final = 20
_PLACEHOLDER: Final = re.compile(r"example|placeholder|changeme|your[-_]|redacted|dummy", re.IGNORECASE)
_LONGEST_LINE: Final = 20_000


@dataclass(frozen=True, slots=True)
class Leak:
    """One secret in a text.

    Attributes:
        line: counted from 1.
        kind: what it is, for people.
    """

    line: int
    kind: str
    secret: Secret


_OURS: Final = f"(?:{'|'.join(tokens.TokenKind)})"
_PATTERNS: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    ("a Keystead token", re.compile(rf"(?<![0-9A-Za-z]){_OURS}[0-9A-Za-z]{{{tokens.LENGTH - 4}}}(?![0-9A-Za-z])")),
    ("an Anthropic API key", re.compile(r"sk-ant-(?:api|admin)\d\d-[\w-]{20,}", re.ASCII)),
    ("an Anthropic subscription token", re.compile(r"sk-ant-(?:oat|ort|sid)\d\d-[\w-]{20,}", re.ASCII)),
    ("an OpenAI API key", re.compile(r"(?<![\w-])sk-(?:proj-|svcacct-)[\w-]{20,}", re.ASCII)),
    ("an AWS access key", re.compile(r"(?<![0-9A-Za-z])(?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Za-z])")),
    ("an Amazon Bedrock API key", re.compile(r"(?<![0-9A-Za-z])ABSK[0-9A-Za-z+/]{32,}={0,2}")),
    ("a Google API key", re.compile(r"(?<![0-9A-Za-z])AIza[\w-]{35}", re.ASCII)),
    (
        "a credential variable with its value",
        re.compile(
            r"(?:ANTHROPIC_(?:AWS_|FOUNDRY_)?API_KEY|ANTHROPIC_AUTH_TOKEN|AWS_BEARER_TOKEN_BEDROCK|"
            r"KEYSTEAD_SERVER_UPSTREAM_API_KEY)[\"']?\s*[:= ]\s*[\"']?([\w.+/=-]{16,})",
            re.ASCII,
        ),
    ),
)
"""Kind and pattern, the surest first; the secret is the first group, or all of it."""


_HINT: Final = re.compile(rf"sk-|{_OURS}|AKIA|ASIA|ABSK|AIza|API_KEY|AUTH_TOKEN|BEARER_TOKEN")
"""One of these is in every secret's line; most files and lines have none, and are done with quickly."""


_MARKS: Final = tuple(
    re.compile(mark.encode())
    for mark in (
        f"ks[{''.join(kind[2] for kind in tokens.TokenKind)}]_", "sk-(?:ant|proj|svcacct)-", "AKIA", "ASIA", "ABSK",
        "AIza", "API_KEY", "_TOKEN",
    )
)  # fmt: skip
"""One of these is in everything that a pattern finds. Each begins with letters, by which it is found fastest."""


def may_hold(data: bytes) -> bool:
    """Return whether a secret may be in ``data``; a fraction of the time that the patterns take."""
    return any(mark.search(data) for mark in _MARKS)


def leaks(text: str) -> Iterator[Leak]:
    """Yield every secret in ``text``, each place once."""
    if not _HINT.search(text):
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if not _HINT.search(line):
            continue
        taken: list[tuple[int, int]] = []
        for kind, pattern in _PATTERNS:
            for match in pattern.finditer(line[:_LONGEST_LINE]):
                start, end = match.span(pattern.groups)
                value = match[pattern.groups]
                if any(start < other_end and other < end for other, other_end in taken) or not _real(kind, value):
                    continue
                taken.append((start, end))
                yield Leak(number, kind, Secret(value))


def masked(text: str) -> str:
    """Return ``text`` with ``[redacted]`` in the place of every secret."""
    for _, pattern in _PATTERNS:
        text = pattern.sub(lambda match: match[0].replace(match[match.re.groups], REDACTED), text)
    return text


def _real(kind: str, value: str) -> bool:
    """Whether ``value`` is more than a placeholder; one of our own has a checksum to tell."""
    if kind == _PATTERNS[0][0]:
        return isinstance(tokens.parse(value), tokens.TokenKind)
    if kind == _PATTERNS[-1][0] and not re.search(r"\d", value):
        return False  # in a program's text this is the name of something, such as settings.upstream_api_key
    return len(set(value[-_TAIL:])) >= _FEWEST and not _PLACEHOLDER.search(value)
