"""How the first person gets in: a one-time code, printed once at the server's terminal."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from keystead.errors import CredentialRejected, UsageError
from keystead.server.audit import operations as audit
from keystead.server.identity import passwords
from keystead.server.identity.models import Person, SetupCode
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership
from keystead.server.organizations.roles import Role
from keystead.wire import ids, tokens

_ANOTHER_CODE = "Run `keystead server setup-link` on the server's machine for a new one."


def administrator_exists() -> bool:
    """Return whether the installation has been set up."""
    return Membership.objects.filter(role=Role.ADMIN.value).exists()


@transaction.atomic
def new_setup_code(now: datetime, random_bytes: Callable[[int], bytes], lifetime: timedelta) -> str | None:
    """Return a one-time code that creates the first administrator, or None when there is one already.

    Only the newest code counts: the older ones stop working.
    """
    if administrator_exists():
        return None
    SetupCode.objects.filter(used_at=None).delete()
    code = tokens.mint(tokens.TokenKind.SETUP_CODE, random_bytes)
    SetupCode.objects.create(digest=tokens.digest(code), created_at=now, expires_at=now + lifetime)
    return code


@transaction.atomic
def create_first_administrator(
    *, code: str, email: str, password: str, name: str, organization_name: str, now: datetime
) -> Membership:
    """Use the code up and create the person, their organization and their membership, all or nothing.

    Raises:
        UsageError: the address, the name or the password will not do; the code still works.
        CredentialRejected: the code is malformed, unknown, expired or used, or somebody was faster.
    """
    person = Person(email=email.strip().lower(), name=name.strip(), created_at=now)
    _check(person, password, organization_name)
    _use_up(code.strip(), now)
    person.set_password(password)
    person.save()
    organization = organizations.create_organization(organization_name.strip(), now)
    member = organizations.add_member(organization, person, Role.ADMIN, now)
    audit.record(
        organization=organization,
        actor=ids.dump("person", person.id),
        action="organization:create",
        target=ids.dump("organization", organization.id),
        at=now,
        details={"administrator": ids.dump("membership", member.id)},
    )
    return member


def _check(person: Person, password: str, organization_name: str) -> None:
    try:
        validate_email(person.email)
    except ValidationError as error:
        raise UsageError(" ".join(error.messages)) from error
    if not person.name or not organization_name.strip():
        raise UsageError("Your name and the organization's name are both needed.")
    passwords.check(password, email=person.email, organizations=[organization_name])


def _use_up(code: str, now: datetime) -> None:
    """Consume the code by compare-and-swap: of many at once exactly one passes."""
    kind = tokens.parse(code)
    if isinstance(kind, tokens.TokenFault):
        raise CredentialRejected(f"This is not a set-up code: {kind.reason}.", hint="Paste the whole code.")
    if administrator_exists():
        raise CredentialRejected("This server already has its first administrator.", hint="Sign in instead.")
    fresh = SetupCode.objects.filter(digest=tokens.digest(code), used_at=None, expires_at__gt=now)
    if fresh.update(used_at=now) != 1:
        raise CredentialRejected(_why_refused(code, now), hint=_ANOTHER_CODE, move="operator")


def _why_refused(code: str, now: datetime) -> str:
    known = SetupCode.objects.filter(digest=tokens.digest(code)).first()
    if known is None:
        return "This set-up code is unknown: a newer one has replaced it, or it belongs to another server."
    if known.used_at is not None:
        return "This set-up code has been used."
    return f"This set-up code expired {_ago(now - known.expires_at)} ago."


def _ago(span: timedelta) -> str:
    minutes = max(1, int(span.total_seconds() // 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
