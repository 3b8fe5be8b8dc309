"""An operator's own prices: a TOML file over the shipped book.

::

    [default]                      # optional: what unknown models count as
    input = 5.00

    [[prices]]
    upstream = "anthropic"
    model = "claude-opus-5"        # how names begin; "claude-*" for however they go on
    since = 2026-12-01             # UTC
    input = 4.25                   # USD per million tokens, as the four below
    output = 21.25
    cache_read = 0.425
    cache_write_5m = 5.3125
    cache_write_1h = 8.50
    web_search = 10                # USD per 1,000 searches; 0 when left out
    prompt_over = 200000           # optional: only for longer prompts
    factors = { fast = 2, us = 1.1 }   # optional: times the tokens' cost, for what changes it
"""

import hashlib
import re
import tomllib
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from keystead.errors import ConfigurationError
from keystead.server.settings import ServerSettings
from keystead.server.usage.price_list import SHIPPED
from keystead.server.usage.prices import MICRO, Price, PriceBook, Rates, merged

_RATES: Final = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
_FIELDS: Final = frozenset({"upstream", "model", "since", *_RATES, "web_search", "prompt_over", "factors"})
_FACTOR: Final = re.compile(r"[a-z0-9_-]{1,16}")
_LARGEST_FACTOR: Final = 100
_HIGHEST: Final = 1_000_000
_LONGEST: Final = {"upstream": 32, "model": 100}
_LARGEST_FILE: Final = 1 << 20


class _Wrong(Exception):
    """A field of the file is not as it must be; the text says which and why."""


def book_of(settings: ServerSettings) -> PriceBook:
    """Return the shipped prices with those of the operator's file, if one is set.

    Raises:
        ConfigurationError: the file cannot be used; names the file, the line or field, and the reason.
    """
    return read(Path(settings.price_book_file)) if settings.price_book_file else SHIPPED


def read(file: Path) -> PriceBook:
    """Return the shipped prices with those of ``file``.

    Raises:
        ConfigurationError: the file cannot be used; names the file, the line or field, and the reason.
    """
    try:
        with file.open("rb") as handle:
            content = handle.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise _Wrong("it is larger than 1 MiB")
        return _book(tomllib.loads(content.decode(), parse_float=Decimal), hashlib.sha256(content).hexdigest()[:12])
    except (OSError, ValueError, RecursionError, _Wrong) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigurationError(
            f"The price book {file} cannot be used: {reason}.",
            hint="KEYSTEAD_SERVER_PRICE_BOOK_FILE names a TOML file as in docs/usage.md; correct or remove it.",
            move="operator",
        ) from error


def _book(content: dict[str, Any], version: str) -> PriceBook:
    _only(content, frozenset({"default", "prices"}), "")
    rows = content.get("prices", [])
    if not isinstance(rows, list):
        raise _Wrong("prices must be an array of tables, each below [[prices]]")
    prices = [_price(row, f"prices[{number}]", version) for number, row in enumerate(rows, start=1)]
    seen: dict[tuple[Any, ...], int] = {}
    for number, price in enumerate(prices, start=1):
        key = (price.upstream, price.model, price.since, price.prompt_over)
        if key in seen:
            raise _Wrong(f"prices[{number}] says again what prices[{seen[key]}] is for")
        seen[key] = number
    return merged(SHIPPED, prices, _default(content["default"], version) if "default" in content else None)


def _default(table: Any, version: str) -> Price:
    if not isinstance(table, dict):
        raise _Wrong("default must be a table")
    _only(table, frozenset({*_RATES, "web_search"}), "default.")
    return SHIPPED.default._replace(rates=_rates(table, "default."), version=version)


def _price(row: Any, where: str, version: str) -> Price:
    if not isinstance(row, dict):
        raise _Wrong(f"{where} must be a table")
    _only(row, _FIELDS, f"{where}.")
    upstream, model = (_text(row, name, where) for name in ("upstream", "model"))
    since = row.get("since")
    if not isinstance(since, date) or isinstance(since, datetime):
        raise _Wrong(f"{where}.since must be a day without quotes, such as 2026-12-01")
    over = row.get("prompt_over", 0)
    if type(over) is not int or not 0 <= over < 2**63:
        raise _Wrong(f"{where}.prompt_over must be a number of tokens, 0 or more")
    factors = _factors(row.get("factors", {}), f"{where}.factors")
    return Price(upstream, model, since, _rates(row, f"{where}."), over, version, factors)


def _factors(table: Any, where: str) -> tuple[tuple[str, int], ...]:
    if not isinstance(table, dict):
        raise _Wrong(f"{where} must be a table, such as {{ fast = 2 }}")
    return tuple((word, _percent(word, value, f"{where}.{word}")) for word, value in sorted(table.items()))


def _percent(word: str, value: Any, field: str) -> int:
    if not _FACTOR.fullmatch(word):
        raise _Wrong(f"{field} is no word of a tariff: 1 to 16 of a to z, 0 to 9, _ and -")
    if type(value) is not int and not isinstance(value, Decimal):
        raise _Wrong(f"{field} must be a number of times, such as 1.1")
    percent = Decimal(value) * 100
    if not percent.is_finite() or not 0 <= percent <= _LARGEST_FACTOR * 100 or percent != int(percent):
        raise _Wrong(f"{field} must be between 0 and {_LARGEST_FACTOR}, with two digits after the point at most")
    return int(percent)


def _text(row: dict[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value or len(value) > _LONGEST[name] or not value.isprintable():
        raise _Wrong(f"{where}.{name} must be a text of 1 to {_LONGEST[name]} characters")
    return value


def _rates(table: dict[str, Any], where: str) -> Rates:
    per_token = (_exact(table.get(name), f"{where}{name}") for name in _RATES)
    return Rates(*per_token)._replace(web_search=_exact(table.get("web_search", 0), f"{where}web_search") * 1000)


def _exact(value: Any, field: str) -> int:
    """Return a price as millionths of it, which is pico-units a token for a price per million tokens."""
    if type(value) is not int and not isinstance(value, Decimal):
        raise _Wrong(f"{field} must be a price in USD, such as 2.50")
    number = Decimal(value)
    if not number.is_finite() or not 0 <= number <= _HIGHEST:
        raise _Wrong(f"{field} must be between 0 and {_HIGHEST}")
    scaled = number * MICRO
    if scaled != int(scaled):
        raise _Wrong(f"{field} has more than six digits after the point")
    return int(scaled)


def _only(table: dict[str, Any], known: frozenset[str], where: str) -> None:
    for name in table:
        if name not in known:
            raise _Wrong(f"{where}{name} is not a field; the fields are {', '.join(sorted(known))}")
