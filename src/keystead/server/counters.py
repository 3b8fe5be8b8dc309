"""How often something may be tried: counters in Django's cache, which may be lost and so hold no truth."""

import hashlib
from dataclasses import dataclass

from django.core.cache import cache


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``count`` tries within ``seconds`` of the first."""

    name: str
    count: int
    seconds: int


def used_up(limit: Limit, who: str) -> bool:
    """Return whether ``who`` has no try left; counts nothing."""
    return int(cache.get(_key(limit, who), 0)) >= limit.count


def count(limit: Limit, who: str) -> None:
    """Take one try away."""
    key = _key(limit, who)
    if not cache.add(key, 1, limit.seconds):
        try:
            cache.incr(key)
        except ValueError:  # it ended between the two calls
            cache.set(key, 1, limit.seconds)


def _key(limit: Limit, who: str) -> str:
    return f"attempts:{limit.name}:{hashlib.sha256(who.encode()).hexdigest()[:32]}"
