"""Whether whoever a sign-in belongs to may still act; asked whenever a token is made or shown."""

from django.db.models import Q

from keystead.server.authorization.models import Grant
from keystead.server.organizations import memberships

LOST = memberships.lost("membership__") | Q(service_account__disabled_at__isnull=False)
"""The same question asked of the database: the sign-ins whose owner may act no more."""


def holds(grant: Grant) -> bool:
    """Return whether the membership still carries the sign-in, or the service account is not disabled."""
    if grant.membership is not None:
        return memberships.holds(grant.membership, grant.created_at)
    return grant.service_account is not None and grant.service_account.disabled_at is None
