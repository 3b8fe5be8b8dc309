"""Which models a caller may name: the rules of ``availableModels``, ``availableModelsMatch`` and ``deniedModels``.

An entry of the list is one of three, as the agents' own documentation has it:

- a *family*, such as ``sonnet``: every model of that family;
- a *version prefix*, such as ``claude-sonnet-4-5`` or ``sonnet-4-5``: that version and its dated releases;
- a *name*, such as ``claude-sonnet-4-5-20250929`` or ``our-deployment``: that model.

An entry that names a model of a family takes the family's own entry out of force: who lists ``sonnet`` and
``claude-sonnet-4-5`` means the latter. No list limits nothing; an empty one allows nothing. Upper and lower case differ
in names, as they may upstream.

With ``availableModelsMatch: "exact"`` a version is that version alone with its dated releases, so that
``claude-opus-5`` is not ``claude-opus-5-5``, and the words by which an agent means now this model and now that one
allow nothing. What ``deniedModels`` has (:mod:`model_versions`) is denied whatever else is allowed.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from keystead.server.policy.model_versions import BOUNDARIES, FAMILIES, DeniedModels, families_of, is_plain

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
_RELEASE: Final = re.compile(r"([-@][0-9]{8})?(-v[0-9]+(:[0-9]+)?)?")
"""What may follow a version where it is meant exactly: the date of a release, and a cloud's revision."""
_REMEMBERED: Final = 128


class Unreadable(Exception):
    """What a caller's policy says of models cannot be read; that is never leave."""


class ModelRules(NamedTuple):
    """What one document says of models.

    Attributes:
        entries: ``availableModels``; None allows every model.
        exact: whether ``availableModelsMatch`` asks for that.
        denied: ``deniedModels``.
    """

    entries: frozenset[str] | None
    exact: bool = False
    denied: frozenset[str] = frozenset()


class ModelAccess:
    """The models of one list.

    Args:
        entries: ``availableModels`` as it stands in a policy; None is every model.
        exact: whether an entry that names a version allows that one alone.
        denied: ``deniedModels`` as it stands in a policy.
    """

    __slots__ = ("_all", "_denied", "_exact", "_families", "_judged", "_names", "_prefixes")

    def __init__(self, entries: Iterable[str] | None, *, exact: bool = False, denied: Iterable[str] = ()) -> None:
        written = {plain(entry.strip()) for entry in entries or ()} - {""}
        aliases = {entry for entry in written if entry.lower() in ALIASES}
        names = written - aliases
        names |= {_VENDOR + name for name in names if name.split("-")[0] in FAMILIES}
        pinned = frozenset().union(*map(families_of, names))
        meant = {alias for alias in aliases if not exact or alias.lower() in FAMILIES}
        self._all = entries is None
        self._exact = exact
        self._denied = DeniedModels(plain(entry.strip()) for entry in denied)
        self._families = frozenset().union(*(ALIASES[alias.lower()] for alias in meant)) - pinned
        self._judged: dict[str, bool] = {}
        self._names = frozenset(names)
        self._prefixes = tuple(sorted(name + boundary for name in names for boundary in BOUNDARIES))

    def allows(self, model: str) -> bool:
        """Return whether ``model`` may be used. Total: any text gives an answer.

        A name that could be taken for another one (other than printable ASCII) is nobody's. One with the words of
        several families is allowed only where all of them are. The answers for the few names in use are remembered.
        """
        answer = self._judged.get(model)
        if answer is None:
            name = plain(model)
            answer = not self._denied.denies(name) and (self._all or self._lists(name))
            if len(self._judged) < _REMEMBERED:
                self._judged[model] = answer
        return answer

    def denies(self, model: str) -> bool:
        """Return whether ``deniedModels`` has the model, whatever else allows it."""
        return self._denied.denies(plain(model))

    def _lists(self, name: str) -> bool:
        if name in self._names:
            return True
        if not is_plain(name):
            return False
        if self._goes_on(name):
            return True
        families = families_of(name)
        return bool(families) and families <= self._families

    def _goes_on(self, name: str) -> bool:
        """Return whether ``name`` goes on from a name of the list as far as it may."""
        if not name.startswith(self._prefixes):
            return False
        if not self._exact:
            return True
        return any(name.startswith(one) and _RELEASE.fullmatch(name, len(one)) for one in self._names)


def access_to(rules: ModelRules) -> ModelAccess:
    """Return what a document's rules allow."""
    return ModelAccess(rules.entries, exact=rules.exact, denied=rules.denied)


def plain(model: str) -> str:
    """Return ``model`` without the mark for a longer context."""
    return model[: -len(_LONG_CONTEXT)] if model[-len(_LONG_CONTEXT) :].lower() == _LONG_CONTEXT else model
