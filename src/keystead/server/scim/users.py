"""SCIM users: the memberships of one organization.

``id`` is the membership's. ``active`` is whether it stands: false ends every sign-in and key under it. A user who is
deleted is a membership that ended and is shown no more; created again, it is the same membership.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Prefetch, QuerySet
from scim2_models import InvalidValueException, NotFoundException, UniquenessException

from keystead.server.audit import operations as audit
from keystead.server.identity import link_codes
from keystead.server.identity.models import Person
from keystead.server.organizations import groups as organization_groups
from keystead.server.organizations import memberships
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Group, GroupSource, Membership, Organization
from keystead.server.organizations.roles import Role
from keystead.server.scim.documents import document_of, meta, short
from keystead.server.scim.models import LONGEST_NAME, ScimUser
from keystead.server.sso import domains
from keystead.wire import ids

UNREACHABLE: Final = "scim.invalid"
"""The domain of people without an e-mail address: no mail arrives there (RFC 2606), so nobody signs in by it."""

COLUMNS: Final = {"username": "user_name", "externalid": "external_id"}
"""Attributes that a search for one value finds by an index."""


@dataclass(frozen=True, slots=True)
class Users:
    """The users of ``organization``, as ``actor`` sees and changes them."""

    organization: Organization
    model: Any
    actor: str
    now: datetime

    def rows(self) -> QuerySet[ScimUser]:
        """Return everybody who is shown, in the order of their coming."""
        self._adopt()
        groups = Group.objects.filter(source=GroupSource.SCIM.value).order_by("name")
        shown = ScimUser.objects.filter(organization=self.organization, user_name__isnull=False)
        related = shown.select_related("membership__person", "membership__organization")
        return related.prefetch_related(Prefetch("membership__groups", groups)).order_by("membership_id")

    def find(self, resource_id: str, *, locked: bool = False) -> ScimUser:
        """Return the user with that identifier.

        Raises:
            NotFoundException: there is none, or it is another organization's.
        """
        try:
            key = ids.parse("membership", resource_id)
        except ValueError as error:
            raise _unknown(resource_id) from error
        rows = self.rows().select_for_update(of=("self",)) if locked else self.rows()
        row = rows.filter(pk=key).first()
        if row is None:
            raise _unknown(resource_id)
        return row

    def resource(self, row: ScimUser) -> Any:
        """Return a user as SCIM shows it."""
        member = row.membership
        standing = member.deactivated_at is None and member.person.is_active
        shown = {
            **row.document,
            "id": ids.dump("membership", member.pk),
            **({"active": standing} if "active" in row.document or _ended_elsewhere(row) else {}),
            "groups": [
                {"value": ids.dump("group", group.pk), "$ref": _address(group), "display": group.name, "type": "direct"}
                for group in member.groups.all()
            ],
        }
        modified = max(filter(None, [row.modified_at, member.credentials_since]))
        resource = self.model.model_validate(shown)
        resource.meta = meta("User", {**shown, "email": member.person.email}, member.created_at, modified)
        return resource

    def create(self, resource: Any) -> ScimUser:
        """Add a member, or bring one back who was deleted.

        Raises:
            UniquenessException: the name or the address is somebody's already.
        """
        name = _user_name(resource)
        email = _email(resource) or f"{name.encode().hex()[:40]}.{self.organization.pk.hex}@{UNREACHABLE}"
        self._adopt()
        person = Person.objects.filter(email=email).first()
        member = None if person is None else self._returning(person)
        if member is None:
            member = self._join(person or self._new_person(email, resource))
        row, _ = ScimUser.objects.update_or_create(
            membership=member, defaults={"organization": self.organization, **self._columns(resource, name)}
        )
        self._follow(row, resource)
        return self.find(ids.dump("membership", member.pk))

    def update(self, row: ScimUser, resource: Any) -> ScimUser:
        """Store the whole new state of a user.

        Raises:
            UniquenessException: the name or the address is somebody else's.
        """
        ScimUser.objects.filter(pk=row.pk).update(**self._columns(resource, _user_name(resource)))
        self._follow(row, resource)
        return self.find(ids.dump("membership", row.pk))

    def delete(self, row: ScimUser) -> None:
        """End the membership, and show it no more."""
        memberships.deactivate(row.membership, self.actor, "scim_deleted", self.now)
        organization_groups.set_groups(row.membership, [], GroupSource.SCIM, self.actor, self.now)
        gone: dict[str, Any] = {"user_name": None, "external_id": "", "document": {}, "managed": False}
        ScimUser.objects.filter(pk=row.pk).update(**gone, modified_at=self.now)

    def _columns(self, resource: Any, name: str) -> dict[str, Any]:
        external = short(resource.external_id, "externalId", LONGEST_NAME)
        document = document_of(resource)
        written = {"external_id": external, "document": document, "managed": True}
        return {"user_name": name, **written, "modified_at": self.now}

    def _follow(self, row: ScimUser, resource: Any) -> None:
        """Make the membership and the person what the resource says they are."""
        if resource.active is False:
            memberships.deactivate(row.membership, self.actor, "scim_inactive", self.now)
        elif resource.active:
            memberships.reactivate(row.membership, self.actor, self.now)
        person = row.membership.person
        if person.memberships.exclude(organization=self.organization).exists():
            return  # who also belongs elsewhere keeps the name and address they sign in with there
        email = _email(resource) or person.email
        if email != person.email and Person.objects.filter(email=email).exists():
            raise _taken("The e-mail address")
        verified = None if email.endswith(f"@{UNREACHABLE}") else self.now
        Person.objects.filter(pk=person.pk).update(email=email, email_verified_at=verified, name=_name(resource))
        if email != person.email:
            link_codes.void(person, self.now)
            organizations.tell_address(row.membership)

    def _returning(self, person: Person) -> Membership | None:
        """Return the membership of a person who was deleted here; None for a stranger who may join.

        Nobody can take an account over by giving its address: who has one elsewhere is added only where the address
        is of a domain proven to be this organization's own.
        """
        member = person.memberships.filter(organization=self.organization).select_related("organization").first()
        if member is None:
            verified = person.email_verified_at is not None
            if verified and domains.belongs_to(domains.of_address(person.email), self.organization):
                return None
            raise _taken("The e-mail address")
        if ScimUser.objects.filter(membership=member, user_name__isnull=False).exists():
            raise _taken("The e-mail address")
        memberships.reactivate(member, self.actor, self.now)
        return member

    def _new_person(self, email: str, resource: Any) -> Person:
        person = Person.objects.create_user(email, None, name=_name(resource), created_at=self.now)
        self._record("person:create", ids.dump("person", person.pk))
        return person

    def _join(self, person: Person) -> Membership:
        member = organizations.add_member(self.organization, person, Role.AGENT_USER, self.now)
        self._record("membership:create", ids.dump("membership", member.pk))
        return member

    def _record(self, action: str, target: str) -> None:
        audit.record(organization=self.organization, actor=self.actor, action=action, target=target, at=self.now)

    def _adopt(self) -> None:
        """Show also the members who came by another door, so that an identity provider finds and takes them over."""
        standing = Membership.objects.filter(organization=self.organization).select_related("person")
        for member in standing.filter(scim=None):
            self._show(member, ScimUser(membership=member, organization=self.organization, modified_at=self.now))
        returned = standing.filter(scim__user_name__isnull=True, scim__isnull=False, deactivated_at=None)
        for member in returned.select_related("scim"):
            self._show(member, member.scim)

    def _show(self, member: Membership, row: ScimUser) -> None:
        names = [member.person.email, ids.dump("membership", member.pk)]
        known = set(
            ScimUser.objects.filter(organization=self.organization, user_name__in=names).values_list("user_name")
        )
        row.user_name = next(name for name in names if (name,) not in known)
        row.document = _described(member.person, row.user_name)
        row.save()


def _ended_elsewhere(row: ScimUser) -> bool:
    """Return whether a user whose identity provider says nothing of ``active`` was switched off here since."""
    ended = row.membership.deactivated_at
    return not row.membership.person.is_active or (ended is not None and ended > row.modified_at)


def _described(person: Person, user_name: str) -> dict[str, Any]:
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": user_name,
        "active": True,
        "displayName": person.name or person.email,
        "emails": [{"value": person.email, "primary": True}],
    }


def _address(group: Group) -> str:
    return f"Groups/{ids.dump('group', group.pk)}"


def _user_name(resource: Any) -> str:
    name = short(resource.user_name, "userName", LONGEST_NAME).casefold()
    if not name.strip() or len(name) > LONGEST_NAME:
        raise InvalidValueException(detail="userName must not be empty.")
    return name


def _email(resource: Any) -> str | None:
    """Return the address a person signs in with: the primary one, else the first, else ``userName`` if it is one."""
    listed = sorted(resource.emails or [], key=lambda one: not one.primary)
    for address in [*(one.value for one in listed), resource.user_name]:
        try:
            validate_email(address)
        except ValidationError:
            continue
        return str(address).strip().lower()
    return None


def _name(resource: Any) -> str:
    given = resource.name
    parts = (given.formatted, " ".join(filter(None, [given.given_name, given.family_name]))) if given else ()
    candidates = (resource.display_name, *parts, resource.user_name)
    name = next((one.strip() for one in candidates if one and one.strip()), "")
    return name[:200] if name.isprintable() else "".join(filter(str.isprintable, name))[:200]


def _taken(what: str) -> UniquenessException:
    return UniquenessException(detail=f"{what} belongs to another account.")


def _unknown(resource_id: str) -> NotFoundException:
    return NotFoundException(detail=f"There is no user {resource_id[:100]!r}.")
