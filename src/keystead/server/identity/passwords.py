"""Which passwords will do: one table, asked wherever somebody chooses one.

Length and lists are what helps (OWASP ASVS 5.0 V6.2, NIST SP 800-63B-4 section 3.1.1): at least 12 characters of any
kind, nothing that is on a list of common or breached passwords, nothing made of words that belong to this place. There
is no rule about kinds of characters, and nothing is cut off.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from django.conf import settings
from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.exceptions import ValidationError

from keystead.errors import KeysteadError, UsageError
from keystead.server.identity import breached

SHORTEST: Final = 12
LONGEST: Final = 200
"""Longer ones cost the server and gain nobody anything; the forms say so before anything is cut off."""
HELP: Final = f"At least {SHORTEST} characters, of any kind. Four random words do well."

_PRODUCT: Final = "keystead"
_OWN: Final = 8
"""So many characters must be left when the words of this place are taken away."""
_LONG: Final = Path(__file__).with_name("common_long_passwords.txt")
"""The most common passwords of 12 characters and more, of ten million that were made public, as hashes in order: among
the 20,000 most common of any length there are few that the first rule leaves over."""
_TAIL: Final = 6
"""Fewer characters than this behind a common password make no other password of it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A password, and the words that belong to whoever chose it.

    Attributes:
        words: lower-case parts of the product's and the organizations' names and of the person's address.
    """

    password: str
    words: frozenset[str]


def check(password: str, *, email: str, organizations: Iterable[str] = (), field: str = "Password") -> None:
    """Check that somebody may have this password.

    Args:
        password: as it was typed.
        email: the address of whoever chooses it.
        organizations: the names of the organizations they belong to.
        field: what the form calls it.

    Raises:
        UsageError: it will not do; the message names the field and why.
        ConfigurationError: the list of breached passwords cannot be asked.
    """
    choice = Choice(password, _words(_PRODUCT, email, *organizations))
    for refuses, why, hint in RULES:
        if refuses(choice):
            raise UsageError(f"{field}: {why}", hint=hint)


class Validator:
    """The same rules where Django or a library of its asks for them."""

    def validate(self, password: str, user: object = None) -> None:
        """Check as :func:`check` does; whatever form calls it says what the field is."""
        try:
            check(password, email=str(getattr(user, "email", "")))
        except KeysteadError as error:
            raise ValidationError(error.message) from error

    def get_help_text(self) -> str:
        """Return what a form says beforehand."""
        return HELP


def _too_short(choice: Choice) -> bool:
    return len(choice.password) < SHORTEST


def _too_long(choice: Choice) -> bool:
    return len(choice.password) > LONGEST


def _common(choice: Choice) -> bool:
    """Whether it is a common password, one with a little behind it, or a short piece again and again."""
    lowered = choice.password.lower()
    core = re.sub(r"[^a-z]+$", "", lowered)
    piece = _piece(lowered)
    behind = len(lowered) - len(core)
    if lowered in _listed() or piece in _listed() or len(piece) < 4 or (core in _listed() and behind < _TAIL):
        return True
    return breached.contains(_LONG, lowered)


def _breached(choice: Choice) -> bool:
    file = settings.KEYSTEAD.breached_passwords_file
    return bool(file) and breached.contains(Path(file), choice.password)


def _of_this_place(choice: Choice) -> bool:
    rest = choice.password.lower()
    for word in sorted(choice.words, key=len, reverse=True):
        rest = rest.replace(word, "")
    return len(rest) < min(_OWN, len(choice.password))


_CHOOSE: Final = "Choose another one; four random words do well."

RULES: Final[tuple[tuple[Callable[[Choice], bool], str, str], ...]] = (
    (_too_short, f"it has fewer than {SHORTEST} characters.", f"Use at least {SHORTEST} characters, of any kind."),
    (_too_long, f"it has more than {LONGEST} characters.", "Use a shorter one."),
    (_common, "it is one of the most common passwords, or hardly differs from one.", _CHOOSE),
    (
        _of_this_place,
        "it is made of words that belong to this place: the product's name, an organization's name or your address.",
        _CHOOSE,
    ),
    (_breached, "it is in a list of passwords that were stolen elsewhere, so others try it.", _CHOOSE),
)
"""What refuses a password, and the sentence that says why; the first that does is the answer."""


@lru_cache(maxsize=1)
def _listed() -> frozenset[str]:
    """Return Django's list of the 20,000 most common passwords."""
    return frozenset(CommonPasswordValidator().passwords)


def _piece(text: str) -> str:
    """Return the shortest piece that ``text`` consists of again and again: itself, if it does not repeat."""
    at = (text + text).find(text, 1)
    return text[:at] if text else text


def _words(*sources: str) -> frozenset[str]:
    found = {word for source in sources for word in re.split(r"[^\w]+|_", source.lower())}
    joined = {re.sub(r"[\W_]+", "", source.lower()) for source in sources}
    return frozenset(word for word in found | joined if len(word) > 2)
