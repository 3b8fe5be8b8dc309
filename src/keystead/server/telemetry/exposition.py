"""The Prometheus text format, version 0.0.4. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]


class Sample(NamedTuple):
    """One line: what follows the family's name, the labels and the value."""

    suffix: str
    labels: Labels
    value: float


class Family(NamedTuple):
    """All samples of one name.

    Attributes:
        type: ``counter``, ``gauge`` or ``histogram``.
    """

    name: str
    type: str
    help: str
    samples: Sequence[Sample]


class Histogram:
    """How often a value was within each of some bounds.

    Args:
        bounds: upper ends of the buckets, each included in its own, in rising order; what is above all has one more.
    """

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def samples(self, labels: Labels) -> Iterator[Sample]:
        """Give the lines of one set of labels."""
        total = 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            total += count
            yield Sample("_bucket", (*labels, ("le", _number(bound))), total)
        yield Sample("_sum", labels, self._sum)
        yield Sample("_count", labels, total)


def text(families: Iterable[Family]) -> bytes:
    """Return what a scrape is answered."""
    return "".join(line for family in families for line in _lines(family)).encode()


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {_escaped(family.help)}\n"
    yield f"# TYPE {family.name} {family.type}\n"
    for sample in family.samples:
        labels = ",".join(f'{name}="{_quoted(value)}"' for name, value in sample.labels)
        yield f"{family.name}{sample.suffix}{f'{{{labels}}}' if labels else ''} {_number(sample.value)}\n"


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return repr(value)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(value: str) -> str:
    return _escaped(value).replace('"', r"\"")
