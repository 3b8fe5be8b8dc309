"""Whether a request may use a model: one table of rules over facts, pure and total, and no unless all of them agree.

``decide(facts)`` walks :data:`RULES` in their order; the first that objects is the answer, with its sentence, what it
rests on and the lawful alternative. A fact that is none of the known ones is a no of its own, so that a value which a
later version adds is refused until a rule knows it.

Most facts are the caller's and stay the same from request to request. So a :class:`Permit` holds what they decide, and
a request costs the look at its model; ``decide`` is that permit, asked once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, NamedTuple

from keystead.credentials.rules import (
    INDIVIDUAL_USE,
    OWN_API_KEY,
    OWN_SERVICE_TOKEN,
    PERSON_SIGN_IN,
    CredentialRule,
    Program,
)
from keystead.server.policy.model_access import ModelAccess, Unreadable
from keystead.server.policy.terms import Unaccepted
from keystead.wire.surfaces import Surface


class Credential(StrEnum):
    """What the caller showed."""

    API_KEY = "api_key"
    SIGN_IN = "sign_in"
    """A person's, through a client."""
    SERVICE = "service"
    """A service account's token."""


USES: Final = {
    Credential.API_KEY: OWN_API_KEY,
    Credential.SIGN_IN: PERSON_SIGN_IN,
    Credential.SERVICE: OWN_SERVICE_TOKEN,
}
"""Which row of the one table of credentials says in what programs each may be used (S-20)."""


class Proof(StrEnum):
    """What says which client it is. Only the first two are more than its word."""

    AUTHENTICATED = "authenticated"
    BOUND = "bound"
    REGISTERED = "registered"
    NONE = "none"


PROOFS: Final = {
    Proof.AUTHENTICATED: "proven: the client showed its secret or its signature when it got the token",
    Proof.BOUND: "proven: every request is signed by the key that the sign-in is bound to (DPoP)",
    Proof.REGISTERED: "declared only: a public client's registered name, which another program could give",
    Proof.NONE: "declared only: no client signed in, and what a program calls itself is a header",
}
"""What each is worth, in words."""
_PROVEN: Final = frozenset({Proof.AUTHENTICATED, Proof.BOUND})


class Plan(StrEnum):
    """How the organization pays."""

    METERED = "metered"
    ALLOWANCE = "allowance"
    """A flat rate for the individual use of people."""


@dataclass(frozen=True, slots=True)
class Switches:
    """What an organization has switched on (S-22).

    Attributes:
        zero_retention: nothing of a prompt or completion is kept by anybody it could ask.
        baa: a business associate agreement covers its traffic.
        proven_clients: people's sign-ins count only from clients that are proven.
    """

    zero_retention: bool = False
    baa: bool = False
    proven_clients: bool = False


NO_SWITCHES: Final = Switches()


class RegisteredClient(NamedTuple):
    """What the registry says of a client.

    Attributes:
        organization_id: whose it is; None is one of ours, known to every organization.
        first_party: it is registered as the organization's own.
        authenticates: it proves who it is when it asks for tokens.
    """

    organization_id: str | None
    first_party: bool
    authenticates: bool


def program_of(client: RegisteredClient | None, organization_id: str) -> str:
    """Return whose a client is to an organization; one that is not registered for it is no :class:`Program`."""
    if client is None or client.organization_id not in (None, organization_id):
        return ""
    return Program.FIRST_PARTY if client.first_party else Program.REGISTERED


def proof_of(client: RegisteredClient | None) -> Proof:
    """Return what says which client it is, when the token is bound to no key."""
    if client is None:
        return Proof.NONE
    return Proof.AUTHENTICATED if client.authenticates else Proof.REGISTERED


@dataclass(frozen=True, slots=True)
class Suspension:
    """Somebody or something was suspended (S-23): ``what`` as in "This key", and the administrator's reason."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a decision rests on. Any text may stand where an enumeration's value is expected.

    Attributes:
        credential: a :class:`Credential`.
        program: a :class:`~keystead.credentials.rules.Program`: whose the client is.
        proof: a :class:`Proof`.
        access: the models of the member's groups; None is every one.
        plan: a :class:`Plan`.
        switches: of the organization.
        suspended: the key, member, service account or client that is, if any.
        terms: those in force that the organization has not accepted, if any.
        may_use_models: the member's role has that right. The gateway knows nobody else's credentials.
        model: what is asked for.
        surface: a :class:`~keystead.wire.surfaces.Surface`, which is always declared only.
    """

    credential: str
    program: str
    proof: str
    access: ModelAccess | Unreadable | None
    plan: str = Plan.METERED
    switches: Switches = NO_SWITCHES
    suspended: Suspension | None = None
    terms: Unaccepted | None = None
    may_use_models: bool = True
    model: str = ""
    surface: str = Surface.UNSAID


@dataclass(frozen=True, slots=True)
class Allow:
    """Go on; ``proof`` says in words how well it is known which client asks."""

    proof: str = ""


@dataclass(frozen=True, slots=True)
class Deny:
    """Go no further.

    Attributes:
        reason: what is so, in one sentence.
        rule: the row that objects.
        model: the model it objects to, or empty.
    """

    reason: str
    rule: "Rule"
    model: str = ""

    @property
    def sentence(self) -> str:
        """What the client is told: what happened, the rule and its source, and what to do instead."""
        if self.rule.is_quoted:
            return self.reason
        cited = f"rule {self.rule.id}; {self.rule.source}, as of {self.rule.dated}"
        return f"{self.reason.rstrip('.')} ({cited}). {self.rule.alternative}"


Decision = Allow | Deny
Objection = Callable[[Facts], str | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """One row.

    Attributes:
        id: stable name, shown to clients and in audit records.
        objects: returns why not, or None.
        alternative: the lawful way.
        source: the document it rests on; ``url`` is where that stands, ``dated`` the day on which it was read.
        status: of the answer.
        is_quoted: the reason alone is the answer, because clients know its words.
    """

    id: str
    objects: Objection = field(repr=False)
    alternative: str
    source: str
    url: str
    dated: str
    status: int = 403
    is_quoted: bool = False


_SIGN_IN_OR_BILL: Final = (
    "Sign in with `keystead login`, use a service account, or ask an administrator to have billed what goes beyond it."
)
_ACCEPT_THERE: Final = "An administrator of your organization accepts them there; if you are one, it is your move."
_DATED: Final = "2026-11-26"
_OURS: Final = ("what your organization has set", "https://www.rfc-editor.org/rfc/rfc6749#section-5.2")
_PUBLISHED: Final = ("the terms that this server's operator has published", _OURS[1])
_SETTINGS: Final = ("Settings reference", "https://code.claude.com/docs/en/settings-reference")


def _unknown(facts: Facts) -> str | None:
    """Object to whatever no rule knows: deny by default."""
    known = (
        ("credential", facts.credential in _CREDENTIALS),
        ("proof of the client", facts.proof in _PROOFS),
        ("plan", facts.plan in _PLANS),
        ("acceptance of terms", isinstance(facts.terms, Unaccepted | None)),
        ("surface", facts.surface in _SURFACES),
    )
    strange = [name for name, is_known in known if not is_known]
    return f"The {strange[0]} is of no kind that this gateway knows." if strange else None


_CREDENTIALS: Final = frozenset(Credential)
_PROGRAMS: Final = frozenset(Program)
_PROOFS: Final = frozenset(Proof)
_PLANS: Final = frozenset(Plan)
_SURFACES: Final = frozenset(Surface)


def _unknown_client(facts: Facts) -> str | None:
    return None if facts.program in _PROGRAMS else "The client that this sign-in is of is not known here yet."


def _uncovered(facts: Facts) -> str | None:
    if facts.switches.baa and not facts.switches.zero_retention:
        return "The organization's business associate agreement covers traffic only while zero data retention is on."
    return None


def _suspended(facts: Facts) -> str | None:
    one = facts.suspended
    return None if one is None else f"{one.what} is suspended: {one.reason.rstrip('.')}."


def _unaccepted(facts: Facts) -> str | None:
    due = facts.terms
    if not isinstance(due, Unaccepted):
        return None
    called = f"the {due.kind} terms {due.version}, in force since {due.since}"
    return f"Your organization has not accepted {called}; they wait at {due.address}."


def _without_right(facts: Facts) -> str | None:
    return None if facts.may_use_models else "Your role may not use models."


def _used_elsewhere(credential: Credential, rule: CredentialRule) -> Objection:
    """Return the objection to a credential in a program where its row does not have it."""

    def objects(facts: Facts) -> str | None:
        if facts.credential != credential or facts.program in rule.programs:
            return None
        return f"{rule.credential[:1].upper()}{rule.credential[1:]} counts only {rule.allowed}."

    return objects


def _only_declared(facts: Facts) -> str | None:
    if not facts.switches.proven_clients or facts.credential != Credential.SIGN_IN or facts.proof in _PROVEN:
        return None
    return "Your organization takes people's sign-ins only from clients that are proven, and this one is declared only."


def _not_individual(facts: Facts) -> str | None:
    if facts.plan == Plan.ALLOWANCE and facts.credential != Credential.SIGN_IN:
        return "Your plan is an allowance, which is for people who are signed in, and this is no sign-in."
    return None


def _key_on_remote_surface(facts: Facts) -> str | None:
    if facts.surface == Surface.REMOTE and facts.credential == Credential.API_KEY:
        return "The client says that it runs remotely, where the sign-in that is stored there counts and no key does."
    return None


def _unreadable(facts: Facts) -> str | None:
    if isinstance(facts.access, Unreadable) or not isinstance(facts.access, ModelAccess | None):
        return (
            "The gateway cannot read which models your organization's policies allow you; try again shortly, and if it "
            "stays so, ask an administrator to look at the policies."
        )
    return None


def _denied_model(facts: Facts) -> str | None:
    access = facts.access
    if isinstance(access, ModelAccess) and access.denies(facts.model):
        return f"{_unlisted(facts.model)}: your organization's deniedModels has it"
    return None


def _unlisted_model(facts: Facts) -> str | None:
    access = facts.access
    allowed = access is None or (isinstance(access, ModelAccess) and access.allows(facts.model))
    return None if allowed else _unlisted(facts.model)


def _unlisted(model: str) -> str:
    return f"model {model} is not in your role's availableModels allowlist"


def _of_organization(id_: str, objects: Objection, alternative: str) -> Rule:
    """Return a row that rests on what an organization's own administrators have set."""
    return Rule(id_, objects, alternative, *_OURS, _DATED)


def _of_settings(id_: str, objects: Objection, status: int) -> Rule:
    """Return a row that rests on managed settings, as the agents' documentation has them."""
    return Rule(id_, objects, "Choose a model that /v1/models lists.", *_SETTINGS, _DATED, status, is_quoted=True)


def _of_credentials(rule: CredentialRule, objects: Objection) -> Rule:
    """Return a row that rests on the table of credentials."""
    return Rule(rule.id, objects, rule.alternative, rule.source, rule.url, rule.dated)


_OF_CALLER: Final[Sequence[Rule]] = (
    _of_organization("unknown-fact", _unknown, "Use a sign-in or an API key of a kind that this gateway knows."),
    _of_organization("baa", _uncovered, "An administrator switches zero data retention on, or the agreement off."),
    _of_organization("suspended", _suspended, "Ask an administrator of your organization to lift the suspension."),
    Rule("terms", _unaccepted, _ACCEPT_THERE, *_PUBLISHED, _DATED),
    replace(_of_organization("unknown-client", _unknown_client, "Try again shortly, or sign in again."), status=503),
    _of_organization("role", _without_right, "Ask an administrator for a role that may use models."),
    *(_of_credentials(rule, _used_elsewhere(kind, rule)) for kind, rule in USES.items()),
    _of_organization("proven-clients", _only_declared, "Sign in with a client that supports DPoP, or use an API key."),
    replace(_of_credentials(INDIVIDUAL_USE, _not_individual), alternative=_SIGN_IN_OR_BILL),
    _of_settings("models-unreadable", _unreadable, 503),
)
"""What the caller's own facts decide, whatever is asked for; in this order."""

_OF_REQUEST: Final[Sequence[Rule]] = (
    _of_organization("unknown-surface", _unknown, "Declare the surface local or remote, or declare none."),
    _of_organization("remote-surface", _key_on_remote_surface, "Sign in there with `keystead login`."),
    _of_settings("denied-models", _denied_model, 400),
    _of_settings("available-models", _unlisted_model, 400),
)
"""What a request's model and surface decide; in this order, after the others."""

RULES: Final = (*_OF_CALLER, *_OF_REQUEST)


class Permit:
    """What one caller's facts decide, and what is left to look at for each request.

    Args:
        facts: the caller's; their model and surface do not count.

    Attributes:
        denied: why nothing of theirs goes on, or None.
        access: the models that they may use; None is every one.
        zero_retention: nothing of theirs may be kept.
    """

    __slots__ = ("_facts", "access", "denied", "zero_retention")

    def __init__(self, facts: Facts) -> None:
        self._facts = replace(facts, model="", surface=Surface.UNSAID)
        self.denied = _first(_OF_CALLER, self._facts)
        self.access = facts.access if isinstance(facts.access, ModelAccess) else None
        self.zero_retention = facts.switches.zero_retention

    def refuses(self, model: str, surface: str = Surface.UNSAID) -> Deny | None:
        """Return why this request does not go on, or None when it may."""
        if self.denied is None and not surface and (self.access is None or self.access.allows(model)):
            return None
        return self.denied or _first(_OF_REQUEST, replace(self._facts, model=model, surface=surface))

    @property
    def proof(self) -> str:
        """How well it is known which client asks, in words."""
        return PROOFS.get(Proof(self._facts.proof), "") if self._facts.proof in _PROOFS else ""


def _first(rules: Sequence[Rule], facts: Facts) -> Deny | None:
    for rule in rules:
        reason = rule.objects(facts)
        if reason is not None:
            return Deny(reason, rule, facts.model)
    return None


def decide(facts: Facts) -> Decision:
    """Return whether the request that the facts describe may go on. Pure and total."""
    permit = Permit(facts)
    return permit.refuses(facts.model, facts.surface) or Allow(permit.proof)
