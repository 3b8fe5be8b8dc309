"""Who may change what: people whose organization looks after their account change it there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from keystead.errors import PolicyDenied
from keystead.server.identity.models import Person
from keystead.server.scim.models import ScimToken, ScimUser
from keystead.server.sso import domains
from keystead.server.sso.adapter import must_use_it


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why somebody does not change something here, and where they do."""

    applies: Callable[[Person], bool]
    sentence: str
    hint: str


def _is_provisioned(person: Person) -> bool:
    """Whether an identity provider manages the account by SCIM: it is shown there, and the door is open."""
    live = ScimToken.objects.filter(ended_at=None).values("organization")
    shown = ScimUser.objects.filter(membership__person=person, user_name__isnull=False, organization__in=live)
    return shown.exists()


NO_PASSWORD: Final = Obstacle(
    lambda person: not person.has_usable_password(),
    "You have no password here: you sign in through your organization.",
    "Change it at your organization's identity provider.",
)
REQUIRED: Final = Obstacle(
    must_use_it, "Your organization requires single sign-on.", "Change it at your organization's identity provider."
)
PROVISIONED: Final = Obstacle(
    _is_provisioned,
    "Your organization's identity provider looks after your account (SCIM), and says what your address is.",
    "Ask whoever manages people there to change it.",
)

PASSWORD: Final = (NO_PASSWORD, REQUIRED)
ADDRESS: Final = (PROVISIONED, NO_PASSWORD, REQUIRED)


def obstacle(person: Person, table: tuple[Obstacle, ...]) -> Obstacle | None:
    """Return the first of ``table`` that applies to the person, or None."""
    return next((one for one in table if one.applies(person)), None)


def require(person: Person, table: tuple[Obstacle, ...]) -> None:
    """Check that none of ``table`` applies.

    Raises:
        PolicyDenied: one does.
    """
    found = obstacle(person, table)
    if found is not None:
        raise PolicyDenied(found.sentence, hint=found.hint)


def leaves_its_domain(person: Person, email: str) -> bool:
    """Return whether ``email`` leads out of a domain that an organization of the person's has proven to be its own.

    Policies and the duty of single sign-on go by the domain, so nobody walks out of them here.
    """
    before, after = domains.of_address(person.email), domains.of_address(email)
    owner = domains.owner(before)
    return before != after and owner is not None and person.memberships.filter(organization=owner.organization).exists()
