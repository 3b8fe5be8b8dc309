"""Whether whoever a sign-in belongs to may still act; asked whenever a token is made or shown."""

from django.db.models import Q

from keystead.server.authorization.models import Grant

LOST = Q(membership__person__is_active=False) | Q(service_account__disabled_at__isnull=False)
"""The same question asked of the database: the sign-ins whose owner may act no more."""


def holds(grant: Grant) -> bool:
    """Return whether the person's account is active, or the service account not disabled."""
    if grant.membership is not None:
        return grant.membership.person.is_active
    return grant.service_account is not None and grant.service_account.disabled_at is None
