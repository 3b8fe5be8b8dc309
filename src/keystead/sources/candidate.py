"""What a source answers: one candidate, with its state, its reason and the evidence.

A source answers as though it were alone; :mod:`keystead.resolver` ranks the answers.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from keystead.credentials import Account, BillingClass, Credential, Freshness, Header
from keystead.credentials.provenance import Provenance
from keystead.environment import Environment
from keystead.errors import KeysteadError, PolicyDenied
from keystead.sources.configuration import Configuration
from keystead.sources.surface import Declaration, Surface
from keystead.stores import TokenStore
from keystead.stores.approvals import Approvals

if TYPE_CHECKING:
    from keystead.credentials.federation import Federation


class CandidateState(StrEnum):
    """What became of a candidate.

    SELECTED: it is used. OUTRANKED: usable, another one comes first. ABSENT: not there. DECLINED: there, not
    approved by the person. IGNORED: there, does not count on this surface. REFUSED: there, a rule says no. BROKEN:
    there, cannot be read or sent.
    """

    SELECTED = "selected"
    OUTRANKED = "outranked"
    ABSENT = "absent"
    DECLINED = "declined"
    IGNORED = "ignored"
    REFUSED = "refused"
    BROKEN = "broken"


class Approval(StrEnum):
    """The person's answer about an API key found in the environment (S-05)."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class HelperCommand:
    """The command of ``apiKeyHelper``; finding it does not run it.

    Attributes:
        command: a shell command, as configured; hidden in ``repr`` because people put keys into commands.
        lifetime: seconds for which its output may be used again; 0 runs it for every request.
        refusals: the HTTP statuses upon which it is run once more.
    """

    command: str = field(repr=False)
    lifetime: float
    refusals: frozenset[int] = frozenset({401})


@dataclass(frozen=True, slots=True)
class KeyReference:
    """Where an API key is kept; finding it neither reads nor runs anything.

    Attributes:
        text: such as ``file:/run/secrets/key``; hidden in ``repr`` because people put keys into commands.
        name: of the variable and its place, for errors.
        custom: whether the key is for another server than the vendor's.
    """

    text: str = field(repr=False)
    name: str
    custom: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """One row of the precedence table, looked at on this machine.

    Attributes:
        source: id of the row.
        title: name of the row for people.
        reason: why the state is what it is; a clause without a final dot.
        payer: who is charged, as a clause.
        expires_at: local-clock Unix seconds, when known.
        freshness: for tokens with an expiry.
        header: the one header it is sent in.
        api_base: base URL for model requests.
        allowed_origins: the only origins it may be sent to (R-07).
        upstream: what stands behind a gateway, as the gateway said at sign-in.
        approval: for an API key from the environment.
        warnings: sentences that must be shown whether or not this candidate wins.
        error: what to raise when this candidate would have been used but is refused or broken.
        credential: what is sent; never shown.
    """

    source: str
    title: str
    state: CandidateState
    reason: str
    provenance: Provenance | None = None
    billing: BillingClass = BillingClass.UNKNOWN
    payer: str = ""
    account: Account | None = None
    expires_at: float | None = None
    freshness: Freshness | None = None
    header: Header | None = None
    api_base: str | None = None
    allowed_origins: frozenset[str] = frozenset()
    upstream: str | None = None
    approval: Approval | None = None
    warnings: tuple[str, ...] = ()
    error: KeysteadError | None = None
    credential: "Credential | HelperCommand | KeyReference | Federation | None" = field(default=None, repr=False)

    @property
    def present(self) -> bool:
        """Whether there is something at this source at all, usable or not."""
        return self.state is not CandidateState.ABSENT


@dataclass(frozen=True, slots=True)
class Facts:
    """All a source may look at.

    Attributes:
        now: Unix seconds.
        interactive: whether a person can be asked; decides whether an API key needs approval (S-05).
        declaration: on which surface the agent runs (S-14).
    """

    environment: Environment
    configuration: Configuration
    store: TokenStore
    approvals: Approvals
    now: float
    interactive: bool
    declaration: Declaration = Declaration()  # noqa: RUF009  frozen


@dataclass(frozen=True, slots=True)
class Source:
    """One row of the precedence table.

    Attributes:
        id: stable name, used in JSON.
        title: name for people.
        reads: variables, settings and files it looks at.
        header: the header its credential is sent in; None where a cloud signs.
        billing: who pays, unless the origin says otherwise.
        payer: the same as a clause.
        sentence: documentation, one sentence.
        find: looks; returns a candidate or raises what is wrong.
        surfaces: where it counts; elsewhere it is told of and never used.
        from_settings: whether a settings file can fill it, so that an unreadable one makes it unknown.
    """

    id: str
    title: str
    reads: tuple[str, ...]
    header: Header | None
    billing: BillingClass
    payer: str
    sentence: str
    find: Callable[["Source", Facts], Candidate]
    surfaces: frozenset[Surface]
    from_settings: bool = True

    def look(self, facts: Facts) -> Candidate:
        """Return this row's candidate: not here, here, or here but not usable. Never raises a KeysteadError."""
        declaration = facts.declaration
        if declaration.fault is not None:
            broken = self.found("not known while the surface is not", declaration.place)
            return replace(broken, state=CandidateState.BROKEN, error=declaration.fault)
        candidate = self._look(facts)
        return candidate if declaration.surface in self.surfaces else _ignored(candidate, declaration)

    def _look(self, facts: Facts) -> Candidate:
        faulty = facts.configuration.faulty
        if self.from_settings and faulty is not None:
            reason = f"not known while {faulty.place} cannot be read"
            return replace(self.found(reason, faulty.place), state=CandidateState.BROKEN, error=faulty.fault)
        try:
            return self.find(self, facts)
        except PolicyDenied as error:
            return replace(self.found(error.message.rstrip("."), None), state=CandidateState.REFUSED, error=error)
        except KeysteadError as error:
            return replace(self.found(error.message.rstrip("."), None), state=CandidateState.BROKEN, error=error)

    def absent(self, reason: str) -> Candidate:
        """Return the candidate for "nothing here"."""
        return _absent(self.id, self.title, reason)

    def found(self, reason: str, provenance: Provenance | None) -> Candidate:
        """Return a usable candidate with what the row knows; the caller replaces what it knows better."""
        return Candidate(
            self.id,
            self.title,
            CandidateState.SELECTED,
            reason,
            provenance=provenance,
            billing=self.billing,
            payer=self.payer,
            header=self.header,
        )


def _ignored(candidate: Candidate, declaration: Declaration) -> Candidate:
    """Return what does not count here: it is named, so that nobody wonders, and can neither win nor stop a decision."""
    if not candidate.present:
        return candidate
    reason = f"not used on the surface {declaration}: {candidate.reason}"
    return replace(candidate, state=CandidateState.IGNORED, reason=reason, warnings=(), error=None)


@lru_cache(maxsize=256)
def _absent(source: str, title: str, reason: str) -> Candidate:
    """Most rows of most decisions are the same few of these."""
    return Candidate(source, title, CandidateState.ABSENT, reason)
