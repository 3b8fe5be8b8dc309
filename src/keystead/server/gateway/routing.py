"""The order in which a request is tried at its upstreams. Pure: the time and the chance are arguments.

Three things decide, in this order:

1. what an upstream serves: one that is not for the model is no candidate;
2. its circuit: after :data:`PATIENCE` failures in a row it is left alone for a pause, which grows with every further
   failure. When the pause is over, one request is its trial while the others still pass it by (half-open); success
   closes the circuit. When every candidate is in its pause, they are tried as if none was: an answer that may be an
   error is better than none;
3. the session: an agent's session stays where it was served last while that one is a candidate, so that the
   upstream's prompt cache is of use to it. Otherwise the order is the administrator's.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from keystead.server.gateway.ports import Upstream
from keystead.server.policy.model_access import ModelAccess

PATIENCE: Final = 3
"""Failures in a row that open a circuit."""
SHORTEST: Final = 2.0
LONGEST: Final = 120.0
"""Seconds of the first pause, and of the longest, before the jitter."""
JITTER: Final = 0.5
"""A pause is longer by up to this part of it, so that several servers do not come back at once."""

FAILED: Final = frozenset({401, 403, 404, 429, *range(500, 600)})
"""Statuses after which the next upstream is asked, as long as the client has seen nothing; any other answer is passed
on, for the request itself is the reason for it."""
BLAMED: Final = FAILED - {403, 404}
"""Those that count against the upstream. The other two are about one model or one permission, and say nothing of what
it does with the next request."""

MOST_SESSIONS: Final = 10_000
MOST_CIRCUITS: Final = 10_000


class Circuit(NamedTuple):
    """What is remembered of an upstream that failed last time.

    Attributes:
        upstream: as it was configured then; once that or its credential has changed, nothing counts any more.
        version: of its credential.
        failures: in a row.
        until: the time before which it is left alone.
    """

    upstream: Upstream
    version: int
    failures: int
    until: float

    def is_of(self, upstream: Upstream) -> bool:
        """Return whether this is still about ``upstream`` as it is."""
        return (self.upstream is upstream or self.upstream == upstream) and self.version == _version(upstream)


def _version(upstream: Upstream) -> int:
    return 0 if upstream.credential is None else upstream.credential.version


def pause(failures: int, chance: float) -> float:
    """Return the seconds an upstream is left alone after so many failures in a row; ``chance`` is from 0 to 1."""
    if failures < PATIENCE:
        return 0.0
    doublings = min(failures - PATIENCE, 32)  # more would only make a number that is cut below
    return min(SHORTEST * 2.0**doublings, LONGEST) * (1 + JITTER * chance)


class Health:
    """The circuits of the upstreams that are in trouble, by identifier; whoever is well takes no memory.

    Args:
        chance: gives a number from 0 to 1 for the jitter.

    Attributes:
        circuits: by identifier, the one that failed last at the end.
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self.circuits: OrderedDict[str, Circuit] = OrderedDict()

    def is_open(self, upstream: Upstream, now: float) -> bool:
        """Return whether it is to be left alone at ``now``."""
        circuit = self.circuits.get(upstream.id)
        return circuit is not None and now < circuit.until and circuit.is_of(upstream)

    def tried(self, upstream: Upstream, now: float) -> None:
        """A request goes there. After a pause it is the trial, and others wait for its end for as long again."""
        circuit = self.circuits.get(upstream.id)
        if circuit is not None and circuit.failures >= PATIENCE:
            self._keep(circuit._replace(until=now + pause(circuit.failures, self._chance())))

    def failed(self, upstream: Upstream, now: float) -> float:
        """It failed; returns the seconds it is left alone from now on, 0 for none."""
        circuit = self.circuits.get(upstream.id)
        failures = circuit.failures + 1 if circuit is not None and circuit.is_of(upstream) else 1
        seconds = pause(failures, self._chance())
        self._keep(Circuit(upstream, _version(upstream), failures, now + seconds))
        return seconds

    def succeeded(self, upstream: Upstream) -> None:
        """It answered as it should."""
        self.circuits.pop(upstream.id, None)

    def _keep(self, circuit: Circuit) -> None:
        name = circuit.upstream.id
        self.circuits[name] = circuit
        self.circuits.move_to_end(name)
        if len(self.circuits) > MOST_CIRCUITS:
            self.circuits.popitem(last=False)


class Sessions:
    """Where each agent session was served last; of too many, the one that has been quiet longest is forgotten."""

    def __init__(self, most: int = MOST_SESSIONS) -> None:
        self._most = most
        self._served: OrderedDict[tuple[str, str], str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._served)

    def of(self, organization: str, session: str) -> str:
        """Return the upstream's identifier, or nothing."""
        return self._served.get((organization, session), "")

    def served(self, organization: str, session: str, upstream: str) -> None:
        """The session was answered there."""
        if not session:
            return
        self._served[organization, session] = upstream
        self._served.move_to_end((organization, session))
        if len(self._served) > self._most:
            self._served.popitem(last=False)


def candidates(
    upstreams: Sequence[Upstream], model: str, session_at: str, health: Health, now: float
) -> list[Upstream]:
    """Return the upstreams to try for ``model``, one after the other; none when nobody serves it.

    Args:
        upstreams: the caller's, in the administrator's order.
        model: as the client asks for it.
        session_at: the upstream that answered the agent's session last, or nothing.
        health: the circuits.
        now: seconds of the clock that ``health`` is kept by.
    """
    serving = [one for one in upstreams if not one.serves or serves(one, model)]
    if len(serving) < 2:
        return serving
    if health.circuits:
        serving = [one for one in serving if not health.is_open(one, now)] or serving
    if session_at and serving[0].id != session_at:
        serving.sort(key=lambda one: one.id != session_at)  # stable: the others keep their order
    return serving


def serves(upstream: Upstream, model: str) -> bool:
    """Return whether ``upstream`` is asked for ``model``."""
    return not upstream.serves or _access(upstream.serves).allows(model)


@lru_cache(maxsize=1024)
def _access(entries: tuple[str, ...]) -> ModelAccess:
    return ModelAccess(entries)
