"""What ``scim2_server`` reads and writes: the tables of one organization."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from scim2_models import (
    ForbiddenException,
    InvalidValueException,
    PreconditionFailedException,
    Resource,
    ResourceType,
    ResponseParameters,
    SearchRequest,
    UniquenessException,
)
from scim2_models.path import CompareOperator, Comparison
from scim2_server.memory import InMemoryStorage
from scim2_server.storage import ScimStorage, SearchPage

from keystead.errors import PolicyDenied, UsageError
from keystead.server.organizations.models import Organization
from keystead.server.scim import groups, users

Kind = users.Users | groups.Groups
_COLUMNS: Final[Mapping[type, Mapping[str, str]]] = {users.Users: users.COLUMNS, groups.Groups: groups.COLUMNS}


class Tables(ScimStorage):
    """The users and groups of one organization.

    A list without filter and order is paged by the database, and one value of an indexed attribute is found by it.
    Anything else is decided in memory over the organization's own resources, by the library's rules, so that no
    filter means one thing here and another there.
    """

    def __init__(self, organization: Organization, models: Mapping[str, Any], actor: str, now: datetime) -> None:
        self._kinds: dict[str, Kind] = {
            "User": users.Users(organization, models["User"], actor, now),
            "Group": groups.Groups(organization, models["Group"], actor, now),
        }

    @contextmanager
    def operation(self) -> Iterator[None]:
        """Enclose one operation: all of it happens, or nothing."""
        try:
            with transaction.atomic():
                yield
        except IntegrityError as error:
            raise UniquenessException(detail="Somebody else has just taken that name.") from error
        except PolicyDenied as error:
            raise ForbiddenException(detail=error.message) from error
        except UsageError as error:
            raise InvalidValueException(detail=error.message) from error

    def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,  # noqa: ARG002  the library's parameter
    ) -> Resource[Any]:
        """Return one resource."""
        kind = self._kind(resource_type)
        return self._shown(kind, kind.find(resource_id))

    def search(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None
    ) -> SearchPage:
        """Return one page of what matches."""
        kinds = [self._kind(one) for one in resource_types]
        if len(kinds) == 1 and search_request.filter is None and search_request.sort_by is None:
            return self._page(kinds[0], search_request)
        found = InMemoryStorage()
        found.resources = [self._shown(kind, row) for kind in kinds for row in _narrowed(kind, search_request)]
        return found.search(resource_types, search_request, position=position)

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """Store a new resource."""
        kind = self._kind(resource_type)
        return self._shown(kind, kind.create(resource))

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        """Replace a resource that is still what the caller saw."""
        kind = self._kind(resource_type)
        row = self._unchanged(kind, str(resource.id), expected_version)
        return self._shown(kind, kind.update(row, resource))

    def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        """Remove a resource that is still what the caller saw."""
        kind = self._kind(resource_type)
        kind.delete(self._unchanged(kind, resource_id, expected_version))

    def _kind(self, resource_type: ResourceType) -> Any:
        return self._kinds[str(resource_type.name)]

    def _unchanged(self, kind: Any, resource_id: str, version: str | None) -> Any:
        row = kind.find(resource_id, locked=True)
        if version is not None and _version(self._shown(kind, row)) != version:
            raise PreconditionFailedException
        return row

    @staticmethod
    def _shown(kind: Any, row: Any) -> Resource[Any]:
        shown: Resource[Any] = kind.resource(row)
        return shown

    def _page(self, kind: Any, search_request: SearchRequest[Any]) -> SearchPage:
        rows: QuerySet[Any] = kind.rows()
        start = search_request.start_index_0 or 0
        stop = None if search_request.count is None else start + search_request.count
        return SearchPage(rows.count(), [self._shown(kind, row) for row in rows[start:stop]])


def _version(resource: Resource[Any]) -> str | None:
    return None if resource.meta is None else resource.meta.version


def _narrowed(kind: Any, search_request: SearchRequest[Any]) -> QuerySet[Any]:
    """Return the rows a filter can match: fewer than all where it asks for one value of an indexed attribute."""
    rows: QuerySet[Any] = kind.rows()
    node = None if search_request.filter is None else search_request.filter.ast
    if not isinstance(node, Comparison) or node.op != CompareOperator.eq or not isinstance(node.value, str):
        return rows
    column = _COLUMNS[type(kind)].get(str(node.attr_path).rpartition(":")[2].lower())
    if column is None or "\0" in node.value:
        return rows
    return (
        rows.filter(**{column: node.value.casefold()})
        if column == "user_name"
        else rows.filter(**{f"{column}__iexact": node.value})
    )
