"""The legal wall: who may use which credential where, as one dated and cited table (S-20).

Client and server read the same rows. A credential is classified by *where it came from*, never by its prefix
alone: workload-identity tokens share a prefix with subscription tokens.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from keystead.errors import Move, PolicyDenied


class Program(StrEnum):
    """Whose a program is, as far as the rules tell them apart."""

    VENDOR = "vendor"
    """The product of the vendor that gave the credential out."""
    FIRST_PARTY = "first_party"
    """A client that an organization registered as its own."""
    REGISTERED = "registered"
    """Another client of the registry."""
    OTHER = "other"
    """Any other one: it signed in through no client, and shows a key."""


EVERY_PROGRAM: Final = frozenset(Program)


@dataclass(frozen=True, slots=True)
class CredentialRule:
    """One row: a class of credential and what may be done with it.

    Attributes:
        id: stable name, shown in errors and audit records.
        credential: the class of credential.
        allowed: where it may be used.
        denied: what Keystead therefore never does with it; empty when there is nothing to deny.
        alternative: what to use instead.
        programs: the same as :attr:`allowed`, for a server to hold.
        source: the document and its section.
        url: where the document stands.
        dated: the day on which the document was read, ISO 8601.
    """

    id: str
    credential: str
    allowed: str
    denied: str
    alternative: str
    source: str
    url: str
    dated: str
    programs: frozenset[Program] = frozenset()


_SOURCE: Final = "Legal and compliance, section Authentication and credential use"
_URL: Final = "https://code.claude.com/docs/en/legal-and-compliance"
_DATED: Final = "2026-11-21"

VENDOR_SUBSCRIPTION: Final = CredentialRule(
    id="vendor-subscription-token",
    credential="OAuth token of a vendor's Free, Pro or Max plan",
    allowed="only in that vendor's own products",
    denied="a vendor's subscription token may not be used, copied, renewed, stored or relayed by another product",
    alternative="Use an API key from the vendor's console in ANTHROPIC_API_KEY, a cloud provider, or `keystead login`.",
    source=_SOURCE,
    url=_URL,
    dated=_DATED,
    programs=frozenset({Program.VENDOR}),
)

_SUBSCRIPTION_PREFIX: Final = "sk-ant-oat"

PERSON_SIGN_IN: Final = CredentialRule(
    id="person-sign-in",
    credential="a person's sign-in at a Keystead server",
    allowed="in clients that its organization registered as first-party",
    denied="another program may not use models in the name of a person",
    alternative="Give the program an API key or a service account, or register it as your organization's own.",
    source=_SOURCE,
    url=_URL,
    dated=_DATED,
    programs=frozenset({Program.FIRST_PARTY}),
)

OWN_API_KEY: Final = CredentialRule(
    id="own-api-key",
    credential="an API key issued by a Keystead server",
    allowed="in any product, at the server that issued it, with no right that its owner lacks",
    denied="",
    alternative="Create an API key in the console of the server that you ask.",
    source="Keystead, docs/threats.md",
    url="https://www.rfc-editor.org/rfc/rfc9700",
    dated=_DATED,
    programs=EVERY_PROGRAM,
)

OWN_SERVICE_TOKEN: Final = CredentialRule(
    id="own-service-token",
    credential="a service account's token issued by a Keystead server",
    allowed="in clients that are registered at the server that issued it",
    denied="a service account's token is not taken from a client that nobody registered",
    alternative="Register the client, or exchange a workload's own identity token.",
    source="Keystead, docs/threats.md",
    url="https://www.rfc-editor.org/rfc/rfc9700",
    dated=_DATED,
    programs=frozenset({Program.FIRST_PARTY, Program.REGISTERED}),
)

INDIVIDUAL_USE: Final = CredentialRule(
    id="individual-use",
    credential="the allowance of a flat-rate plan",
    allowed="for the ordinary, individual use of people who are signed in",
    denied="a program in its own name does not draw on people's allowance",
    alternative="Use an API key or service account of an organization that pays by use.",
    source=_SOURCE,
    url=_URL,
    dated=_DATED,
    programs=frozenset({Program.VENDOR, Program.FIRST_PARTY}),
)

RULES: Final = (
    VENDOR_SUBSCRIPTION,
    PERSON_SIGN_IN,
    CredentialRule(
        id="vendor-login",
        credential="sign-in page of a vendor's consumer plan",
        allowed="only in that vendor's own products",
        denied="another product may not offer a vendor's login",
        alternative="Sign in to your own Keystead server with `keystead login`.",
        source=_SOURCE,
        url=_URL,
        dated=_DATED,
        programs=frozenset({Program.VENDOR}),
    ),
    CredentialRule(
        id="console-api-key",
        credential="API key from a vendor's console",
        allowed="in any product, under the vendor's commercial terms",
        denied="",
        alternative="",
        source=_SOURCE,
        url=_URL,
        dated=_DATED,
        programs=EVERY_PROGRAM,
    ),
    CredentialRule(
        id="cloud-provider",
        credential="credential of a supported cloud provider",
        allowed="in any product, at that cloud, under its terms",
        denied="",
        alternative="",
        source=_SOURCE,
        url=_URL,
        dated=_DATED,
        programs=EVERY_PROGRAM,
    ),
    CredentialRule(
        id="workload-identity",
        credential="short-lived token for a workload's own identity, under a federation rule of who pays",
        allowed="in any product, at the vendor's API, as that organization's service account",
        denied="",
        alternative="",
        source="Workload Identity Federation",
        url="https://platform.claude.com/docs/en/manage-claude/workload-identity-federation",
        dated=_DATED,
        programs=EVERY_PROGRAM,
    ),
    OWN_API_KEY,
    OWN_SERVICE_TOKEN,
    INDIVIDUAL_USE,
)


def is_vendor_subscription(value: str) -> bool:
    """Return whether a value that was given as an API key or token of one's own is an OAuth token of the vendor.

    Where such a value is entered by hand there is nothing else it could be: a workload's token is fetched, never typed.
    """
    return value.startswith(_SUBSCRIPTION_PREFIX)


def refusal(rule: CredentialRule, thing: str, *, alternative: str | None = None, move: Move = "you") -> PolicyDenied:
    """Return the error that refuses ``thing`` (such as a variable's name) under ``rule``.

    Args:
        rule: the row that says no.
        thing: what is refused, by name.
        alternative: the lawful way in this place, where it is not the rule's own sentence.
        move: whose turn it is.
    """
    return PolicyDenied(
        f"{thing} is not used: {rule.denied} (rule {rule.id}; {rule.source}, {rule.url}, as of {rule.dated}).",
        hint=alternative or rule.alternative,
        move=move,
    )
