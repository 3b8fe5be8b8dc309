"""An assertion is taken once."""

import hashlib
from datetime import datetime

from django.db import IntegrityError, transaction

from keystead.server.sso.faults import untrusted
from keystead.server.sso.models import Connection, SeenAssertion


def take(connection: Connection, assertion_id: str, ends: datetime, now: datetime) -> None:
    """Remember the assertion until it has expired; of many at once exactly one passes.

    Raises:
        SignInFault: it was taken before.
    """
    digest = hashlib.sha256(f"{connection.wire_id} {assertion_id}".encode()).digest()
    try:
        with transaction.atomic():
            SeenAssertion.objects.filter(expires_at__lt=now).delete()
            SeenAssertion.objects.create(digest=digest, expires_at=ends)
    except IntegrityError as error:
        raise untrusted("replay", "This assertion was used before.") from error
