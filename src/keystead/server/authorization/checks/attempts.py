"""How often something may be tried at the authorization server."""

from typing import Final

from keystead.server.counters import Limit, count, used_up

__all__ = [
    "CODES_PER_ADDRESS",
    "REGISTRATIONS_PER_ADDRESS",
    "TRIES_PER_CODE",
    "WRONG_CODES_PER_ADDRESS",
    "WRONG_CODES_PER_PERSON",
    "Limit",
    "count",
    "used_up",
]

WRONG_CODES_PER_ADDRESS: Final = Limit("wrong-codes-address", 10, 600)
WRONG_CODES_PER_PERSON: Final = Limit("wrong-codes-person", 10, 600)
"""The alphabet gives 25 billion codes: with these limits a guess succeeds about never (RFC 8628 section 5.1)."""
TRIES_PER_CODE: Final = Limit("tries-code", 10, 600)
CODES_PER_ADDRESS: Final = Limit("codes-address", 120, 600)
"""New device codes: each is a row, and anybody may ask."""
REGISTRATIONS_PER_ADDRESS: Final = Limit("registrations-address", 120, 600)
"""Requests to register a client, or to read or end its registration, whatever comes of them."""
