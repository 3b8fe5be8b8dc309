"""Which e-mail domains are an organization's own.

A domain counts only once it is proven: by a TXT record that its owner publishes, or by the word of whoever runs this
server (``keystead server verify-domain``), who could change the database anyway. Of several organizations one has it.
"""

import re
import secrets
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Final

from django.db import IntegrityError, transaction

from keystead.errors import ServerUnreachable, UsageError
from keystead.server.audit import operations as audit
from keystead.server.organizations.models import Membership, Organization
from keystead.server.sso import connections
from keystead.server.sso.models import Domain
from keystead.wire import ids

if TYPE_CHECKING:
    import dns.resolver

RECORD: Final = "_keystead-verification"
_NAME: Final = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
DNS_DEADLINE: Final = 5.0

LookUp = Callable[[str], Iterable[str]]
"""From a name to the texts of its TXT records."""


def of_address(email: str) -> str:
    """Return the domain of an e-mail address, lower-case; empty when it has none."""
    return email.rpartition("@")[2].strip().lower() if "@" in email else ""


def all_of(member: Membership) -> Iterable[Domain]:
    """Return the domains the organization claims, in order of name."""
    return Domain.objects.filter(organization=member.organization).order_by("name")


def find(member: Membership, domain_id: str) -> Domain | None:
    """Return the claim ``dom_…`` of the member's own organization, or None."""
    try:
        key = ids.parse("domain", domain_id)
    except ValueError:
        return None
    return Domain.objects.filter(pk=key, organization=member.organization).select_related("organization").first()


def owner(name: str) -> Domain | None:
    """Return the proven claim to a domain, or None."""
    proven = Domain.objects.select_related("organization")
    return proven.filter(name=name, verified_at__isnull=False).first() if name else None


def belongs_to(name: str, organization: Organization) -> bool:
    """Return whether the domain is proven to be the organization's."""
    found = owner(name)
    return found is not None and found.organization_id == organization.id


@transaction.atomic
def claim(member: Membership, name: str, now: datetime) -> Domain:
    """Store that the organization says a domain is its own; it counts for nothing yet.

    Raises:
        PolicyDenied: the member may not.
        UsageError: it is not a domain, or claimed already.
    """
    connections.require(member)
    tidy = name.strip().rstrip(".").lower().removeprefix("@")
    if not _NAME.fullmatch(tidy):
        raise UsageError("That is not an e-mail domain.", hint="Write what stands after the @, such as example.com.")
    fresh = {"challenge": f"keystead={secrets.token_hex(16)}", "created_at": now}
    domain, created = Domain.objects.get_or_create(organization=member.organization, name=tidy, defaults=fresh)
    if not created:
        raise UsageError(f"{tidy} is in the list already.", hint="Verify it there.")
    _record(domain, ids.dump("person", member.person_id), "claim", now)
    return domain


def verify(member: Membership, domain: Domain, look_up: LookUp, now: datetime) -> None:
    """Prove the claim by the domain's own TXT record.

    Raises:
        PolicyDenied: the member may not.
        UsageError: the record is not there, or another organization has proven the domain.
        ServerUnreachable: the name service does not answer.
    """
    connections.require(member)
    if domain.challenge not in set(look_up(f"{RECORD}.{domain.name}")):
        raise UsageError(
            f"{RECORD}.{domain.name} has no TXT record with that text.",
            hint="A new record can take an hour until it is seen everywhere.",
        )
    _prove(domain, "dns", ids.dump("person", member.person_id), now)


def attest(name: str, now: datetime, organization_name: str | None = None) -> Domain:
    """Prove a claim by the word of whoever runs this server.

    Raises:
        UsageError: nobody claims the domain, or several do and none is named.
    """
    claims = Domain.objects.select_related("organization").filter(name=name.strip().lower())
    if organization_name is not None:
        claims = claims.filter(organization__name=organization_name)
    found = list(claims[:2])
    if not found:
        raise UsageError(
            f"No organization claims {name}.", hint="An administrator adds it first, on the page Single sign-on."
        )
    if len(found) > 1:
        raise UsageError(f"Several organizations claim {name}.", hint="Name one with --organization.")
    _prove(found[0], "operator", audit.SYSTEM, now)
    return found[0]


def _prove(domain: Domain, how: str, actor: str, now: datetime) -> None:
    try:
        with transaction.atomic():
            if Domain.objects.filter(pk=domain.pk, verified_at=None).update(verified_at=now, verified_by=how):
                _record(domain, actor, "verify", now, how=how)
    except IntegrityError as error:
        raise UsageError(
            f"Another organization of this server has proven that {domain.name} is its own.",
            hint="Ask whoever runs the server.",
        ) from error


@transaction.atomic
def set_required(member: Membership, domain: Domain, *, required: bool, now: datetime) -> None:
    """Say whether people with such an address sign in by single sign-on only.

    Raises:
        PolicyDenied: the member may not.
    """
    connections.require(member)
    Domain.objects.filter(pk=domain.pk).update(required=required)
    _record(domain, ids.dump("person", member.person_id), "require" if required else "relax", now)


@transaction.atomic
def release(member: Membership, domain: Domain, now: datetime) -> None:
    """Give a claim up.

    Raises:
        PolicyDenied: the member may not.
    """
    connections.require(member)
    _record(domain, ids.dump("person", member.person_id), "release", now)
    domain.delete()


def _record(domain: Domain, actor: str, verb: str, now: datetime, **details: str) -> None:
    audit.record(
        organization=domain.organization,
        actor=actor,
        action=f"domain:{verb}",
        target=domain.wire_id,
        at=now,
        details={"name": domain.name, **details},
    )


def txt_records(name: str, resolver: "dns.resolver.Resolver | None" = None) -> list[str]:
    """Ask a name service, by default the machine's, for the TXT records of ``name``.

    Raises:
        ServerUnreachable: it does not answer.
    """
    import dns.exception
    import dns.resolver

    try:
        asked = dns.resolver.get_default_resolver() if resolver is None else resolver
        answer = asked.resolve(name, "TXT", lifetime=DNS_DEADLINE, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except dns.exception.DNSException as error:
        raise ServerUnreachable(
            "The name service does not answer.", hint="Try again in a moment.", move="wait"
        ) from error
    return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
