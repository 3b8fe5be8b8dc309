"""Whether a person may still act for an organization; asked whenever a token is made or shown."""

from keystead.server.organizations.models import Membership


def holds(membership: Membership) -> bool:
    """Return whether the member's account is active."""
    return membership.person.is_active
