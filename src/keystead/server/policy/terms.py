"""Whose terms have not been accepted, from memory: which version is in force, and who has accepted it (S-21)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """Which terms govern an organization and its members."""

    COMMERCIAL = "commercial"
    CONSUMER = "consumer"


DEFAULT: Final = Kind.COMMERCIAL
"""What governs whoever has chosen nothing."""


@dataclass(frozen=True, slots=True)
class Unaccepted:
    """Terms that are in force and that an organization has not accepted.

    Attributes:
        kind: a :class:`Kind`.
        version: as the operator calls it.
        since: the day on which they came into force, ``YYYY-MM-DD`` (UTC).
        address: the page on which they are read and accepted.
    """

    kind: str
    version: str
    since: str
    address: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How all organizations stand.

    Attributes:
        in_force: what is, by kind; a kind of which nothing is published has no entry, and asks nothing.
        kinds: by organization, where it is not the default.
        accepted: organization and kind, where that organization has accepted what is in force, or what follows it.
    """

    in_force: Mapping[str, Unaccepted]
    kinds: Mapping[str, str]
    accepted: frozenset[tuple[str, str]]

    def missing(self, organization_id: str) -> Unaccepted | None:
        """Return what an organization has yet to accept; one that nobody knows has accepted nothing."""
        if not self.in_force:
            return None
        kind = self.kinds.get(organization_id, DEFAULT)
        return None if (organization_id, kind) in self.accepted else self.in_force.get(kind)


NOTHING: Final = Standing({}, {}, frozenset())
"""No terms are in force."""
