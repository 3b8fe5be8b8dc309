"""Find ``model``, ``stream`` and how long the answer may become in a request without building the whole document.

A policy decides on the model that this module reads, while the upstream acts on the one *it* reads; so every
body on which two JSON parsers could disagree is refused (duplicate keys, a key in other capitals, another encoding
than UTF-8), and the fast path is taken only where there is nothing to disagree about: every byte of the body is
accounted for by its top-level members, no two of one name, and the model is in plain letters.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from keystead.wire.members import plain, replaced

_MODEL: Final = re.compile(rb'"([\x20\x21\x23-\x5b\x5d-\x7e]{1,256})"')
_NUMBER: Final = re.compile(rb"[0-9]{1,9}")
_STREAM: Final = {b"true": True, b"false": False, b"null": False}
"""Values where nothing needs a second look."""
_NOW: Final = (b"false", b"null")
_LIMITS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""What the formats call the largest number of tokens of an answer: Messages and older OpenAI, chat, responses."""
_TOO_MANY: Final = 10**9
_PARTS: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]] | dict[str, msgspec.Raw])
_ESCAPED: Final = b"\\u006"
"""How a letter of the name begins that is spelled with an escape."""
_CONVERSATION: Final = frozenset({"messages", "metadata", "system"})
"""Fields in which a ``model`` is what somebody said, and not one to be used."""
_HARMLESS: Final = _CONVERSATION | {"model", "stream"}
"""Fields that name no other model."""
_INSTEAD: Final = frozenset({"fallback", "fallback_models", "fallbacks", "models"})
"""Fields by which servers of these formats are told what to ask where the model does not answer: texts, or objects."""


class RequestFacts(NamedTuple):
    """What a policy and the meter need to know of a request body.

    Attributes:
        others: the models of tools and other parts that name one of their own.
        max_tokens: how many tokens the answer may have at most, by the largest of the formats' names for that; None
            where the request names none in a way that can be read.
        background: whether the answer may be made later, with ``background`` of OpenAI's responses; whatever stands
            there but ``false`` and ``null``.
    """

    model: str
    stream: bool
    others: tuple[str, ...] = ()
    max_tokens: int | None = None
    background: bool = False


@dataclass(frozen=True, slots=True)
class BodyFault:
    """Why a body is refused: one sentence that quotes nothing of it."""

    reason: str


def scan(body: bytes) -> RequestFacts | BodyFault:
    """Return the facts of a request body, or why it is refused. Total: any bytes give one or the other."""
    facts = _fast(body)
    return _thorough(body) if facts is None else facts


def _fast(body: bytes) -> RequestFacts | None:
    """Return the facts when they are beyond doubt, else None: a body of an agent is hundreds of kilobytes."""
    values = plain(body)
    if values is None:
        return None
    for name, value in values.items():
        if name in _HARMLESS:
            continue
        if name.lower() == "model" or name.lower() in _INSTEAD or _may_name_one(bytes(value)):
            return None
    model = _MODEL.fullmatch(values.get("model", b""))
    stream = _STREAM.get(bytes(values["stream"])) if "stream" in values else False
    if model is None or stream is None:
        return None
    limits = [int(bytes(values[name])) for name in _LIMITS if name in values and _NUMBER.fullmatch(values[name])]
    later = "background" in values and bytes(values["background"]) not in _NOW
    return RequestFacts(model[1].decode("ascii"), stream, (), max(limits) if limits else None, later)


def _may_name_one(value: bytes) -> bool:
    """Return whether a part of a request names a model, as tools can; the schemas in them are full of that word."""
    if value[0] not in b"[{" or (b'"model"' not in value and _ESCAPED not in value):
        return False
    try:
        parts = _PARTS.decode(value)
    except (ValueError, RecursionError):
        return True
    return any("model" in part for part in ([parts] if isinstance(parts, dict) else parts))


class _Pairs:
    """Notes whether the object completed last has a key twice; the outermost one is completed last of all.

    Attributes:
        ambiguous: whether any object has ``model`` twice, so that it could name either.
    """

    repeated = False
    ambiguous = False

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        self.repeated = len(found) != len(pairs)
        if self.repeated and [key for key, _ in pairs].count("model") > 1:
            self.ambiguous = True
        return found


def renamed(body: bytes, model: str) -> bytes:
    """Return ``body`` with another top-level ``model``; every byte outside that value stays what it is.

    Args:
        body: one that :func:`scan` found no fault with.
        model: what to write there.
    """
    return replaced(body, "model", model)


def _thorough(body: bytes) -> RequestFacts | BodyFault:
    """Parse the body as strictly as JSON allows."""
    pairs = _Pairs()
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=pairs)
    except RecursionError:
        return BodyFault("The request body is nested too deeply.")
    except UnicodeDecodeError as error:
        return BodyFault(f"The request body is not valid JSON: byte {error.start + 1} is not UTF-8.")
    except ValueError as error:
        return BodyFault(f"The request body is not valid JSON: {_position(error)}")
    if isinstance(document, dict) and pairs.repeated:
        return BodyFault("The request body has the same field twice; each may occur once.")
    if pairs.ambiguous:
        return BodyFault("A part of the request body has model twice; it may occur once.")
    return _facts(document)


def _position(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {error.msg}."
    return "a number is too long."


def _facts(document: Any) -> RequestFacts | BodyFault:
    if not isinstance(document, dict):
        return BodyFault("The request body must be a JSON object.")
    if any(key != "model" and key.lower() == "model" for key in document):
        return BodyFault("The request body has model in other capitals; write it in small letters, once.")
    if "model" not in document:
        return BodyFault("model: Field required.")
    model, stream = document["model"], document.get("stream")
    if not isinstance(model, str) or not model or len(model) > 256:
        return BodyFault("model: must be a string of 1 to 256 characters.")
    if not model.isprintable():  # neither a database nor a log takes all of the others, and no model is called so
        return BodyFault("model: must be a name of printable characters.")
    if not isinstance(stream, bool | None):
        return BodyFault("stream: must be true or false.")
    limits = [document.get(name) for name in _LIMITS]
    known = [limit for limit in limits if type(limit) is int and 0 <= limit < _TOO_MANY]
    later = document.get("background") not in (None, False)
    return RequestFacts(model, stream is True, tuple(_others(document)), max(known, default=None), later)


def _others(document: dict[str, Any]) -> Iterator[str]:
    """Yield the models that parts of a request name: a tool that asks another one, or what is asked instead."""
    for name, value in document.items():
        if name.lower() in _INSTEAD:
            yield from _asked_instead(value)
            continue
        parts = value if isinstance(value, list) else [value]
        for part in parts if name not in _CONVERSATION else ():
            if isinstance(part, dict) and isinstance(part.get("model"), str):
                yield part["model"]


def _asked_instead(value: Any) -> Iterator[str]:
    """Yield the models of a field that says what is asked where the model does not answer.

    Known are a name, a list of names, a list of objects with a ``model``, and lists of names by the model's name.
    """
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict) and isinstance(part.get("model"), str):
            yield part["model"]
        elif isinstance(part, dict):
            yield from (name for names in part.values() if isinstance(names, list) for name in names if _is_text(name))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
