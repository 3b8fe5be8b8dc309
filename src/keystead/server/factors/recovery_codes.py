"""Recovery codes: ten at a time, each good once; of 120 random bits a plain hash is enough (ASVS 5.0 V6.5.2)."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from keystead.server.factors.models import RecoveryCode
from keystead.server.identity.models import Person
from keystead.wire import tokens

COUNT: Final = 10
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's Base32: no letter that looks like a digit."""
_BYTES: Final = 15
_LENGTH: Final = 24
_GROUP: Final = 6
_LOOKALIKES: Final = str.maketrans({"O": "0", "I": "1", "L": "1"})


def renew(person: Person, now: datetime, random_bytes: Callable[[int], bytes]) -> list[str]:
    """Return ten new codes, to be shown once; those from before end. Call it inside a transaction."""
    RecoveryCode.objects.filter(person=person).delete()
    codes = [_encoded(int.from_bytes(random_bytes(_BYTES))) for _ in range(COUNT)]
    RecoveryCode.objects.bulk_create(
        RecoveryCode(digest=tokens.digest(code), person=person, created_at=now) for code in codes
    )
    return ["-".join(code[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP)) for code in codes]


def use(person: Person, typed: str, now: datetime) -> bool:
    """Use a code up; of many at once exactly one is told yes. Case, spaces and hyphens do not matter."""
    code = "".join(letter for letter in typed.upper() if letter.isalnum()).translate(_LOOKALIKES)
    if len(code) != _LENGTH:
        return False
    return RecoveryCode.objects.filter(person=person, digest=tokens.digest(code), used_at=None).update(used_at=now) == 1


def left(person: Person) -> int:
    """Return how many are unused."""
    return RecoveryCode.objects.filter(person=person, used_at=None).count()


def _encoded(number: int) -> str:
    return "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(_LENGTH)))
