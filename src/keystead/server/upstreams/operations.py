"""Keeping upstreams: what an organization's own administrator does."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from keystead.errors import UsageError
from keystead.secret import Secret
from keystead.server import outbound, sealing
from keystead.server.audit import operations as audit
from keystead.server.changes import CHANGES, Change
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership, Organization
from keystead.server.organizations.roles import Permission
from keystead.server.settings import ServerSettings
from keystead.server.upstream_shape import Kind
from keystead.server.upstreams import addresses, methods, references
from keystead.server.upstreams.models import Upstream
from keystead.wire import ids, origin

CREDENTIAL: Final = "upstream credential"
LONGEST_NAME: Final = 100
LONGEST_WAIT: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Draft:
    """An upstream as an administrator typed it; what each part means is said at the model.

    Attributes:
        base_url: empty for the address of the vendor or cloud itself.
    """

    name: str
    base_url: str = ""
    region: str = ""
    project: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    serves: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    first_byte_seconds: float | None = None
    profile: str = ""


@dataclass(frozen=True, slots=True)
class Operator:
    """Whoever runs the server, who keeps an organization's upstreams at the command line."""

    organization: Organization


Keeper = Membership | Operator
"""Who keeps upstreams: an administrator of the organization, or the server's operator."""


def require(member: Keeper) -> None:
    """Check that ``member`` may keep upstreams.

    Raises:
        PolicyDenied: their role may not.
    """
    if not isinstance(member, Operator):
        organizations.require(member, Permission.UPSTREAMS_MANAGE, "manage upstreams")


def all_of(member: Keeper) -> QuerySet[Upstream]:
    """Return the organization's upstreams in their order."""
    return of_organization(member.organization)


def of_organization(organization: Organization) -> QuerySet[Upstream]:
    """Return an organization's upstreams in their order."""
    kept = Upstream.objects.filter(organization=organization).select_related("organization")
    return kept.order_by("position", "id")


def find(member: Keeper, upstream_id: str) -> Upstream | None:
    """Return the organization's upstream with that wire identifier."""
    try:
        return all_of(member).filter(id=ids.parse("upstream", upstream_id)).first()
    except ValueError:
        return None


def named(organization: Organization, name: str) -> Upstream:
    """Return the organization's upstream of that name.

    Raises:
        UsageError: there is none.
    """
    found = of_organization(organization).filter(name=name).first()
    if found is None:
        raise UsageError(f"There is no upstream {name}.", hint="`keystead server upstreams` lists them.")
    return found


def create(member: Keeper, kind: Kind, draft: Draft, server: ServerSettings, now: datetime) -> Upstream:
    """Keep a new upstream, last in the order. Nothing is sent there before its credential is set.

    Raises:
        PolicyDenied: the member's role may not.
        UsageError: something will not do; the message names it.
    """
    require(member)
    said = _checked(kind, draft, server)
    try:
        with transaction.atomic():
            _take_turns(member)
            last = all_of(member).values_list("position", flat=True).last()
            upstream = Upstream.objects.create(
                organization=member.organization,
                position=0 if last is None else last + 1,
                kind=kind.value,
                created_at=now,
                changed_at=now,
                **said,
            )
            _record(upstream, member, "create", now, name=upstream.name, kind=kind.value, base_url=upstream.base_url)
    except IntegrityError as error:
        raise _taken(draft.name) from error
    return upstream


def change(
    member: Keeper, upstream: Upstream, draft: Draft, seen: int, server: ServerSettings, now: datetime
) -> Upstream:
    """Replace what is known of an upstream.

    A credential was entered for one host and goes to no other: with another origin it is forgotten, so that nobody who
    may only replace it can have it sent to themselves.

    Args:
        member: who does.
        upstream: which.
        draft: what it shall be.
        seen: the version that the administrator had before them; another one means that somebody was faster.
        server: what the operator has opened.
        now: when.

    Raises:
        PolicyDenied: the member's role may not.
        UsageError: something will not do, or it was changed meanwhile.
    """
    require(member)
    said = _checked(Kind(upstream.kind), draft, server)
    elsewhere = origin.parse(said["base_url"]) != origin.parse(upstream.base_url)
    if elsewhere:
        said |= {"method": "", "sealed_credential": ""} | _UNCHECKED
    try:
        with transaction.atomic():
            _replace(upstream, seen, now, said)
            _record(upstream, member, "change", now, base_url=upstream.base_url, credential_forgotten=elsewhere)
    except IntegrityError as error:
        raise _taken(draft.name) from error
    return upstream


def set_credential(
    member: Keeper,
    upstream: Upstream,
    method: str,
    given: Mapping[str, str],
    server: ServerSettings,
    now: datetime,
) -> None:
    """Keep another credential, encrypted.

    Raises:
        PolicyDenied: the member's role may not, it is no lawful credential, or the operator does not allow a reference.
        UsageError: a field is missing or will not do; the message names it.
    """
    require(member)
    kind = Kind(upstream.kind)
    fields = methods.checked(kind, method, given)
    used = references.used_by(kind, method, fields)
    references.require(used, kind, upstream.base_url, upstream.organization.name, server)
    sealed = sealing.seal(CREDENTIAL, Secret(json.dumps(fields)))
    with transaction.atomic():
        _replace(upstream, upstream.version, now, {"method": method, "sealed_credential": sealed} | _UNCHECKED)
        _record(upstream, member, "set_credential", now, method=method, references=", ".join(used))


def switch(member: Keeper, upstream: Upstream, *, on: bool, now: datetime) -> None:
    """Let requests go there, or no longer."""
    require(member)
    with transaction.atomic():
        _replace(upstream, upstream.version, now, {"enabled": on})
        _record(upstream, member, "enable" if on else "disable", now)


def move(member: Keeper, upstream: Upstream, up: bool, now: datetime) -> None:
    """Ask an upstream one place earlier or later; at the end of the order nothing happens."""
    require(member)
    with transaction.atomic():
        _take_turns(member)
        order = list(all_of(member))
        here = order.index(upstream) if upstream in order else None
        there = None if here is None else here + (-1 if up else 1)
        if there is not None and 0 <= there < len(order):
            _put(member, upstream, order, there, now)


def place(member: Keeper, upstream: Upstream, number: int, now: datetime) -> None:
    """Ask an upstream as the one of that number, from 1.

    Raises:
        PolicyDenied: the member's role may not.
        UsageError: there are not so many.
    """
    require(member)
    with transaction.atomic():
        _take_turns(member)
        order = list(all_of(member))
        if not 1 <= number <= len(order):
            raise UsageError(f"position is not from 1 to {len(order)}.", hint="1 is asked first.")
        _put(member, upstream, order, number - 1, now)


def _put(member: Keeper, upstream: Upstream, order: list[Upstream], there: int, now: datetime) -> None:
    order.remove(upstream)
    order.insert(there, upstream)
    for position, one in enumerate(order):
        Upstream.objects.filter(pk=one.pk).update(position=position)
    _record(upstream, member, "move", now, to=there + 1)


def remove(member: Keeper, upstream: Upstream, now: datetime) -> None:
    """Remove an upstream with its credential; usage that went there keeps its name."""
    require(member)
    with transaction.atomic():
        _record(upstream, member, "remove", now, name=upstream.name)
        Upstream.objects.filter(pk=upstream.pk).delete()


def fields_of(upstream: Upstream) -> dict[str, str]:
    """Return the fields of its credential, values and references as they were entered.

    Raises:
        ConfigurationError: they cannot be opened with this server's secret key.
    """
    if not upstream.sealed_credential:
        return {}
    kept = sealing.unseal(CREDENTIAL, upstream.sealed_credential)
    return {str(name): str(value) for name, value in json.loads(kept.reveal()).items()}


def note(upstream: Upstream, *, works: bool, result: str, now: datetime) -> None:
    """Keep what became of asking it, unless it was changed since it was read."""
    told = {"works": works, "checked_result": result[:500], "checked_at": now}
    Upstream.objects.filter(pk=upstream.pk, version=upstream.version).update(**told)


def tested(member: Keeper, upstream: Upstream, *, works: bool, result: str, now: datetime) -> None:
    """Keep what a member's test of it showed."""
    require(member)
    with transaction.atomic():
        note(upstream, works=works, result=result, now=now)
        _record(upstream, member, "test", now, works=works)


def draft_of(upstream: Upstream) -> Draft:
    """Return an upstream as it would be typed today."""
    return Draft(
        upstream.name,
        upstream.base_url,
        upstream.region,
        upstream.project,
        upstream.model_names,
        tuple(upstream.serves),
        upstream.headers,
        upstream.first_byte_seconds,
        upstream.profile,
    )


def at_usual_address(upstream: Upstream, draft: Draft) -> Draft:
    """Return ``draft`` such that an upstream that is at its kind's usual address stays there in another region."""
    is_usual = upstream.base_url == addresses.usual(Kind(upstream.kind), upstream.region)
    return replace(draft, base_url="") if is_usual and draft.region != upstream.region else draft


_UNCHECKED: Final[dict[str, Any]] = {"works": None, "checked_result": "", "checked_at": None}
"""What was found before says nothing of what it is now."""


def _replace(upstream: Upstream, seen: int, now: datetime, said: dict[str, Any]) -> None:
    here = Upstream.objects.filter(pk=upstream.pk, version=seen)
    if not here.update(version=seen + 1, changed_at=now, **said):
        raise UsageError("Somebody changed this upstream meanwhile.", hint="Open it again, then change it.")
    upstream.refresh_from_db()


def _checked(kind: Kind, draft: Draft, server: ServerSettings) -> dict[str, Any]:
    name, wait = draft.name.strip(), draft.first_byte_seconds
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise UsageError(f"name: an upstream has one of 1 to {LONGEST_NAME} printable characters.", hint="Name it.")
    if wait is not None and not 1 <= wait <= LONGEST_WAIT:
        raise UsageError(f"first_byte_seconds is not from 1 to {LONGEST_WAIT:g}.", hint="Leave it empty for 600.")
    region = addresses.check_region(kind, draft.region)
    base_url = draft.base_url.strip() or addresses.usual(kind, region)
    if not base_url:
        raise UsageError(
            f"base_url is missing: an upstream of the kind {kind.value} has no usual one.", hint="Enter it."
        )
    return {
        "name": name,
        "base_url": addresses.check_base_url(base_url, outbound.upstream_reach(server)),
        "region": region,
        "project": addresses.check_project(kind, draft.project),
        "profile": addresses.check_profile(kind, draft.profile),
        "model_names": addresses.check_models(draft.models),
        "serves": addresses.check_serves(draft.serves),
        "headers": addresses.check_headers(kind, draft.headers),
        "first_byte_seconds": wait,
    }


def _take_turns(member: Keeper) -> None:
    """Let changes of the order wait for one another."""
    Organization.objects.select_for_update().get(pk=member.organization.pk)


def _record(upstream: Upstream, by: Keeper, verb: str, now: datetime, **details: str | int | bool) -> None:
    audit.record(
        organization=upstream.organization,
        actor=audit.SYSTEM if isinstance(by, Operator) else ids.dump("membership", by.pk),
        action=f"upstream:{verb}",
        target=upstream.wire_id,
        at=now,
        details={**details},
    )
    wire_id = upstream.wire_id
    transaction.on_commit(lambda: CHANGES.publish(Change("upstream", wire_id)))


def _taken(name: str) -> UsageError:
    return UsageError(f"There is already an upstream called {name.strip()}.", hint="Choose another name.", field="name")
