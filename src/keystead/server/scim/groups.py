"""SCIM groups: those of an organization's groups that SCIM made; the console's own stay out of its reach."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Prefetch, QuerySet
from scim2_models import InvalidValueException, NotFoundException, UniquenessException

from keystead.server.organizations import groups
from keystead.server.organizations.models import Group, GroupSource, Membership, Organization
from keystead.server.scim.documents import document_of, meta, short
from keystead.server.scim.models import ScimGroup
from keystead.wire import ids

COLUMNS: Final = {"displayname": "group__name", "externalid": "group__external_id"}


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of ``organization``, as ``actor`` sees and changes them."""

    organization: Organization
    model: Any
    actor: str
    now: datetime

    def rows(self) -> QuerySet[ScimGroup]:
        """Return every group that is shown, in the order of their making."""
        members = Membership.objects.order_by("id")
        shown = ScimGroup.objects.filter(group__organization=self.organization, group__source=GroupSource.SCIM.value)
        related = shown.select_related("group__organization")
        return related.prefetch_related(Prefetch("group__members", members)).order_by("group_id")

    def find(self, resource_id: str, *, locked: bool = False) -> ScimGroup:
        """Return the group with that identifier.

        Raises:
            NotFoundException: there is none, or it is another organization's.
        """
        try:
            key = ids.parse("group", resource_id)
        except ValueError as error:
            raise _unknown(resource_id) from error
        rows = self.rows().select_for_update(of=("self",)) if locked else self.rows()
        row = rows.filter(pk=key).first()
        if row is None:
            raise _unknown(resource_id)
        return row

    def resource(self, row: ScimGroup) -> Any:
        """Return a group as SCIM shows it."""
        group = row.group
        members = [ids.dump("membership", member.pk) for member in group.members.all()]
        shown = {
            **row.document,
            "id": ids.dump("group", group.pk),
            "displayName": group.name,
            "members": [{"value": one, "$ref": f"Users/{one}", "type": "User"} for one in members],
        }
        resource = self.model.model_validate(shown)
        resource.meta = meta("Group", shown, group.created_at, row.modified_at)
        return resource

    def create(self, resource: Any) -> ScimGroup:
        """Make a group with its members."""
        name = self._free_name(resource, None)
        group = groups.create(
            self.organization,
            name,
            source=GroupSource.SCIM,
            external_id=_external(resource),
            actor=self.actor,
            now=self.now,
        )
        groups.set_members(group, self._members(resource), self.actor, self.now)
        ScimGroup.objects.create(group=group, document=document_of(resource), modified_at=self.now)
        return self.find(ids.dump("group", group.pk))

    def update(self, row: ScimGroup, resource: Any) -> ScimGroup:
        """Store the whole new state of a group."""
        name = self._free_name(resource, row.group)
        if name != row.group.name:
            groups.rename(row.group, name, self.actor, self.now)
        Group.objects.filter(pk=row.pk).update(external_id=_external(resource))
        groups.set_members(row.group, self._members(resource), self.actor, self.now)
        ScimGroup.objects.filter(pk=row.pk).update(document=document_of(resource), modified_at=self.now)
        return self.find(ids.dump("group", row.pk))

    def delete(self, row: ScimGroup) -> None:
        """Remove a group; its members stay."""
        groups.remove(row.group, self.actor, self.now)

    def _free_name(self, resource: Any, itself: Group | None) -> str:
        name = str(resource.display_name or "").strip()
        others = Group.objects.filter(organization=self.organization, name=name)
        if (others if itself is None else others.exclude(pk=itself.pk)).exists():
            raise UniquenessException(detail="Another group of the organization has this name.")
        return name

    def _members(self, resource: Any) -> list[Membership]:
        """Return the members a resource names.

        Raises:
            InvalidValueException: one is no user of this organization.
        """
        wanted = set()
        for member in resource.members or []:
            try:
                wanted.add(ids.parse("membership", str(member.value or "")))
            except ValueError as error:
                raise _no_member(str(member.value)) from error
        found = list(
            Membership.objects.filter(organization=self.organization, scim__user_name__isnull=False, pk__in=wanted)
        )
        missing = wanted - {one.pk for one in found}
        if missing:
            raise _no_member(ids.dump("membership", missing.pop()))
        return found


def _external(resource: Any) -> str:
    return short(resource.external_id, "externalId", 200)


def _no_member(value: str) -> InvalidValueException:
    return InvalidValueException(detail=f"A member must be a user of this organization, and {value[:100]!r} is none.")


def _unknown(resource_id: str) -> NotFoundException:
    return NotFoundException(detail=f"There is no group {resource_id[:100]!r}.")
