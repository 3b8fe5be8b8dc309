"""The agent's ``settings.json``: a JSON object whose members keep their line, so that status can name it.

Only ``env`` is looked into here; every other member stays as it is. The format belongs to the agent, so
unknown members are no error.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NoReturn

_BLANK: Final = " \t\n\r"
_DECODER: Final = json.JSONDecoder()


class MalformedSettings(ValueError):
    """The bytes are not a settings document.

    Attributes:
        line: counted from 1.
        reason: what is wrong there; contains no value.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Setting:
    """One value and where it stands. The value is hidden in ``repr``: an ``env`` block may hold a key."""

    value: object = field(repr=False)
    line: int


@dataclass(frozen=True, slots=True)
class Settings:
    """One settings document.

    Attributes:
        members: the top-level members except ``env``.
        env: environment variables the document sets; every value is a string.
    """

    members: Mapping[str, Setting]
    env: Mapping[str, Setting]


@lru_cache(maxsize=8)
def parse(data: bytes) -> Settings:
    """Read a settings document; an empty file is an empty document. The same bytes are read once.

    Raises:
        MalformedSettings: not UTF-8, not JSON, not an object, or ``env`` is not an object of plain values.
    """
    text = _decode(data)
    if not text.strip(_BLANK):
        return Settings({}, {})
    _check(text)
    members: dict[str, Setting] = {}
    env: dict[str, Setting] = {}
    for name, value, start in _members(text, _skip(text, 0)):
        members[name] = Setting(value, _line(text, start))
        if name == "env":
            env = _env(text, start)
    members.pop("env", None)
    return Settings(members, env)


def dump(settings: Settings) -> bytes:
    """Write a document with the values of ``settings``; lines are what they come out as."""
    document = {name: setting.value for name, setting in settings.members.items()}
    if settings.env:
        document["env"] = {name: setting.value for name, setting in settings.env.items()}
    return json.dumps(document, indent=2, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedSettings(data.count(b"\n", 0, error.start) + 1, "it is not UTF-8 text") from None


def _check(text: str) -> None:
    """Let the standard parser judge the whole document once, so that the member walk below may trust it."""
    try:
        document = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise MalformedSettings(error.lineno, f"it is not JSON ({error.msg.lower()})") from None
    except (ValueError, RecursionError):
        raise MalformedSettings(1, "it contains a number or a nesting that JSON readers do not agree on") from None
    if not isinstance(document, dict):
        raise MalformedSettings(1, "it is not a JSON object")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _members(text: str, start: int) -> Iterator[tuple[str, object, int]]:
    """Yield name, value and the value's position for the object whose brace is at ``start``."""
    index = _skip(text, start + 1)
    while text[index] != "}":
        name, index = _DECODER.raw_decode(text, index)
        index = _skip(text, _skip(text, index) + 1)  # over the colon
        value, end = _DECODER.raw_decode(text, index)
        yield name, value, index
        index = _skip(text, end)
        if text[index] == ",":
            index = _skip(text, index + 1)


def _env(text: str, start: int) -> dict[str, Setting]:
    if text[start] != "{":
        raise MalformedSettings(_line(text, start), "env is not an object")
    env: dict[str, Setting] = {}
    for name, value, position in _members(text, start):
        line = _line(text, position)
        if not isinstance(value, str | int | float):
            raise MalformedSettings(line, f"env.{name} is not a string")
        env[name] = Setting(value if isinstance(value, str) else json.dumps(value), line)
    return env


def _skip(text: str, index: int) -> int:
    while index < len(text) and text[index] in _BLANK:
        index += 1
    return index


def _line(text: str, index: int) -> int:
    return text.count("\n", 0, index) + 1
