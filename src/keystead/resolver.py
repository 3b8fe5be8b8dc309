"""Which credential is used on this machine, now, and why no other: the main job, without side effects.

Resolving reads variables, settings files and the store. It runs no helper, renews nothing, sends nothing and
writes nothing (R-06).
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from keystead.clock import Clock
from keystead.credentials import BillingClass
from keystead.environment import Environment
from keystead.errors import KeysteadError, NoCredential
from keystead.sources import SOURCES, surface
from keystead.sources.candidate import Candidate, CandidateState, Facts
from keystead.sources.configuration import Configuration
from keystead.sources.surface import Declaration
from keystead.stores import TokenStore
from keystead.stores.approvals import Approvals
from keystead.stores.expectations import Expectation, Expectations
from keystead.wire import surfaces

_SURFACE: Final = f"Run `keystead login`, or change {surface.VARIABLE} if this is another surface."
_THERE: Final = (CandidateState.OUTRANKED, CandidateState.DECLINED, CandidateState.REFUSED)


@dataclass(frozen=True, slots=True)
class Resolution:
    """The decision, explained.

    Attributes:
        winner: the credential to use; None when there is none or when it cannot be known.
        considered: every row of the precedence table in its order, the winner included.
        warnings: sentences for the person.
        problem: why nothing can be used: there is no winner, or it is not of the expected purse.
        shadows: what the winner passes over that another purse would pay for; one for each purse.
        expectations: what was declared for this directory and profile (B-05).
        declaration: on which surface it was decided (S-14).
    """

    winner: Candidate | None
    considered: tuple[Candidate, ...]
    warnings: tuple[str, ...] = ()
    problem: KeysteadError | None = None
    shadows: tuple[Candidate, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    declaration: Declaration = Declaration()  # noqa: RUF009  frozen

    def require(self) -> Candidate:
        """Return the winner: the one gate before anything is sent or run.

        Raises:
            KeysteadError: :attr:`problem`.
        """
        if self.winner is None or self.problem is not None:
            raise self.problem or NoCredential("No credential was found.")
        return self.winner


class Resolver:
    """Asks every row of the table and ranks the answers.

    Args:
        interactive: whether a person can be asked about an API key (S-05).
        approvals: answers given before; by default those in the state directory.
        unset: variables and settings to leave out, as if nothing set them.
    """

    def __init__(
        self,
        environment: Environment,
        store: TokenStore,
        clock: Clock,
        *,
        interactive: bool,
        approvals: Approvals | None = None,
        unset: Collection[str] = (),
    ) -> None:
        self._environment = environment
        self._store = store
        self._clock = clock
        self._interactive = interactive
        self._approvals = approvals or Approvals(environment.state_dir, clock)
        self._expectations = Expectations(environment.state_dir, clock)
        self._unset = unset

    def resolve(self) -> Resolution:
        """Decide."""
        configuration, store = self._read(), self._store.still()
        notes = (*_notes(store), *_unsent(configuration))
        decided = rank(self._look(configuration, store), notes)
        return self._held(replace(decided, declaration=surface.declared(self._environment)))

    def succession(self) -> tuple[Candidate, ...]:
        """Return who decides, and who would decide after that one is gone, and so on to the last (B-04)."""
        left = self._look(self._read(), self._store.still())
        line: list[Candidate] = []
        while (decisive := _decisive(left)) is not None:
            line.append(decisive)
            left = tuple(one for one in left if one is not decisive)
        return tuple(line)

    def _read(self) -> Configuration:
        configuration = Configuration.read(self._environment)
        return configuration.without(self._unset) if self._unset else configuration

    def _look(self, configuration: Configuration, store: TokenStore) -> tuple[Candidate, ...]:
        facts = Facts(
            self._environment,
            configuration,
            store,
            self._approvals,
            self._clock.now(),
            self._interactive,
            surface.declared(self._environment),
        )
        return tuple(source.look(facts) for source in SOURCES)

    def _held(self, resolution: Resolution) -> Resolution:
        """Hold the winner to what was declared for this directory and profile."""
        try:
            expectations = self._expectations.applying(self._environment.cwd, self._store.profile)
        except KeysteadError as error:  # who may pay is not known, so nobody does
            return replace(resolution, problem=resolution.problem or error)
        if not expectations or resolution.winner is None:
            return replace(resolution, expectations=expectations) if expectations else resolution
        from keystead.sources.expectation import mismatch

        return replace(resolution, problem=mismatch(resolution.winner, expectations), expectations=expectations)


def _notes(store: TokenStore) -> tuple[str, ...]:
    try:
        return store.notes()
    except KeysteadError:  # the store's rows say it
        return ()


def _unsent(configuration: Configuration) -> list[str]:
    """Name what other clients would send beside or instead of the winner (R-34)."""
    value = configuration.variable("ANTHROPIC_CUSTOM_HEADERS").value
    if value is None or surfaces.is_line(value.text):  # which `keystead run` gives a program
        return []
    return [f"{value.name} is set; Keystead does not send its headers, other clients may send a credential in them"]


def rank(candidates: tuple[Candidate, ...], notes: tuple[str, ...] = ()) -> Resolution:
    """Let the first usable candidate win, unless a broken one before it might have (fail closed).

    Args:
        candidates: in order of precedence.
        notes: warnings that belong to no row.
    """
    decisive = _decisive(candidates)
    winner = decisive if decisive is not None and decisive.state is CandidateState.SELECTED else None
    considered = tuple(_ranked(one, decisive) for one in candidates)
    warnings = [*notes, *(warning for one in considered for warning in one.warnings)]
    shadows = _shadowed(winner, considered) if winner is not None else ()
    warnings += [shadow_warning(winner, other) for other in shadows if winner is not None]
    problem = None if winner is not None else _problem(decisive, considered)
    return Resolution(winner, considered, tuple(dict.fromkeys(warnings)), problem, shadows)


def _decisive(candidates: tuple[Candidate, ...]) -> Candidate | None:
    return next((one for one in candidates if one.state in (CandidateState.SELECTED, CandidateState.BROKEN)), None)


def _ranked(candidate: Candidate, decisive: Candidate | None) -> Candidate:
    if candidate is decisive or candidate.state is not CandidateState.SELECTED or decisive is None:
        return candidate
    verb = "comes first" if decisive.state is CandidateState.SELECTED else "would come first and is broken"
    return replace(candidate, state=CandidateState.OUTRANKED, reason=f"{candidate.reason}; {decisive.title} {verb}")


def _shadowed(winner: Candidate, considered: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """Return what another purse would pay for and is passed over: the surprise bill of R-03."""
    if winner.billing is BillingClass.UNKNOWN:
        return ()
    lower = considered[considered.index(winner) + 1 :]
    others = {
        one.billing: one  # one for each purse is enough
        for one in reversed(lower)
        if one.state in _THERE and one.billing not in (winner.billing, BillingClass.UNKNOWN)
    }
    return tuple(others.values())


def shadow_warning(winner: Candidate, other: Candidate) -> str:
    """Return the sentence that says who pays, and who would without ``winner``."""
    return (
        f"{winner.title} ({winner.provenance}) is used and bills as {winner.billing}; "
        f"{other.title} ({other.provenance}) would bill as {other.billing}"
    )


def _problem(decisive: Candidate | None, considered: tuple[Candidate, ...]) -> KeysteadError:
    if decisive is not None and decisive.error is not None:
        return decisive.error
    pending = next((one for one in considered if one.state is CandidateState.DECLINED), None)
    if pending is not None:
        return NoCredential(
            f"{pending.title} ({pending.provenance}) is {pending.reason}, and there is no other credential.",
            hint="Approve it at the prompt of keystead with /config use-custom-api-key yes, or sign in with /login.",
        )
    ignored = next((one for one in considered if one.state is CandidateState.IGNORED), None)
    if ignored is not None:
        return NoCredential(f"{ignored.title} is {ignored.reason}, and there is no other credential.", hint=_SURFACE)
    refused = next((one.error for one in considered if one.error is not None), None)
    return refused or NoCredential(
        f"No credential was found in any of {len(considered)} places.",
        hint="Run `keystead login`, or set ANTHROPIC_API_KEY.",
    )
