"""The client registry: which programs an organization has let in, and what each of them may do (S-20)."""

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import Q, QuerySet

from keystead.credentials.rules import PERSON_SIGN_IN, refusal
from keystead.errors import KeysteadError, PolicyDenied, UsageError
from keystead.secret import Secret
from keystead.server import assertions, outbound
from keystead.server.audit import operations as audit
from keystead.server.authorization import sign_ins
from keystead.server.authorization.checks import redirects, scopes
from keystead.server.authorization.models import AuthMethod, Client, ClientSecret, Grant, RegistrationToken
from keystead.server.changes import CHANGES, Change
from keystead.server.identifiers import new_id
from keystead.server.keys.models import ServiceAccount
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership, Organization
from keystead.server.organizations.roles import Permission
from keystead.wire import ids, tokens
from keystead.wire.oauth import DEVICE_CODE_GRANT, JWT_BEARER_GRANT, TOKEN_EXCHANGE_GRANT
from keystead.wire.tokens import TokenKind

RandomBytes = Callable[[int], bytes]

OVERLAP: Final = timedelta(days=7)
"""A secret that was replaced works this long, so that nothing stops while the new one is brought to its place."""
FOR_PEOPLE: Final = frozenset({"authorization_code", DEVICE_CODE_GRANT, "refresh_token"})
"""Grants that end in a person's sign-in."""
GRANTS: Final = {
    "authorization_code": "Sign a person in with a browser",
    DEVICE_CODE_GRANT: "Sign a person in with a device code",
    "refresh_token": "Keep a person signed in",
    "client_credentials": "Ask in its own name, for a service account",
    JWT_BEARER_GRANT: "Exchange identity tokens of workloads",
    TOKEN_EXCHANGE_GRANT: "Act for people who are signed in to another program",
}
"""What a client may be registered for, in words."""
_KEY_MEMBERS: Final = frozenset({"kty", "kid", "use", "alg", "crv", "x", "y", "n", "e"})


@dataclass(frozen=True, slots=True)
class Registration:
    """What a client is to be; the names are those of RFC 7591 section 2.

    Attributes:
        jwks: its public keys, for ``private_key_jwt``.
        service_account: whom it stands for with ``client_credentials``.
        may_act_for: names of the clients whose people it may act for, with token exchange.
        require_pushed_requests: it must hand its authorization requests in itself (RFC 9126).
        dpop_bound: it must sign its token requests, so that its tokens are bound to its key (RFC 9449).
        registration_token: with which it registers itself, if it does; ``registration_access_digest`` is of the token
            with which it manages that later.
        backchannel_logout_uri: where it is told of ended sign-ins (OpenID Connect Back-Channel Logout 1.0).
    """

    name: str
    auth_method: AuthMethod
    grant_types: Sequence[str]
    redirect_uris: Sequence[str] = ()
    scope: str = "openid profile email offline_access"
    jwks: dict[str, Any] | None = None
    first_party: bool = False
    service_account: ServiceAccount | None = None
    may_act_for: Sequence[str] = ()
    require_pushed_requests: bool = False
    dpop_bound: bool = False
    registration_token: RegistrationToken | None = None
    registration_access_digest: bytes | None = None
    backchannel_logout_uri: str = ""
    backchannel_logout_session_required: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """What will not do in a registration.

    Attributes:
        field: its name in RFC 7591 section 2.
        error: what a person is told.
    """

    field: str
    error: KeysteadError


def register(
    member: Membership, wanted: Registration, now: datetime, random_bytes: RandomBytes
) -> tuple[Client, Secret | None]:
    """Store a client of the member's organization.

    Returns:
        The client, and its secret if it has one, which exists nowhere else: show it once.

    Raises:
        PolicyDenied: the member may not, or the client may not do what is wanted for it (S-20).
        UsageError: something in it will not do.
    """
    organizations.require(member, Permission.CLIENTS_MANAGE, "register clients")
    try:
        with transaction.atomic():
            client, secret = store(member.organization, wanted, now, random_bytes)
            _record(client, _actor(member), "client:create", now)
    except PolicyDenied:
        _record_refusal(member, wanted, now)
        raise
    return client, secret


def _record_refusal(member: Membership, wanted: Registration, now: datetime) -> None:
    """Keep that somebody asked for what the wall forbids (S-20)."""
    audit.record(
        organization=member.organization,
        actor=_actor(member),
        action="client:refuse",
        target=_actor(member),
        at=now,
        details={"name": wanted.name[:200], "scope": wanted.scope[:500], "rule": PERSON_SIGN_IN.id},
    )


def register_itself(
    token: RegistrationToken, wanted: Registration, now: datetime, random_bytes: RandomBytes
) -> tuple[Client, Secret | None]:
    """Store a client that registers itself; call it inside the transaction that uses its token up.

    Raises:
        PolicyDenied: the client may not do what is wanted for it (S-20).
        UsageError: something in it will not do.
    """
    wanted = replace(wanted, first_party=False, may_act_for=(), registration_token=token)
    client, secret = store(token.organization, wanted, now, random_bytes)
    _record(client, token.wire_id, "client:create", now)
    return client, secret


def fault(organization: Organization, wanted: Registration, *, only: Container[str] | None = None) -> Fault | None:
    """Return the first thing in a registration that will not do, or None.

    Args:
        organization: whose client it is to be.
        wanted: what it is to be.
        only: the fields to look at, when not all of them are known yet.
    """
    for field, check in _CHECKS:
        if only is not None and field not in only:
            continue
        try:
            check(organization, wanted)
        except KeysteadError as error:
            return Fault(field, error)
    return None


def store(
    organization: Organization, wanted: Registration, now: datetime, random_bytes: RandomBytes
) -> tuple[Client, Secret | None]:
    """Check and store a client; call it inside a transaction that also writes an audit event.

    Raises:
        PolicyDenied: the client may not do what is wanted for it (S-20).
        UsageError: something in it will not do.
    """
    found = fault(organization, wanted)
    if found is not None:
        raise found.error
    key = new_id()
    client = Client.objects.create(
        id=key,
        client_id=ids.dump("client", key),
        organization=organization,
        name=wanted.name.strip(),
        first_party=wanted.first_party,
        auth_method=wanted.auth_method.value,
        jwks=None if wanted.jwks is None else {"keys": [_kept(one) for one in assertions.public_keys(wanted.jwks)]},
        redirect_uris=list(wanted.redirect_uris),
        grant_types=list(wanted.grant_types),
        scope=" ".join(wanted.scope.split()),
        service_account=wanted.service_account,
        may_act_for=list(wanted.may_act_for),
        require_pushed_requests=wanted.require_pushed_requests,
        dpop_bound=wanted.dpop_bound,
        registration_token=wanted.registration_token,
        registration_access_digest=wanted.registration_access_digest,
        backchannel_logout_uri=wanted.backchannel_logout_uri,
        backchannel_logout_session_required=wanted.backchannel_logout_session_required,
        created_at=now,
    )
    has_secret = wanted.auth_method in {AuthMethod.CLIENT_SECRET_BASIC, AuthMethod.CLIENT_SECRET_POST}
    return client, _new_secret(client, now, random_bytes) if has_secret else None


def _kept(key: dict[str, Any]) -> dict[str, str]:
    """Return the members of a public key that verifying looks at; whatever else was sent is nobody's to keep."""
    return {name: value for name, value in key.items() if name in _KEY_MEMBERS and isinstance(value, str)}


def _known_here(organization: Organization) -> Iterable[str]:
    known = Client.objects.filter(Q(organization=organization) | Q(organization=None))
    return known.values_list("client_id", flat=True)


def _new_secret(client: Client, now: datetime, random_bytes: RandomBytes) -> Secret:
    secret = tokens.mint(TokenKind.CLIENT_SECRET, random_bytes)
    ClientSecret.objects.create(digest=tokens.digest(secret), client=client, hint=secret[:8], created_at=now)
    return Secret(secret)


def live_secrets(client: Client, now: datetime) -> QuerySet[ClientSecret]:
    """Return the secrets that work now, the newest first: one, or two while they are changed."""
    return client.secrets.filter(Q(expires_at=None) | Q(expires_at__gt=now)).order_by("-created_at")


def rotate_secret(client: Client, by: Membership, now: datetime, random_bytes: RandomBytes) -> Secret:
    """Give a client a new secret; the one before works for :data:`OVERLAP` more, older ones end at once.

    Raises:
        PolicyDenied: the member may not.
        UsageError: the client has no secrets.
    """
    _require_owner(client, by)
    if client.auth_method not in {AuthMethod.CLIENT_SECRET_BASIC, AuthMethod.CLIENT_SECRET_POST}:
        raise UsageError(f"{client.name} has no secret.", hint="Register a client that authenticates with one.")
    with transaction.atomic():
        live_secrets(client, now).filter(expires_at__gt=now).update(expires_at=now)
        live_secrets(client, now).update(expires_at=now + OVERLAP)
        secret = _new_secret(client, now, random_bytes)
        _record(client, _actor(by), "client:rotate_secret", now)
    return secret


def end_replaced_secret(client: Client, by: Membership, now: datetime) -> bool:
    """End the secret that was replaced before its time; returns whether there was one."""
    _require_owner(client, by)
    with transaction.atomic():
        if not live_secrets(client, now).filter(expires_at__gt=now).update(expires_at=now):
            return False
        _record(client, _actor(by), "client:end_secret", now)
    return True


def disable(client: Client, by: Membership, now: datetime) -> bool:
    """Let a client in no more, and end every sign-in it holds; returns False when it was disabled before.

    Raises:
        PolicyDenied: the member may not.
    """
    _require_owner(client, by)
    return _disable(client, _actor(by), now)


def deregister_itself(client: Client, now: datetime) -> bool:
    """Disable a client that asks for its own end; returns False when it was disabled before."""
    return _disable(client, client.wire_id, now)


def _disable(client: Client, actor: str, now: datetime) -> bool:
    with transaction.atomic():
        if not Client.objects.filter(pk=client.pk, disabled_at=None).update(disabled_at=now):
            return False
        _record(client, actor, "client:disable", now)
        live = Grant.objects.filter(client=client, revoked_at=None, expires_at__gt=now).select_related("organization")
        for grant in live:
            sign_ins.end(grant, actor, "client_disabled", now)
    return True


def list_for(member: Membership) -> QuerySet[Client]:
    """Return the clients of the member's organization, newest first, for those who may manage them."""
    if not organizations.may(member, Permission.CLIENTS_MANAGE):
        return Client.objects.none()
    mine = Client.objects.filter(organization=member.organization_id)
    return mine.select_related("registration_token").order_by("-created_at", "-id")


def may_be_acted_for(member: Membership) -> QuerySet[Client]:
    """Return the clients whose people another one may act for: ours, and the organization's own."""
    known = Q(organization=member.organization_id) | Q(organization=None)
    return Client.objects.filter(known, disabled_at=None).order_by("name")


def find(member: Membership, client_id: str) -> Client | None:
    """Return the client of that name if the member may manage it."""
    return list_for(member).filter(client_id=client_id).first()


def _require_owner(client: Client, by: Membership) -> None:
    organizations.require(by, Permission.CLIENTS_MANAGE, "change clients")
    if client.organization_id != by.organization_id:
        raise PolicyDenied("That client belongs to another organization.", hint="Ask an administrator of theirs.")


def _actor(member: Membership) -> str:
    return ids.dump("membership", member.id)


def _record(client: Client, actor: str, action: str, now: datetime) -> None:
    """Write the audit event, and tell whoever remembers the client once the change is committed."""
    audit.record(
        organization=client.organization,
        actor=actor,
        action=action,
        target=client.wire_id,
        at=now,
        details={"name": client.name, "auth_method": client.auth_method, "first_party": client.first_party},
    )
    transaction.on_commit(partial(CHANGES.publish, Change("client", client.wire_id)))


def _check_name(_organization: Organization, wanted: Registration) -> None:
    name = wanted.name.strip()
    if not name or len(name) > 200 or not name.isprintable():
        raise UsageError("A client needs a name of 1 to 200 printable characters.", hint="People see it when asked.")


def _check_grants(_organization: Organization, wanted: Registration) -> None:
    if not wanted.grant_types or not set(wanted.grant_types) <= GRANTS.keys():
        raise UsageError("A client needs at least one of the grants there are.", hint=f"They are: {', '.join(GRANTS)}.")


def _check_redirects(_organization: Organization, wanted: Registration) -> None:
    needed = "authorization_code" in wanted.grant_types
    if needed != bool(wanted.redirect_uris):
        raise UsageError(
            "Signing in with a browser needs a redirect address, and nothing else may have one.",
            hint="Enter the address that the program listens on, such as https://app.example.com/callback.",
        )
    for uri in wanted.redirect_uris:
        if not _may_be_address(uri):
            raise UsageError(
                "A redirect address must be https, or http on 127.0.0.1 or [::1], without a fragment.",
                hint="localhost is refused, because a resolver may send it anywhere (RFC 8252 section 8.3).",
            )


def _may_be_address(uri: str) -> bool:
    if len(uri) > 2_000 or not uri.isprintable() or not uri.isascii() or any(one in uri for one in " \\*"):
        return False
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    if not redirects.allowed(uri, [uri]) or parts.username is not None or not parts.hostname:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1"})


def _check_logout(_organization: Organization, wanted: Registration) -> None:
    """Hold OpenID Connect Back-Channel Logout 1.0 section 2.2; plain http only to this machine."""
    uri = wanted.backchannel_logout_uri
    if not uri:
        if wanted.backchannel_logout_session_required:
            raise UsageError("Nothing is told to a client without a logout address.", hint="Enter its logout address.")
        return
    if not FOR_PEOPLE & set(wanted.grant_types) or "openid" not in wanted.scope.split():
        raise UsageError(
            "A logout address is for a client that signs people in with the scope openid.",
            hint="Leave the logout address empty, or let it do so.",
        )
    if not _may_be_address(uri) or outbound.check_address(uri) is not None:
        raise UsageError(
            "A logout address must be https, or http on 127.0.0.1 or [::1], without a fragment.",
            hint="Enter the address that the program listens on, such as https://app.example.com/logout.",
        )
    if uri.startswith("http:") and wanted.auth_method is AuthMethod.NONE:
        raise UsageError("Without https, a client with a logout address must authenticate.", hint="Use https.")


def _check_scope(_organization: Organization, wanted: Registration) -> None:
    unknown = set(wanted.scope.split()) - scopes.MEANINGS.keys()
    if unknown or not wanted.scope.split():
        raise UsageError("That scope is not known here.", hint=f"There are: {', '.join(scopes.MEANINGS)}.")


def _check_credential_use(_organization: Organization, wanted: Registration) -> None:
    """Hold S-20: models in a person's name only through first-party clients, everything else by key or service."""
    in_a_name = scopes.MODELS_USE in wanted.scope.split() and FOR_PEOPLE & set(wanted.grant_types)
    if in_a_name and not wanted.first_party:
        raise refusal(PERSON_SIGN_IN, f"The scope {scopes.MODELS_USE}")


def _check_keys(_organization: Organization, wanted: Registration) -> None:
    if (wanted.auth_method is AuthMethod.PRIVATE_KEY_JWT) != (wanted.jwks is not None):
        raise UsageError("Public keys belong to a client that signs, and to no other.", hint="Paste its JWK set.")
    if wanted.jwks is None:
        return
    try:
        keys = assertions.public_keys(wanted.jwks)
    except assertions.NotVerified as error:
        raise UsageError("That JWK set will not do.", hint=str(error)) from error
    if not all(text.isprintable() for key in keys for text in _kept(key).values()):
        raise UsageError("That JWK set will not do.", hint="A key has a character that is not printable.")


def _check_service(organization: Organization, wanted: Registration) -> None:
    needed = "client_credentials" in wanted.grant_types
    if needed != (wanted.service_account is not None):
        raise UsageError("A client that asks in its own name stands for a service account.", hint="Choose one.")
    if wanted.service_account is None:
        return
    if wanted.service_account.organization_id != organization.id:
        raise UsageError("That service account belongs to another organization.", hint="Choose one of your own.")
    if wanted.auth_method is AuthMethod.NONE:
        raise UsageError("A client that asks in its own name must authenticate.", hint="Choose a secret or a key.")
    if FOR_PEOPLE & set(wanted.grant_types):
        raise UsageError(
            "A client signs people in, or asks in its own name, not both.", hint="Register one client for each."
        )


def _check_exchange(organization: Organization, wanted: Registration) -> None:
    if TOKEN_EXCHANGE_GRANT in wanted.grant_types and wanted.auth_method is AuthMethod.NONE:
        raise UsageError("A client that acts for others must authenticate.", hint="Choose a secret or a key.")
    if wanted.may_act_for and TOKEN_EXCHANGE_GRANT not in wanted.grant_types:
        raise UsageError("Acting for others is token exchange.", hint="Let it use token exchange.")
    if not set(wanted.may_act_for) <= set(_known_here(organization)):
        raise UsageError("It may act for people of clients that are known here.", hint="Choose among them.")


_CHECKS: Final[Sequence[tuple[str, Callable[[Organization, Registration], None]]]] = (
    ("grant_types", _check_exchange),
    ("client_name", _check_name),
    ("grant_types", _check_grants),
    ("grant_types", _check_service),
    ("redirect_uris", _check_redirects),
    ("backchannel_logout_uri", _check_logout),
    ("scope", _check_scope),
    ("scope", _check_credential_use),
    ("jwks", _check_keys),
)
"""Every check of a client, and the field of RFC 7591 section 2 that is to blame when it fails."""
