"""Find ``model``, ``stream`` and how long the answer may become in a request without building the whole document.

A policy decides on the model that this module reads, while the upstream acts on the one *it* reads; so every
body on which two JSON parsers could disagree is refused (duplicate keys, a key in other capitals, another encoding
than UTF-8), and the fast path is taken only where there is nothing to disagree about: the key's name occurs once in
the whole body with a value that could be a model, in plain letters. Then either it is the top-level one, or there is
none and the upstream refuses the request.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple


def _any_case(name: str) -> str:
    """Return a pattern for a name in capitals or not: twice as fast as to ignore case, where a body has many quotes."""
    return "".join(f"[{one}{one.upper()}]" if one.isalpha() else one for one in name)


_LIMIT_NAME: Final = f"{_any_case('ax_')}(?:{_any_case('completion_')}|{_any_case('output_')})?{_any_case('tokens')}"
_NAMES: Final = re.compile(f'"[mMsS](?:{_any_case("odel")}|{_any_case("tream")}|{_LIMIT_NAME})"'.encode("ascii"))
"""The names that are looked for, as parsers take them that do not mind upper and lower case. They begin with a quote,
because looking for one character is what goes fast, and then with one of two letters, because most strings do not."""
_NO_MATTER: Final = re.compile(rb"[ \t\r\n]*(?:[],}]|:[ \t\r\n]*[{[])")
"""What follows a name that is itself a value, or whose value is an object or a list: no parser takes that for a model,
and the schemas of an agent's tools are full of it."""
_ESCAPED: Final = b"\\u00"
_ESCAPED_LETTER: Final = re.compile(rb"\\u00[4-7]")
_BEGUN: Final = re.compile(rb'"[a-z_]{0,9}\Z', re.IGNORECASE)
"""How far into a string a letter of one of those names can stand."""
_LONGEST: Final = 10
_MODEL_KEY: Final = b'"model"'
_NUMBER: Final = rb"([0-9]{1,9})"
_LIMITS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""What the formats call the largest number of tokens of an answer: Messages and older OpenAI, chat, responses."""
_LIMIT_KEYS: Final = tuple(f'"{name}"'.encode() for name in _LIMITS)
_VALUES: Final = {
    name: re.compile(rb"[ \t\r\n]*:[ \t\r\n]*%b[ \t\r\n]*[,}]" % value)
    for name, value in {
        _MODEL_KEY: rb'"([\x20\x21\x23-\x5b\x5d-\x7e]{1,256})"',
        b'"stream"': rb"(true|false)",
        **dict.fromkeys(_LIMIT_KEYS, _NUMBER),
    }.items()
}
"""What follows a name where nothing needs a second look."""
_TOO_MANY: Final = 10**9
_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[][{}:,]', re.DOTALL)
"""What a JSON text is made of, as far as its structure goes; numbers and words have none."""
_BLANK: Final = b" \t\r\n"
_CONVERSATION: Final = frozenset({"messages", "metadata", "system"})
"""Fields in which a ``model`` is what somebody said, and not one to be used."""


class RequestFacts(NamedTuple):
    """What a policy and the meter need to know of a request body.

    Attributes:
        others: the models of tools and other parts that name one of their own.
        max_tokens: how many tokens the answer may have at most, by the largest of the formats' names for that; None
            where the request names none in a way that can be read.
    """

    model: str
    stream: bool
    others: tuple[str, ...] = ()
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class BodyFault:
    """Why a body is refused: one sentence that quotes nothing of it."""

    reason: str


def scan(body: bytes) -> RequestFacts | BodyFault:
    """Return the facts of a request body, or why it is refused. Total: any bytes give one or the other."""
    facts = _fast(body)
    return _thorough(body) if facts is None else facts


def _fast(body: bytes) -> RequestFacts | None:
    """Return the facts when they are beyond doubt, else None. One pass: a body of an agent is hundreds of kilobytes."""
    values: dict[bytes, bytes] = {}
    for key in _NAMES.finditer(body):
        name, end = key[0], key.end()
        value = _VALUES[name].match(body, end) if name in _VALUES and name not in values else None
        if value is not None:
            values[name] = value[1]
        elif _NO_MATTER.match(body, end) is None:  # in other capitals, twice, or with a value that is to be looked at
            return None
    model = values.get(_MODEL_KEY)
    if model is None or not _looks_like_object(body) or _spelled_with_escapes(body):
        return None
    limits = [int(values[name]) for name in _LIMIT_KEYS if name in values]
    stream = values.get(b'"stream"') == b"true"
    return RequestFacts(model.decode("ascii"), stream, (), max(limits) if limits else None)


def _spelled_with_escapes(body: bytes) -> bool:
    """Return whether one of the names may be there with a letter of it escaped."""
    first = body.find(_ESCAPED)
    letters = () if first < 0 else _ESCAPED_LETTER.finditer(body, first)
    return any(_BEGUN.search(body, max(0, one.start() - _LONGEST), one.start()) for one in letters)


def _looks_like_object(body: bytes) -> bool:
    """Return whether it starts and ends as a JSON object; a NUL would mean UTF-16 or UTF-32."""
    start = body if body.startswith(b"{") else body[:64].lstrip(_BLANK)
    end = body if body.endswith(b"}") else body[-64:].rstrip(_BLANK)
    return start.startswith(b"{") and end.endswith(b"}") and start[1:2] != b"\0"


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
    start, end = _place_of_model(body)
    return b"%b%b%b" % (body[:start], json.dumps(model).encode("ascii"), body[end:])


def _place_of_model(body: bytes) -> tuple[int, int]:
    """Return where the value of the top-level ``model`` begins and ends, its quotes included."""
    keys = [key for key in _NAMES.finditer(body) if key[0] == _MODEL_KEY and not _NO_MATTER.match(body, key.end())]
    if len(keys) == 1 and not _spelled_with_escapes(body):
        found = _VALUES[_MODEL_KEY].match(body, keys[0].end())
        if found is not None:
            return found.start(1) - 1, found.end(1) + 1
    depth, name, is_name = 0, b"", True
    for token in _TOKEN.finditer(body):
        text = token[0]
        if text in b"{[":
            depth += 1
        elif text in b"}]":
            depth -= 1
        elif text in b":,":
            is_name = text == b","
        elif depth == 1 and is_name:
            name = text
        elif depth == 1 and json.loads(name) == "model":
            return token.span()
    raise ValueError("the body has no model; scan would have found a fault with it")


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
    if not isinstance(stream, bool | None):
        return BodyFault("stream: must be true or false.")
    limits = [document.get(name) for name in _LIMITS]
    known = [limit for limit in limits if type(limit) is int and 0 <= limit < _TOO_MANY]
    return RequestFacts(model, stream is True, tuple(_others(document)), max(known, default=None))


def _others(document: dict[str, Any]) -> Iterator[str]:
    """Yield the models that parts of a request name, such as a tool that asks another model."""
    for name, value in document.items():
        parts = value if isinstance(value, list) else [value]
        for part in parts if name not in _CONVERSATION else ():
            if isinstance(part, dict) and isinstance(part.get("model"), str):
                yield part["model"]
