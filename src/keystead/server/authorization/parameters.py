"""Reading the parameters of a request: form or JSON in, one string per name out, anything odd refused.

RFC 6749 section 3.2: a parameter may stand once only, and one without a value counts as left out. Everything
here is total: any bytes give parameters or a :class:`~keystead.server.authorization.refusals.Refusal`.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from keystead.server.authorization.refusals import Refusal, invalid_request
from keystead.wire import tokens
from keystead.wire.tokens import TokenKind

Parameters = Mapping[str, str]

MAX_BYTES: Final = 32_768
_MAX_FIELDS: Final = 64
_MAX_VALUE: Final = 8_192


def parse_body(content_type: str, body: bytes) -> Parameters:
    """Return the parameters of a request body; media types may carry parameters (``; charset=utf-8``).

    Raises:
        Refusal: ``invalid_request``, naming what is wrong but repeating nothing of the input.
    """
    if not body:
        return {}  # a gateway client's device request may say nothing at all
    media_type = content_type.partition(";")[0].strip().lower()
    reader = _READERS.get(media_type)
    if reader is None:
        raise invalid_request("The body must be application/x-www-form-urlencoded or application/json.")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise invalid_request("The body is not UTF-8.") from error
    return _single(reader(text))


def parse_query(query: str) -> Parameters:
    """Return the parameters of a query string.

    Raises:
        Refusal: ``invalid_request``.
    """
    return _single(_form_pairs(query))


def _form_pairs(text: str) -> list[tuple[str, Any]]:
    if len(text) > MAX_BYTES:
        raise invalid_request("The request is too large.", 413)
    try:
        return list(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS))
    except ValueError as error:
        raise invalid_request("The parameters are not form-encoded UTF-8.") from error


def _json_pairs(text: str) -> list[tuple[str, Any]]:
    try:
        # The hook sees inner objects too; only the outermost result is kept, the others fail as "not a string".
        pairs = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise invalid_request("The body is not JSON.") from error
    if not isinstance(pairs, _Pairs):
        raise invalid_request("The body is not a JSON object.")
    return pairs


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written, repeated names included."""


_READERS: Final[Mapping[str, Callable[[str], list[tuple[str, Any]]]]] = {
    "application/x-www-form-urlencoded": _form_pairs,
    "application/json": _json_pairs,
}


def _single(pairs: Iterable[tuple[str, Any]]) -> Parameters:
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise invalid_request("A parameter is repeated.")
        if not isinstance(value, str):
            raise invalid_request("A parameter is not a string.")
        if len(value) > _MAX_VALUE or len(name) > _MAX_VALUE:
            raise invalid_request("A parameter is too long.")
        if not value.isprintable():
            raise invalid_request("A parameter has a character that is not printable.")
        found[name] = value
    return {name: value for name, value in found.items() if value}


def required(parameters: Parameters, name: str) -> str:
    """Return one parameter.

    Raises:
        Refusal: ``invalid_request``, when it is left out.
    """
    value = parameters.get(name)
    if value is None:
        raise invalid_request(f"The parameter {name} is missing.")
    return value


def required_token(parameters: Parameters, name: str, kind: TokenKind, refuse: Callable[[str], Refusal]) -> str:
    """Return a parameter that must be a token of ours.

    Its checksum is looked at before the database is, so that noise costs no lock.

    Raises:
        Refusal: ``invalid_request`` when it is left out, else what ``refuse`` makes of the reason.
    """
    token = required(parameters, name)
    if tokens.parse(token) is not kind:
        raise refuse(f"The {name} is not one of ours.")
    return token
