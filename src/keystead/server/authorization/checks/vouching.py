"""Whether the identity provider of a person still vouches for them, asked before a refresh.

The question goes over the network, so it comes before the transaction that rotates the token: nothing is locked while
somebody else thinks.
"""

from typing import Final

from django.db.models import BinaryField, DateTimeField, Exists, F, OuterRef

from keystead.errors import ServerUnreachable
from keystead.server.audit import operations as audit
from keystead.server.authorization import sign_ins
from keystead.server.authorization.grants.question import Question
from keystead.server.authorization.models import Grant
from keystead.server.authorization.refusals import Refusal, refused_refresh
from keystead.server.authorization.surroundings import issuer, server
from keystead.server.sso import standing
from keystead.server.sso.models import Identity
from keystead.server.sso.network import sender
from keystead.server.sso.standing import Asking
from keystead.server.statements import Parameter, Prepared
from keystead.wire import tokens

DEADLINE = 4.0
"""Seconds; the client waits for its tokens."""
_VOUCHED: Final = Prepared(
    lambda: Grant.objects.filter(
        refresh_tokens__digest=Parameter("digest", BinaryField()),
        refresh_tokens__used_at=None,
        refresh_tokens__expires_at__gt=Parameter("now", DateTimeField()),
        revoked_at=None,
        membership__person__identities__connection__organization=F("organization"),
    ).select_related("membership__person", "organization", "client")
)


def vouched_for(grant: str) -> Exists:
    """Return the question whether the person of a sign-in came through a connection; ``grant`` leads to the sign-in."""
    person, organization = OuterRef(f"{grant}__membership__person_id"), OuterRef(f"{grant}__organization_id")
    return Exists(Identity.objects.filter(person=person, connection__organization=organization))


def hold(question: Question) -> Question:
    """Check a refresh, and return the question as it is; every other grant begins with the person at a browser.

    A question that is to be answered at once is not asked here: its grant looks at :func:`vouched_for`, and hands back
    what would have to wait.

    Raises:
        Refusal: 401 ``invalid_grant`` when the person is no longer welcome, and the sign-in has been ended; 503 when
            the identity provider has been silent for too long, and nothing has been ended.
    """
    grant = None if question.at_once else _live_grant(question)
    if grant is None or grant.membership is None:
        return question
    asking = Asking(sender(server(), DEADLINE), issuer(), question.now)
    try:
        standing.confirm(grant.membership, grant.created_at, asking)
    except standing.Ended as ended:
        sign_ins.end(grant, audit.SYSTEM, "no_longer_vouched_for", question.now)
        raise refused_refresh(str(ended)) from ended
    except ServerUnreachable as silence:
        raise Refusal("temporarily_unavailable", "The identity provider does not answer. Try again.", 503) from silence
    return question


def _live_grant(question: Question) -> Grant | None:
    """Return the sign-in of a current refresh token whose person came through a connection of its organization.

    One question to the database, since every refresh asks it; whatever else is sent is refused without asking anybody.
    """
    digest = tokens.digest(question.parameters.get("refresh_token", ""))
    grant = _VOUCHED.first(digest=digest, now=question.now)
    return None if grant is None or question.is_by_another_than(grant.client) else grant
