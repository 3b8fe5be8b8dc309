"""What another client would put on the wire: two header slots, and what is not known about them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from keystead.credentials import Header

if TYPE_CHECKING:
    from keystead.sources.clients.sight import Sight


@dataclass(frozen=True, slots=True)
class Found:
    """One credential that a client sees.

    Attributes:
        place: where it was found, for people.
        empty: it is there and blank, so that its header goes out empty.
        doubt: what is not known about its use; counted only when it is used.
    """

    place: str
    empty: bool = False
    doubt: str | None = None


@dataclass(frozen=True, slots=True)
class Wire:
    """The two headers of a request, by source id; None is a header that is not sent.

    Attributes:
        places: source id -> where its value was found.
        empty: headers that go out without a value.
        reason: why nothing is sent; None when something is.
        doubts: why this is not certain; empty when it is.
        notes: what else a reader should know.
    """

    authorization: str | None = None
    x_api_key: str | None = None
    places: Mapping[str, str] = field(default_factory=dict)
    empty: frozenset[Header] = frozenset()
    reason: str | None = None
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def certain(self) -> bool:
        """Whether it was observed or documented for this combination, rather than concluded."""
        return not self.doubts


def nothing(reason: str, *doubts: str) -> Wire:
    """Return the wire of a client that sends no request."""
    return Wire(reason=reason, doubts=doubts)


@dataclass(frozen=True, slots=True)
class KnownClient:
    """One client in one version, and its rules.

    Attributes:
        name: as in ``--as NAME@VERSION``.
        version: how the observed release is called; a longer one that begins with it means the same.
        agent: whether it has settings files, a person in front of it and a bare mode.
        rules: what it sends, given what it sees.
    """

    name: str
    version: str
    agent: bool
    rules: "Callable[[Sight], Wire]"
