"""Whether a string can be sent as a credential, and if not, which character is to blame (R-29)."""

from typing import Final

from keystead.errors import MalformedSecret
from keystead.secret import Secret

LONGEST: Final = 16_384
"""Characters; longer values are refused by servers and proxies on the way."""

_CLASSES: Final = {
    "\n": "a line break",
    "\r": "a carriage return",
    "\t": "a tab",
    " ": "a space",
    "\ufeff": "a byte order mark",
    "\u00a0": "a no-break space",
    "\u200b": "a zero-width space",
    "\u2018": "a typographic quote",
    "\u2019": "a typographic quote",
    "\u201c": "a typographic quote",
    "\u201d": "a typographic quote",
}


def clean(text: str, name: str) -> Secret:
    """Return ``text`` without trailing line breaks as a secret that fits in one HTTP header.

    Args:
        text: the value as found; not empty.
        name: what to call it in an error, such as ``ANTHROPIC_API_KEY``.

    Raises:
        MalformedSecret: naming position and class of the first bad character, never the value.
    """
    value = text.rstrip("\r\n")
    if not value.strip():
        raise MalformedSecret(f"{name} is set but blank.", hint=f"Unset {name}, or give it a value.")
    if value[:7].lower() == "bearer ":
        raise MalformedSecret(
            f"{name} starts with the word Bearer.", hint="Keep only the token; the word is added when it is sent."
        )
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'`":
        raise MalformedSecret(f"{name} has its quotes in the value.", hint=f"Remove the quotes around {name}.")
    for position, character in enumerate(value, start=1):
        if not "!" <= character <= "~":
            raise MalformedSecret(
                f"{name} has {_class_of(character)} at character {position}.",
                hint=f"Copy the value of {name} again, as one line without anything around it.",
            )
    if len(value) > LONGEST:
        raise MalformedSecret(
            f"{name} is longer than {LONGEST} characters.", hint=f"Check that {name} holds one credential only."
        )
    return Secret(value)


def _class_of(character: str) -> str:
    known = _CLASSES.get(character)
    if known:
        return known
    return "a control character" if character < " " or character == "\x7f" else "a non-ASCII character"
