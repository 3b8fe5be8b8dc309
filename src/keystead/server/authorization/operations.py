"""What other floors ask of the authorization server: whose token this is, and which sign-ins have ended."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from django.db.models import Q
from joserfc.jwk import ECKey

from keystead.server.authorization import access_tokens, keys, lifetimes, sign_ins
from keystead.server.authorization.access_tokens import Claims
from keystead.server.authorization.checks import scopes, standing
from keystead.server.authorization.models import AuthMethod, Client, Grant, RefreshToken
from keystead.server.authorization.surroundings import server
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.policy.decide import RegisteredClient
from keystead.wire import ids, tokens
from keystead.wire.tokens import TokenKind


def verification_keys(now: float) -> dict[str, ECKey]:
    """Return the published public keys by ``kid``; told anew by a change of the subject ``signing_key``."""
    return keys.published(datetime.fromtimestamp(now, UTC))


def make_signing_key(now: float) -> None:
    """Make the installation's first signing key if there is none, in a transaction of its own."""
    keys.signing_key(datetime.fromtimestamp(now, UTC))


def verify_access_token(token: str, now: float, public_keys: Mapping[str, ECKey]) -> Principal | None:
    """Return whose access token this is, when it may be used for models; else None. Reads no database.

    Signature, algorithm, type, issuer, audience and time are checked; whether the sign-in has ended meanwhile is
    :func:`grant_is_live`, which needs the database.

    Args:
        token: as it came in the header.
        now: Unix seconds.
        public_keys: as :func:`verification_keys` gave them.
    """
    claims = access_tokens.verify(token, now, lambda kid, _: public_keys.get(kid))
    if claims is None or scopes.MODELS_USE not in claims.scope.split():
        return None
    return Principal(
        kind=PrincipalKind.SESSION,
        id=claims.grant_id,
        organization_id=claims.organization_id,
        workspace_id=claims.workspace_id,
        member_id=claims.membership_id,
        service_account_id=claims.service_account_id,
        client_id=claims.client_id,
        expires_at=claims.expires_at + lifetimes.LEEWAY,
        key_thumbprint=claims.key_thumbprint,
    )


def revoked_grants(now: float) -> set[str]:
    """Return the sign-ins that have ended while an access token of theirs may still be in time.

    A sign-in ends by revocation, and also when whoever is behind it may no longer act.
    """
    moment = datetime.fromtimestamp(now, UTC)
    oldest = moment - timedelta(seconds=server().access_token_seconds + lifetimes.LEEWAY)
    ended = Q(revoked_at__gt=oldest) | (Q(revoked_at=None, expires_at__gt=oldest) & standing.LOST)
    return {ids.dump("grant", grant_id) for grant_id in Grant.objects.filter(ended).values_list("id", flat=True)}


def grant_is_live(grant_id: str) -> bool:
    """Return whether the sign-in ``gra_…`` exists, was not ended, and whose it is may still act."""
    grant = sign_ins.of_wire_id(grant_id)
    return grant is not None and grant.revoked_at is None and standing.holds(grant)


def grant_of_access_token(token: str, now: datetime) -> tuple[Grant, Claims] | None:
    """Return the live sign-in an access token belongs to, and what the token says, or None.

    Whether a token that is bound to a key came with a proof of it is the caller's to check.
    """
    claims = access_tokens.verify(token, now.timestamp())
    grant = None if claims is None else sign_ins.of_wire_id(claims.grant_id)
    if claims is None or grant is None or grant.revoked_at is not None or not standing.holds(grant):
        return None
    return grant, claims


def revoke_token(token: str, client: Client | None, now: datetime) -> None:
    """End the sign-in that a refresh token, an access token or a ticket belongs to (RFC 7009).

    An unknown token is not an error: it grants nothing already. Neither is another client's: it stays as it is.
    So does a confidential client's when the request names nobody.
    """
    grant = _grant_of(token, now)
    if grant is not None and client == (grant.client if client or grant.client.is_confidential else None):
        sign_ins.end(grant, grant.subject_id, sign_ins.SIGNED_OUT, now)


def _grant_of(token: str, now: datetime) -> Grant | None:
    kind = tokens.parse(token)
    if kind is TokenKind.REVOCATION_TICKET:
        return Grant.objects.select_related("client", "organization").filter(ticket_digest=tokens.digest(token)).first()
    if kind is TokenKind.REFRESH_TOKEN:
        found = RefreshToken.objects.filter(digest=tokens.digest(token)).first()
        return None if found is None else sign_ins.of_wire_id(ids.dump("grant", found.grant_id))
    claims = access_tokens.verify(token, now.timestamp())
    return None if claims is None else sign_ins.of_wire_id(claims.grant_id)


def client_facts(wire_id: str | None = None) -> Iterator[tuple[str, RegisteredClient]]:
    """Yield the OAuth name of each client, or of one, with what a decision at the gateway needs of it."""
    clients = Client.objects.all() if wire_id is None else Client.objects.filter(pk=ids.parse("client", wire_id))
    rows = clients.values_list("client_id", "organization_id", "first_party", "auth_method")
    for name, organization, first_party, method in rows.iterator():
        owner = None if organization is None else ids.dump("organization", organization)
        yield name, RegisteredClient(owner, first_party, method != AuthMethod.NONE)
