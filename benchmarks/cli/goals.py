"""The goals of the client as data, and whether this run reached them."""

from collections.abc import Mapping
from dataclasses import dataclass

GH = "gh auth token"


@dataclass(frozen=True)
class Goal:
    """One bound on one figure.

    Attributes:
        figure: its name in the measured figures.
        most: what it may be at most.
        unit: for people.
    """

    figure: str
    most: float
    unit: str

    def line(self, figures: Mapping[str, float]) -> str:
        """Return the row of the table; a figure that could not be taken is not judged."""
        measured = figures.get(self.figure)
        if measured is None:
            return f"| {self.figure} | {self.most:g} {self.unit} | | not measured |"
        verdict = "reached" if measured <= self.most else f"missed, {measured / self.most:.2f} times as much"
        return f"| {self.figure} | {self.most:g} {self.unit} | {measured:.2f} | {verdict} |"


GOALS = (
    Goal("keystead token, key in a variable, x gh", 1.0, "x"),
    Goal("keystead token, key in a variable", 25.0, "ms"),
    Goal("keystead token, signed in, x gh", 1.0, "x"),
    Goal("keystead token, signed in", 25.0, "ms"),
    Goal("keystead status", 120.0, "ms"),
    Goal("keystead status", 70.0, "ms"),
    Goal("resolve() in process", 200.0, "µs"),
    Goal("resolve() in process", 50.0, "µs"),
    Goal("import keystead", 40.0, "ms"),
    Goal("expired login, refreshes", 1.0, "call"),
    Goal("expired login, last process", 2.0, "refreshes' time"),
)
"""In the order of the first goals, each followed by the one after it."""
