"""Managed settings: which document a member is given, by the documented rules of matching and merging (S-19).

Policies stand in an order. The first one that names somebody and matches wins; it is laid over the base, which is the
policy that matches everybody. Nobody matched and no base means *no policy*, which clients tell from an empty one.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from keystead.server.policy.model_access import ModelRules

Document = Mapping[str, Any]
"""A managed-settings document: JSON, its members as the agent's own documentation names them."""

_RESTRICTIVE: Final = ("deny", "denied", "disabled", "blocked", "ask")
"""How the names of lists begin that take something away: merging lets them grow, so that nobody loses a restriction."""
_HOOKS: Final = "hooks"


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """What a match looks at: the wire identifiers of a member's groups, and the domain of their e-mail address."""

    groups: frozenset[str]
    email_domain: str


@dataclass(frozen=True, slots=True)
class Match:
    """Whom a policy is for: a member of any of ``groups``, with an address of ``email_domain``; empty means whoever.

    Attributes:
        nobody: the groups it was for are gone. It does not become everybody's by that.
    """

    groups: frozenset[str] = frozenset()
    email_domain: str = ""
    nobody: bool = False

    @property
    def is_everybody(self) -> bool:
        """Whether this is the base's match."""
        return not self.groups and not self.email_domain and not self.nobody

    def holds(self, member: MemberFacts) -> bool:
        """Return whether ``member`` is meant."""
        in_group = not self.groups or bool(self.groups & member.groups)
        return in_group and not self.nobody and self.email_domain.lower() in {"", member.email_domain.lower()}


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy as stored: ``id`` and ``name`` to speak of it by."""

    id: str
    name: str
    match: Match
    settings: Document


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a member is given, and which policies it came from, the base first.

    Attributes:
        checksum: ``sha256:…`` of the canonical document; it is the ETag.
        body: the answer of ``GET /managed/settings``, JSON.
    """

    settings: Document
    sources: tuple[Policy, ...]
    checksum: str
    body: bytes


ZERO_RETENTION: Final = Policy(
    "zero-retention",
    "Zero data retention",
    Match(),
    {
        "env": {
            "OTEL_LOG_ASSISTANT_RESPONSES": "0",
            "OTEL_LOG_RAW_API_BODIES": "0",
            "OTEL_LOG_TOOL_CONTENT": "0",
            "OTEL_LOG_TOOL_DETAILS": "0",
            "OTEL_LOG_USER_PROMPTS": "0",
        }
    },
)
"""What everybody is given, over whatever else, where nothing may be kept: agents leave content out of their telemetry
(monitoring documentation of the agent, read 2026-11-26)."""


def delivery(policies: Sequence[Policy], member: MemberFacts, *, zero_retention: bool = False) -> Delivery | None:
    """Return what ``member`` is given, or None when no policy is for them.

    Args:
        policies: of one organization, in their order.
        member: whom it is for.
        zero_retention: whether the organization has nothing kept.
    """
    sources = sources_for(policies, member) + ((ZERO_RETENTION,) if zero_retention else ())
    if not sources:
        return None
    settings = merged(sources)
    checksum = f"sha256:{hashlib.sha256(_canonical(settings)).hexdigest()}"
    body = _canonical({"uuid": checksum, "checksum": checksum, "settings": settings})
    return Delivery(settings, sources, checksum, body)


def sources_for(policies: Sequence[Policy], member: MemberFacts) -> tuple[Policy, ...]:
    """Return the policies that ``member`` is given, the base first; arguments as for :func:`delivery`."""
    base = next((policy for policy in policies if policy.match.is_everybody), None)
    named = (policy for policy in policies if not policy.match.is_everybody)
    first = next((policy for policy in named if policy.match.holds(member)), None)
    return tuple(policy for policy in (base, first) if policy is not None)


def merged(sources: Sequence[Policy]) -> Document:
    """Return what policies say together, each laid over the one before."""
    settings: Document = {}
    for policy in sources:
        settings = merge(settings, policy.settings)
    return settings


def merge(base: Document, over: Document) -> Document:
    """Return ``over`` laid over ``base``.

    Allow-lists replace; deny-lists and hooks unite; records are merged one level deep; anything else replaces.
    """
    return {**base, **{name: _merged(name, base.get(name), value) for name, value in over.items()}}


def _merged(name: str, base: Any, over: Any) -> Any:
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        unite = name == _HOOKS
        return {**base, **{key: _list_or_value(key, base.get(key), value, unite) for key, value in over.items()}}
    return _list_or_value(name, base, over, unite=False)


def _list_or_value(name: str, base: Any, over: Any, unite: bool) -> Any:
    if not isinstance(base, list) or not isinstance(over, list):
        return over
    return _united(base, over) if unite or name.lower().startswith(_RESTRICTIVE) else over


def _united(base: list[Any], over: list[Any]) -> list[Any]:
    return [*base, *(one for one in over if one not in base)]


def _canonical(document: Document) -> bytes:
    """Return the one spelling of a document, so that its hash says whether it is the same."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


LARGEST: Final = 65_536
"""A document's size in bytes, at most: it is sent to every client, every hour."""

_TEXTS: Final = "a list of strings"
_PREFIX: Final = "prefix"
_MATCHES: Final = f'"exact" or "{_PREFIX}"'
_TYPES: Final[Mapping[str, str]] = {
    "availableModels": _TEXTS,
    "availableModelsMatch": _MATCHES,
    "deniedModels": _TEXTS,
    "env": "an object of strings",
    "forceLoginGatewayUrl": "a string",
    "forceLoginMethod": "a string",
    "hooks": "an object of lists",
    "model": "a string",
    "permissions": "an object",
    "permissions.allow": _TEXTS,
    "permissions.ask": _TEXTS,
    "permissions.deny": _TEXTS,
}
"""The members that this server itself reads, or that do harm when they are of another type. Others pass as they are:
what an agent understands grows faster than a server that knows it."""


def problems(text: str) -> tuple[Document | None, list[str]]:
    """Return the document that ``text`` holds and what is wrong with it; None when it is no document at all."""
    if len(text.encode()) > LARGEST:
        return None, [f"The document is larger than {LARGEST:,} bytes."]
    try:
        document = json.loads(text, object_pairs_hook=_without_repetition)
    except RecursionError:
        return None, ["The document is nested too deeply."]
    except ValueError as error:
        return None, [f"The document is not JSON: {error}."]
    if not isinstance(document, dict):
        return None, ["The document must be a JSON object."]
    checked = ((name, expected, _at(document, name)) for name, expected in _TYPES.items())
    return document, [f"{name} must be {expected}." for name, expected, value in checked if not _is(expected, value)]


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that stands twice: two readers could each take another one."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


_ABSENT: Final = object()


def _at(document: Document, path: str) -> Any:
    value: Any = document
    for name in path.split("."):
        value = value.get(name, _ABSENT) if isinstance(value, Mapping) else _ABSENT
    return value


def _is(expected: str, value: Any) -> bool:
    if value is _ABSENT:
        return True
    match expected:
        case "a string":
            return isinstance(value, str)
        case _ if expected == _MATCHES:
            return value in ("exact", _PREFIX)
        case "a list of strings":
            return isinstance(value, list) and all(isinstance(one, str) for one in value)
        case "an object of strings":
            return isinstance(value, Mapping) and all(isinstance(one, str) for one in value.values())
        case "an object of lists":
            return isinstance(value, Mapping) and all(isinstance(one, list) for one in value.values())
        case _:
            return isinstance(value, Mapping)


def models(settings: Document) -> ModelRules | None:
    """Return what the document says of models, or None when it limits them in no way.

    Whatever ``availableModelsMatch`` is other than its usual value counts as the stricter one.

    Raises:
        ValueError: it names models in a way that cannot be read.
    """
    allowed, denied = (settings.get(name, _ABSENT) for name in ("availableModels", "deniedModels"))
    for name, value in (("availableModels", allowed), ("deniedModels", denied)):
        if not _is(_TEXTS, value):
            raise ValueError(f"{name} is not {_TEXTS}")
    if allowed is _ABSENT and not (denied and denied is not _ABSENT):
        return None
    exact = settings.get("availableModelsMatch", _PREFIX) != _PREFIX
    entries = None if allowed is _ABSENT else frozenset(allowed)
    return ModelRules(entries, exact, frozenset() if denied is _ABSENT else frozenset(denied))
