"""How long an answer may become at most, as its request says, without parsing the request."""

import re
from typing import Final

_MOST: Final = re.compile(rb'"max(?:_completion|_output)?_tokens"[ \t\r\n]*:[ \t\r\n]*([0-9]{1,9})')


def most_tokens(body: bytes) -> int | None:
    """Return the largest limit of tokens anywhere in a request body, or None when it names none.

    Inside a string quotes are escaped, so that nothing somebody said is taken for the field. A field of a tool may be,
    which only makes the answer larger.
    """
    found = _MOST.findall(body)
    return max(map(int, found)) if found else None
