"""Reports over the ledger."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db.models import Count, QuerySet, Sum

from keystead.server.keys.models import ApiKey, ServiceAccount
from keystead.server.organizations import operations as organizations
from keystead.server.organizations.models import Membership, Workspace
from keystead.server.organizations.roles import Permission
from keystead.server.usage.models import UsageEntry
from keystead.wire import ids

TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
"""The counts of a usage record, in the order of :class:`Tally`."""

SIGNED_IN: Final = "Signed-in sessions"
"""What requests with an access token, rather than a key, are listed as."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests and tokens of one line in a report; ``label`` says of what."""

    label: str
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def tokens(self) -> int:
        """All tokens, of whatever sort."""
        return self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_write_tokens


@dataclass(frozen=True, slots=True)
class DayReport:
    """What was used on one day (UTC).

    Attributes:
        whole_organization: False when it covers only the member who asked.
        total: of everything below; each of the four lists adds up to it, the largest line first.
    """

    day: datetime
    whole_organization: bool
    total: Tally
    by_model: tuple[Tally, ...]
    by_key: tuple[Tally, ...]
    by_member: tuple[Tally, ...]
    by_workspace: tuple[Tally, ...]


def usage_of_day(member: Membership, now: datetime) -> DayReport:
    """Return the report of the day ``now`` falls on: of the organization if ``member`` may read it, else their own."""
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    everyone = organizations.may(member, Permission.USAGE_READ_ALL)
    entries = UsageEntry.objects.filter(
        organization=member.organization_id, started_at__gte=day, started_at__lt=day + timedelta(days=1)
    )
    if not everyone:
        entries = entries.filter(member=member)
    by_model = _tallies(entries, "model")
    return DayReport(
        day=day,
        whole_organization=everyone,
        total=_add("Total", by_model),
        by_model=by_model,
        by_key=_named(_tallies(entries, "principal_id"), _key_names(member)),
        by_member=_by_owner(entries, member),
        by_workspace=_named(_tallies(entries, "workspace_id"), _workspace_names(member)),
    )


def _key_names(member: Membership) -> dict[str, str]:
    keys = ApiKey.objects.filter(organization=member.organization_id).values_list("id", "name", "hint")
    return {ids.dump("api_key", key): f"{name} ({hint}…)" for key, name, hint in keys}


def _member_names(member: Membership) -> dict[str, str]:
    members = Membership.objects.filter(organization=member.organization_id).values_list("id", "person__email")
    return {str(key): email for key, email in members}


def _service_account_names(member: Membership) -> dict[str, str]:
    accounts = ServiceAccount.objects.filter(organization=member.organization_id).values_list("id", "name")
    return {str(key): f"{name} (service account)" for key, name in accounts}


def _by_owner(entries: QuerySet[UsageEntry], member: Membership) -> tuple[Tally, ...]:
    """Return one tally per person and per service account: behind every request stands one of them."""
    people = _named(_tallies(entries.exclude(member=None), "member_id"), _member_names(member))
    services = _tallies(entries.exclude(service_account=None), "service_account_id")
    return _sorted((*people, *_named(services, _service_account_names(member))))


def _workspace_names(member: Membership) -> dict[str, str]:
    workspaces = Workspace.objects.filter(organization=member.organization_id).values_list("id", "name")
    return {str(key): name for key, name in workspaces}


def _tallies(entries: QuerySet[UsageEntry], column: str) -> tuple[Tally, ...]:
    """Return one tally per value of ``column``, labelled with the value."""
    rows = entries.order_by().values_list(column).annotate(Count("id"), *map(Sum, TOKENS))
    return _sorted(Tally(str(label), *numbers) for label, *numbers in rows)


def _named(tallies: Iterable[Tally], names: Mapping[str, str]) -> tuple[Tally, ...]:
    """Replace identifiers by names; sign-ins have none and become one line."""
    groups: dict[str, list[Tally]] = {}
    for tally in tallies:
        is_grant = tally.label.startswith(f"{ids.PREFIXES['grant']}_")
        label = SIGNED_IN if is_grant else names.get(tally.label, tally.label)
        groups.setdefault(label, []).append(tally)
    return _sorted(_add(label, group) for label, group in groups.items())


def _add(label: str, tallies: Iterable[Tally]) -> Tally:
    lines = tuple(tallies)
    return Tally(label, *(sum(getattr(line, name) for line in lines) for name in ("requests", *TOKENS)))


def _sorted(tallies: Iterable[Tally]) -> tuple[Tally, ...]:
    return tuple(sorted(tallies, key=lambda tally: (-tally.tokens, -tally.requests, tally.label)))
