"""Which request bodies are given up when too much of them is arriving at once. Pure.

A body waits in memory until it is complete, and limits of callers are looked at only then. So one caller who begins
many large ones and ends none could take all the memory there is; it is theirs that go first.
"""

from collections import Counter
from collections.abc import Sequence


def given_up(arriving: Sequence[tuple[str, int]], most: int) -> list[int]:
    """Return the places of the bodies to give up so that the others are no more than ``most`` bytes together.

    Args:
        arriving: of each body whose it is, and the bytes of it that are here.
        most: bytes that may wait.
    """
    held = Counter[str]()
    for caller, size in arriving:
        held[caller] += size
    excess, chosen = held.total() - most, list[int]()
    largest = sorted(range(len(arriving)), key=lambda place: arriving[place][1])
    by_caller: dict[str, list[int]] = {}
    for place in largest:
        by_caller.setdefault(arriving[place][0], []).append(place)
    while excess > 0:
        caller = max(held, key=lambda name: held[name])
        place = by_caller[caller].pop()
        size = arriving[place][1]
        held[caller] -= size
        excess -= size
        chosen.append(place)
    return chosen
