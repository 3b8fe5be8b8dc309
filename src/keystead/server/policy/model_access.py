"""Which models a caller may name: the rules of ``availableModels``, as two tables and one function.

An entry of the list is one of three, as the agents' own documentation has it:

- a *family*, such as ``sonnet``: every model of that family;
- a *version prefix*, such as ``claude-sonnet-4-5`` or ``sonnet-4-5``: that version and its dated releases;
- a *name*, such as ``claude-sonnet-4-5-20250929`` or ``our-deployment``: that model.

An entry that names a model of a family takes the family's own entry out of force: who lists ``sonnet`` and
``claude-sonnet-4-5`` means the latter. No list limits nothing; an empty one allows nothing. Upper and lower case differ
in names, as they may upstream.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

FAMILIES: Final = frozenset({"fable", "haiku", "opus", "sonnet"})
"""The words that stand for every version of a model."""

ALIASES: Final[Mapping[str, frozenset[str]]] = {
    **{family: frozenset({family}) for family in FAMILIES},
    "best": frozenset({"fable", "opus"}),
    "opusplan": frozenset({"opus", "sonnet"}),
    "default": frozenset(),
}
"""What an agent offers by one word, and the families it means by it. ``default`` is what the agent would choose by
itself: it names no model, so it allows none."""

_LONG_CONTEXT: Final = "[1m]"
"""An agent's mark for a longer context of the same model."""
_VENDOR: Final = "claude-"
_BOUNDARIES: Final = ("-", "@")
"""What may follow a version: the date of a release, or a cloud's way to write it."""
_REMEMBERED: Final = 128
_WORD: Final = re.compile(r"[A-Za-z0-9]+")


class Unreadable(Exception):
    """What a caller's policy says of models cannot be read; that is never leave."""


class ModelAccess:
    """The models of one list.

    Args:
        entries: the list, as it stands in a policy.
    """

    __slots__ = ("_families", "_judged", "_names", "_prefixes")

    def __init__(self, entries: Iterable[str]) -> None:
        written = {plain(entry.strip()) for entry in entries} - {""}
        aliases = {entry for entry in written if entry.lower() in ALIASES}
        names = written - aliases
        names |= {_VENDOR + name for name in names if name.split("-")[0] in FAMILIES}
        pinned = frozenset().union(*map(families_of, names))
        self._families = frozenset().union(*(ALIASES[alias.lower()] for alias in aliases)) - pinned
        self._judged: dict[str, bool] = {}
        self._names = frozenset(names)
        self._prefixes = tuple(sorted(name + boundary for name in names for boundary in _BOUNDARIES))

    def allows(self, model: str) -> bool:
        """Return whether ``model`` may be used. Total: any text gives an answer.

        A name that could be taken for another one (other than printable ASCII) is nobody's. One with the words of
        several families is allowed only where all of them are. The answers for the few names in use are remembered.
        """
        answer = self._judged.get(model)
        if answer is None:
            answer = self._judge(plain(model))
            if len(self._judged) < _REMEMBERED:
                self._judged[model] = answer
        return answer

    def _judge(self, name: str) -> bool:
        if name in self._names:
            return True
        if not name.isascii() or not name.isprintable() or " " in name:
            return False
        if name.startswith(self._prefixes):
            return True
        families = families_of(name)
        return bool(families) and families <= self._families


def plain(model: str) -> str:
    """Return ``model`` without the mark for a longer context."""
    return model[: -len(_LONG_CONTEXT)] if model[-len(_LONG_CONTEXT) :].lower() == _LONG_CONTEXT else model


def families_of(model: str) -> frozenset[str]:
    """Return the families whose words ``model`` has."""
    return FAMILIES.intersection(_WORD.findall(model))
