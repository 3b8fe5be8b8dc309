"""Which version of which family a model's name speaks of, and the models that a list denies: ``deniedModels``.

An entry denies, as the agents' own documentation has it (settings reference, read 2026-11-26):

- a *family*, such as ``opus``: every model of that family;
- a *version*, such as ``claude-opus-5-5``: that version in every spelling, dated and a cloud's own ones included;
  without a minor version, such as ``claude-opus-5``, the later minor ones too, and ``claude-opus-5-0`` that one alone;
- any other name: that model, and names that go on from it.

``best``, ``opusplan`` and ``default`` deny nothing. What that documentation leaves open is denied: a name that does not
say which version, such as ``claude-opus-latest``, as soon as one of its family is; and an ARN that names no family, as
an application's inference profile has it, as soon as anything is, for it could be the very model.
"""

import re
from collections.abc import Iterable
from itertools import takewhile
from typing import Final

FAMILIES: Final = frozenset({"fable", "haiku", "opus", "sonnet"})
"""The words that stand for every version of a model."""
BOUNDARIES: Final = ("-", "@")
"""What may follow a version: the date of a release, or a cloud's way to write it."""
ARN: Final = "arn:"
"""How Amazon's name for a resource begins."""
_SHIFTING: Final = frozenset({"best", "default", "opusplan"})
"""Words by which an agent means now this model and now that one."""
_WORD: Final = re.compile(r"[A-Za-z0-9]+")
_NUMBER: Final = re.compile(r"[0-9]{1,2}")
"""A part of a version; what is longer is the date of a release."""

Numbers = tuple[int, ...]


def families_of(model: str) -> frozenset[str]:
    """Return the families whose words ``model`` has."""
    return FAMILIES.intersection(_WORD.findall(model))


def is_plain(name: str) -> bool:
    """Return whether a name can be taken for no other one: printable ASCII without blanks."""
    return name.isascii() and name.isprintable() and " " not in name


def version_of(model: str) -> tuple[frozenset[str], Numbers]:
    """Return the families that ``model`` speaks of, and the version that stands beside the word of the only one.

    The version follows the family (``claude-opus-4-5``) or, in older names, goes before it (``claude-3-5-sonnet``). It
    is empty when the name says none, or when there are several families.
    """
    words = _WORD.findall(model.lower())
    named = [place for place, word in enumerate(words) if word in FAMILIES]
    families = frozenset(words[place] for place in named)
    if len(named) != 1:
        return families, ()
    after = _numbers(words[named[0] + 1 :])
    return families, after or _numbers(words[: named[0]][::-1])[::-1]


def _numbers(words: Iterable[str]) -> Numbers:
    return tuple(int(word) for word in takewhile(_NUMBER.fullmatch, words))


class DeniedModels:
    """The models of one ``deniedModels``.

    Args:
        entries: the list, without marks for a longer context.
    """

    __slots__ = ("_families", "_prefixes", "_versions")

    def __init__(self, entries: Iterable[str]) -> None:
        written = {entry.strip().lower() for entry in entries} - _SHIFTING - {""}
        self._families = written & FAMILIES
        read = {entry: version_of(entry) for entry in written - FAMILIES}
        self._versions = tuple(found for found in read.values() if found[1])
        names = [entry for entry, (_, numbers) in read.items() if not numbers]
        self._prefixes = tuple(name + boundary for name in sorted(names) for boundary in BOUNDARIES)

    def denies(self, model: str) -> bool:
        """Return whether ``model`` may not be used. Total: any text gives an answer.

        Upper and lower case make no difference, and a name that could be taken for another one is denied.
        """
        name = model.lower()
        if not is_plain(name) or f"{name}-".startswith(self._prefixes):
            return bool(self)
        families, numbers = version_of(name)
        if families & self._families or (not families and name.startswith(ARN)):
            return bool(self)
        of_these = [version for others, version in self._versions if families & others]
        return bool(of_these) and (not numbers or any(_covers(version, numbers) for version in of_these))

    def __bool__(self) -> bool:
        """Return whether anything is denied."""
        return bool(self._families or self._versions or self._prefixes)


def _covers(denied: Numbers, asked: Numbers) -> bool:
    """Return whether denying one version denies another: the same, a minor one of it, or ``5-0`` for ``5``."""
    return asked[: len(denied)] == denied or (denied[-1] == 0 and asked == denied[:-1])
