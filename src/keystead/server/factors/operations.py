"""A person's factors as a whole: what they have, what changes, and what an organization asks for.

Every change is written down in the audit record of the organization and told to the person by mail.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from keystead.errors import UsageError
from keystead.secret import Secret
from keystead.server.audit import operations as audit
from keystead.server.factors import authenticator_apps, passkeys, recovery_codes
from keystead.server.factors.models import AuthenticatorApp, Passkey, Requirement
from keystead.server.identity import browser_sessions
from keystead.server.identity.models import Person
from keystead.server.mail.operations import letter, post
from keystead.server.organizations.models import Membership, Organization
from keystead.wire import ids

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Factors:
    """What somebody has.

    Attributes:
        codes: unused recovery codes.
    """

    app: AuthenticatorApp | None
    passkeys: tuple[Passkey, ...]
    codes: int

    @property
    def any(self) -> bool:
        """Whether there is a second factor; recovery codes alone are none."""
        return self.app is not None or bool(self.passkeys)

    @property
    def count(self) -> int:
        return len(self.passkeys) + (self.app is not None)


def of(person: Person) -> Factors:
    """Return what the person has, passkeys by age."""
    app = AuthenticatorApp.objects.filter(person=person).first()
    keys = tuple(Passkey.objects.filter(person=person).order_by("created_at"))
    return Factors(app, keys, recovery_codes.left(person))


def has_any(person: Person) -> bool:
    """Return whether the person has a second factor, in at most two queries."""
    return Passkey.objects.filter(person=person).exists() or AuthenticatorApp.objects.filter(person=person).exists()


@transaction.atomic
def add_app(
    member: Membership, secret: Secret, code: str, now: datetime, random_bytes: RandomBytes
) -> list[str] | None:
    """Store an authenticator app; return recovery codes where they are the first, an empty list where there are some.

    None means that the code does not fit the secret.
    """
    if not authenticator_apps.add(member.person, secret, code, now):
        return None
    _tell(member, "app_add", "An authenticator app was added.", now)
    return _first_codes(member.person, now, random_bytes)


@transaction.atomic
def add_passkey(
    member: Membership,
    state: passkeys.State,
    response: object,
    name: str,
    now: datetime,
    random_bytes: RandomBytes,
    base_url: str,
) -> list[str]:
    """Store a passkey; return recovery codes as :func:`add_app` does.

    Raises:
        UsageError: there are as many as there may be.
        NotAccepted: as :func:`keystead.server.factors.passkeys.add`.
    """
    if Passkey.objects.filter(person=member.person).count() >= passkeys.MOST:
        raise UsageError(f"You have {passkeys.MOST} passkeys, as many as there may be.", hint="Remove one first.")
    passkeys.add(member.person, state, response, name.strip() or "Passkey", now, base_url)
    _tell(member, "passkey_add", "A passkey was added.", now)
    return _first_codes(member.person, now, random_bytes)


@transaction.atomic
def remove_app(member: Membership, now: datetime) -> None:
    """Remove the authenticator app.

    Raises:
        UsageError: the organization asks for a second factor, and this is the last one.
    """
    _keep_one(member, of(member.person))
    if AuthenticatorApp.objects.filter(person=member.person).delete()[0]:
        _removed(member, "app_remove", "The authenticator app was removed.", now)


@transaction.atomic
def remove_passkey(member: Membership, passkey: Passkey, now: datetime) -> None:
    """Remove a passkey; raises as :func:`remove_app`."""
    _keep_one(member, of(member.person))
    if Passkey.objects.filter(person=member.person, pk=passkey.pk).delete()[0]:
        _removed(member, "passkey_remove", "A passkey was removed.", now)


@transaction.atomic
def renew_codes(member: Membership, now: datetime, random_bytes: RandomBytes) -> list[str]:
    """Return ten new recovery codes, which end the ones before.

    Raises:
        UsageError: there is no second factor that they could stand in for.
    """
    if not has_any(member.person):
        raise UsageError("Recovery codes stand in for a second factor.", hint="Add an app or a passkey first.")
    codes = recovery_codes.renew(member.person, now, random_bytes)
    _tell(member, "codes_renew", "New recovery codes were made; the ones before have ended.", now)
    return codes


@transaction.atomic
def use_code(person: Person, typed: str, now: datetime) -> str | None:
    """Take a code of the app or a recovery code; return which it was, ``totp`` or ``recovery_codes``, or None."""
    if authenticator_apps.use(person, typed, now):
        return "totp"
    if recovery_codes.use(person, typed, now):
        _say(person, "A recovery code was used to sign in.", now)
        return "recovery_codes"
    return None


def is_required(organization: Organization) -> bool:
    """Return whether the organization asks its people for a second factor."""
    return Requirement.objects.filter(organization=organization).exists()


def is_missing(person: Person) -> bool:
    """Return whether an organization of the person's asks for a second factor that they do not have."""
    asked = Requirement.objects.filter(
        organization__memberships__person=person, organization__memberships__deactivated_at=None
    )
    return asked.exists() and not has_any(person)


@transaction.atomic
def require(member: Membership, *, required: bool, now: datetime) -> None:
    """Have the member's organization ask for a second factor, or no longer.

    Raises:
        UsageError: who switches it on has none, and would lock themselves out first.
    """
    if required and not has_any(member.person):
        raise UsageError("You have no second factor yourself.", hint="Add an app or a passkey, then switch it on.")
    if required:
        _, changed = Requirement.objects.get_or_create(organization=member.organization, defaults={"created_at": now})
    else:
        changed = bool(Requirement.objects.filter(organization=member.organization).delete()[0])
    if changed:
        _record(member, f"organization:second_factor_{'require' if required else 'release'}", now)


@transaction.atomic
def forget(person: Person, now: datetime, *, organization: Organization | None = None, by: str = audit.SYSTEM) -> bool:
    """Remove every factor of somebody who lost them, sign them out of every browser, tell them; False if none.

    Args:
        person: whose.
        now: when.
        organization: where it is written down; None for the installation itself.
        by: wire identifier of who does it.
    """
    mine = (AuthenticatorApp.objects.filter(person=person), Passkey.objects.filter(person=person))
    if not sum(rows.delete()[0] for rows in mine):
        return False
    person.recovery_codes.all().delete()
    browser_sessions.forget(person)
    target = ids.dump("person", person.pk)
    audit.record(organization=organization, actor=by, action="person:factors_forget", target=target, at=now)
    _say(person, "Your passkeys, authenticator app and recovery codes were removed by an administrator.", now)
    return True


def _first_codes(person: Person, now: datetime, random_bytes: RandomBytes) -> list[str]:
    return [] if person.recovery_codes.exists() else recovery_codes.renew(person, now, random_bytes)


def _keep_one(member: Membership, factors: Factors) -> None:
    if factors.count == 1 and is_required(member.organization):
        raise UsageError(
            f"{member.organization.name} asks for a second factor, and this is your only one.",
            hint="Add another one first.",
        )


def _removed(member: Membership, what: str, said: str, now: datetime) -> None:
    if not has_any(member.person):
        member.person.recovery_codes.all().delete()
    _tell(member, what, said, now)


def _tell(member: Membership, what: str, said: str, now: datetime) -> None:
    _record(member, f"person:{what}", now)
    _say(member.person, said, now)


def _record(member: Membership, action: str, now: datetime) -> None:
    actor = ids.dump("person", member.person_id)
    audit.record(organization=member.organization, actor=actor, action=action, target=actor, at=now)


def _say(person: Person, said: str, now: datetime) -> None:
    post(letter(person.email, "factor_changed", said=said, at=now))
