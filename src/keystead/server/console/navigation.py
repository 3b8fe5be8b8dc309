"""What the header offers to whom: one row for each page of administration."""

from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from keystead.server.identity.models import Person
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.roles import Permission

ADMINISTRATION: Final = (
    ("members", "Members", Permission.MEMBERS_READ),
    ("groups", "Groups", Permission.MEMBERS_READ),
    ("connections", "Sign-on", Permission.SSO_MANAGE),
    ("provisioning", "Provisioning", Permission.SCIM_MANAGE),
    ("policies", "Policies", Permission.POLICIES_MANAGE),
    ("upstreams", "Upstreams", Permission.UPSTREAMS_MANAGE),
    ("limits", "Limits", Permission.LIMITS_MANAGE),
    ("workloads", "Workloads", Permission.FEDERATION_MANAGE),
    ("clients", "Clients", Permission.CLIENTS_MANAGE),
    ("compliance", "Data", Permission.COMPLIANCE_MANAGE),
    ("terms", "Terms", Permission.TERMS_ACCEPT),
)
"""Name of the address, what the link says, and the right without which it is not offered."""


@dataclass(frozen=True, slots=True)
class Link:
    """One page of administration."""

    address: str
    label: str


@dataclass(frozen=True, slots=True)
class Section:
    """The pages of administration that somebody may see.

    Attributes:
        is_here: the page being looked at is one of them, or below one.
    """

    links: tuple[Link, ...]
    is_here: bool

    def __bool__(self) -> bool:
        """Return whether there is anything to offer."""
        return bool(self.links)


def administration(request: HttpRequest) -> dict[str, Any]:
    """Give every template its ``administration``; the database is asked only where a page shows it."""
    return {"administration": SimpleLazyObject(lambda: _section(request))}


def _section(request: HttpRequest) -> Section:
    user = getattr(request, "user", None)
    member = organizations.membership_of(user) if isinstance(user, Person) else None
    if member is None:
        return Section((), is_here=False)
    allowed = [row for row in ADMINISTRATION if organizations.may(member, row[2])]
    links = tuple(Link(reverse(name), label) for name, label, _ in allowed)
    return Section(links, is_here=any(f"{request.path}/".startswith(f"{link.address}/") for link in links))
