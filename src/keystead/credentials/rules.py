"""The legal wall: who may use which credential where, as one dated and cited table (S-20).

Client and server read the same rows. A credential is classified by *where it came from*, never by its prefix
alone: workload-identity tokens share a prefix with subscription tokens.
"""

from dataclasses import dataclass
from typing import Final

from keystead.errors import Move, PolicyDenied


@dataclass(frozen=True, slots=True)
class CredentialRule:
    """One row: a class of credential and what may be done with it.

    Attributes:
        id: stable name, shown in errors and audit records.
        credential: the class of credential.
        allowed: where it may be used.
        denied: what Keystead therefore never does with it; empty when there is nothing to deny.
        alternative: what to use instead.
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
    ),
    CredentialRule(
        id="own-issuer",
        credential="token or key issued by a Keystead server",
        allowed="at the server that issued it, by the clients registered there",
        denied="",
        alternative="",
        source="Keystead, docs/threats.md",
        url="https://www.rfc-editor.org/rfc/rfc9700",
        dated=_DATED,
    ),
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
