"""How often each of these may be tried. A limit looks at what was typed, never at whether it exists."""

from typing import Final

from keystead.server.authorization.checks import attempts
from keystead.server.authorization.checks.attempts import Limit

HOUR: Final = 3600

RESETS_PER_PLACE: Final = Limit("resets-place", 20, HOUR)
RESETS_PER_ADDRESS: Final = Limit("resets-address", 5, HOUR)
"""Nobody's mailbox is filled by a stranger."""
LINKS_PER_PLACE: Final = Limit("links-place", 30, 600)
"""A code has 256 random bits: this spares the database, not the code."""
PASSWORDS_PER_LINK: Final = Limit("passwords-link", 20, HOUR)
PASSWORDS_PER_PERSON: Final = Limit("passwords-person", 10, 600)
"""Tries of the current password, so that a browser left open does not guess it."""
ADDRESSES_PER_PERSON: Final = Limit("addresses-person", 5, HOUR)


def take(limit: Limit, who: str) -> bool:
    """Take one try away; returns whether there was one."""
    if attempts.used_up(limit, who):
        return False
    attempts.count(limit, who)
    return True
