"""Terms are published once and never changed, accepted version by version, and come into force when they say."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from keystead.errors import PolicyDenied, UsageError
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.policy.terms import Kind
from keystead.testing.clock import FakeClock
from keystead.wire import ids

if TYPE_CHECKING:
    from keystead.server.organizations.models import Membership, Organization
    from keystead.server.permits import Permits
    from keystead.server.terms.models import Terms

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
TEXT = "You may use it.\nBe kind."


def publish(version: str, days: int = 0, kind: Kind = Kind.COMMERCIAL, at: datetime = NOW) -> "Terms":
    from keystead.server.terms import operations as terms

    return terms.publish(kind, version, f"{TEXT} {version}", at + days * DAY, at)


def join(organization: "Organization", name: str, role: str) -> "Membership":
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations
    from keystead.server.organizations.roles import Role

    person = Person.objects.create_user(f"{name}@example.com", None, created_at=NOW)
    return operations.add_member(organization, person, Role(role), NOW)


@pytest.fixture
def bo(administrator: "Membership") -> "Membership":
    return join(administrator.organization, "bo", "developer")


@pytest.fixture
def clock(migrated: Path) -> Iterator[FakeClock]:
    from django.test import override_settings

    clock = FakeClock()
    clock.advance(NOW.timestamp() - clock.now())
    with override_settings(KEYSTEAD_CLOCK=clock):
        yield clock


@pytest.fixture
def permits(administrator: "Membership", clock: FakeClock) -> "Iterator[Permits]":
    from keystead.server.allowed_models import AllowedModels, policy_truth
    from keystead.server.changes import CHANGES
    from keystead.server.permits import Permits, permit_truth

    with (
        closing(AllowedModels(policy_truth(), CHANGES)) as models,
        closing(Permits(permit_truth(), models, CHANGES)) as one,
    ):
        yield one


def refused(permits: "Permits", organization: "Organization", *, pipeline: bool = False) -> str | None:
    """Return the rule that refuses the organization's key, or its service account."""
    whose = ids.dump("organization", organization.pk)
    caller = Principal(PrincipalKind.API_KEY, f"key_{whose}", whose, "wrk_1", "mem_1")
    if pipeline:
        caller = Principal(PrincipalKind.SESSION, "gra_1", whose, "wrk_1", None, "keystead-cli", service_account_id="s")
    deny = permits.of(caller).refuses("claude-sonnet-4-5")
    return None if deny is None else deny.rule.id


def events(action: str) -> list[tuple[str, dict[str, Any]]]:
    from keystead.server.audit.models import AuditEvent

    return [(one.actor, one.details) for one in AuditEvent.objects.filter(action=action).order_by("at", "id")]


@pytest.mark.requirement("S-21 refused")
def test_where_nothing_is_published_nothing_is_asked_or_read(
    administrator: "Membership", permits: "Permits", django_queries: Any
) -> None:
    from keystead.server import remembered
    from keystead.server.changes import CHANGES
    from keystead.server.terms import operations as terms

    assert refused(permits, administrator.organization) is None
    with remembered.remembering(CHANGES):
        assert terms.owed(administrator, NOW) is None
        with django_queries() as asked:
            assert terms.owed(administrator, NOW) is None
        assert asked == []
        publish("2026-11")
        assert terms.owed(administrator, NOW) is not None


@pytest.mark.requirement("S-21 refused", "S-21 accepted")
def test_an_organization_is_refused_until_an_administrator_accepts(
    administrator: "Membership", bo: "Membership", permits: "Permits"
) -> None:
    from keystead.server.terms import operations as terms

    ours = administrator.organization
    text = publish("2026-11")
    assert refused(permits, ours) == refused(permits, ours, pipeline=True) == "terms"
    terms.accept(bo, text, NOW)
    assert refused(permits, ours) == "terms", "a member accepts for nobody else"
    terms.accept(administrator, text, NOW)
    terms.accept(administrator, text, NOW)
    assert refused(permits, ours) is refused(permits, ours, pipeline=True) is None
    digest = hashlib.sha256(f"{TEXT} 2026-11".encode()).hexdigest()
    version = {"kind": "commercial", "version": "2026-11", "sha256": digest}
    ada, theirs = (ids.dump("membership", one.pk) for one in (administrator, bo))
    assert events("terms:accept") == [
        (theirs, {**version, "for": "member"}),
        (ada, {**version, "for": "member"}),
        (ada, {**version, "for": "organization"}),
    ]
    assert terms.owed(bo, NOW) is terms.owed(administrator, NOW) is None


@pytest.mark.requirement("S-21 refused")
def test_a_new_version_waits_for_its_day_and_counts_without_a_restart(
    administrator: "Membership", permits: "Permits", clock: FakeClock
) -> None:
    from keystead.server.terms import operations as terms

    ours = administrator.organization
    terms.accept(administrator, publish("2026-11"), NOW)
    text = publish("2026-12", days=30, at=NOW + timedelta(seconds=1))
    owed = terms.owed(administrator, NOW)
    assert owed is not None
    assert (owed.version.name, owed.in_force, owed.for_organization) == ("2026-12", False, True)
    assert refused(permits, ours) is None
    clock.advance(30 * 24 * 3600 + 1)
    permits.refresh()
    assert refused(permits, ours) == "terms"
    terms.accept(administrator, text, NOW)
    assert refused(permits, ours) is None


@pytest.mark.requirement("S-21 refused")
def test_who_accepted_what_is_coming_owes_nothing_that_it_replaces(
    administrator: "Membership", permits: "Permits"
) -> None:
    from keystead.server.terms import operations as terms

    old = publish("2026-11")
    terms.accept(administrator, publish("2026-12", days=30, at=NOW + timedelta(seconds=1)), NOW)
    assert refused(permits, administrator.organization) is None
    with pytest.raises(UsageError, match="have been replaced"):
        terms.accept(administrator, old, NOW)


@pytest.mark.requirement("S-21 accepted")
def test_a_member_is_asked_for_the_newest_only_and_again_when_it_changes(
    administrator: "Membership", bo: "Membership"
) -> None:
    from keystead.server.terms import operations as terms

    publish("2026-11")
    terms.accept(bo, publish("2026-12", at=NOW + timedelta(seconds=1)), NOW)
    assert terms.owed(bo, NOW) is None
    publish("2027-01", at=NOW + timedelta(seconds=2))
    owed = terms.owed(bo, NOW + DAY)
    assert owed is not None
    assert (owed.version.name, owed.for_organization, owed.for_oneself, owed.in_force) == ("2027-01", False, True, True)


@pytest.mark.requirement("S-21 refused")
def test_the_kind_that_governs_is_an_administrators_choice_and_no_way_out(
    administrator: "Membership", bo: "Membership", permits: "Permits"
) -> None:
    from keystead.server.terms import operations as terms

    ours = administrator.organization
    assert terms.kind_of(ours.pk) == "commercial"
    publish("2026-11")
    with pytest.raises(UsageError, match="No consumer terms are published here"):
        terms.govern(administrator, Kind.CONSUMER, NOW)
    text = publish("c-1", kind=Kind.CONSUMER)
    with pytest.raises(PolicyDenied, match="may not accept terms for the organization"):
        terms.govern(bo, Kind.CONSUMER, NOW)
    assert terms.govern(administrator, Kind.CONSUMER, NOW)
    assert not terms.govern(administrator, Kind.CONSUMER, NOW)
    assert refused(permits, ours) == "terms"
    terms.accept(administrator, text, NOW)
    assert refused(permits, ours) is None
    assert terms.govern(administrator, Kind.COMMERCIAL, NOW)
    assert refused(permits, ours) == "terms"
    assert [details["kind"] for _, details in events("terms:govern")] == ["consumer", "commercial"]


@pytest.mark.requirement("S-21 refused")
def test_an_organization_that_came_after_the_reading_has_accepted_nothing(
    administrator: "Membership", permits: "Permits"
) -> None:
    from keystead.server.organizations import operations
    from keystead.server.terms import operations as terms

    terms.accept(administrator, publish("2026-11"), NOW)
    other = operations.create_organization("Other", NOW)
    assert refused(permits, administrator.organization) is None
    assert refused(permits, other) == "terms"


@pytest.mark.parametrize(
    ("version", "text", "words"),
    [
        ("", TEXT, "cannot be a name"),
        ("a b", TEXT, "cannot be a name"),
        ("x" * 41, TEXT, "cannot be a name"),
        ("2026-11", " \n", "must have 1 to"),
        ("2026-11", "x" * 500_001, "must have 1 to"),
        ("2026-11", "a\0b", "must have 1 to"),
    ],
)
def test_what_will_not_do_is_not_published(database: Path, version: str, text: str, words: str) -> None:
    from keystead.server.terms import operations as terms
    from keystead.server.terms.models import Terms

    with pytest.raises(UsageError, match=words):
        terms.publish(Kind.COMMERCIAL, version, text, NOW, NOW)
    assert not Terms.objects.exists()


@pytest.mark.requirement("S-21 accepted")
def test_a_published_text_is_never_replaced(database: Path) -> None:
    from keystead.server.terms import operations as terms
    from keystead.server.terms.models import Terms

    publish("2026-11")
    with pytest.raises(UsageError, match="a published text never changes"):
        terms.publish(Kind.COMMERCIAL, "2026-11", "Another text.", NOW, NOW)
    assert Terms.objects.get().text == f"{TEXT} 2026-11"
    assert len(events("terms:publish")) == 1


class Terminal:
    """``keystead server terms``, over the database of the test."""

    def run(self, *arguments: str) -> Any:
        from click.testing import CliRunner

        from keystead.server import command

        return CliRunner().invoke(command.server, ["terms", *arguments])

    def facts(self, *arguments: str) -> list[dict[str, Any]]:
        told = json.loads(self.run(*arguments, "--json").output)
        assert told["schema"] == "keystead.terms/1"
        found: list[dict[str, Any]] = told["terms"]
        return found


@pytest.fixture
def terminal(database: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    from keystead.server import command_base, installation

    monkeypatch.setattr(installation, "open_database", lambda *_: None)
    monkeypatch.setattr(command_base, "moment", lambda: NOW)
    return Terminal()


def test_the_operator_publishes_and_sees_how_far_it_is_accepted(
    administrator: "Membership", terminal: Terminal, tmp_path: Path
) -> None:
    from keystead.server.terms import operations as terms

    assert "No terms are published" in terminal.run("list").output
    file = tmp_path / "terms.txt"
    file.write_text(TEXT)
    said = terminal.run("publish", "--kind", "commercial", "--version", "2026-11", str(file)).output
    assert said == "Published commercial terms 2026-11, in force from 2026-11-26 12:00 UTC on.\n"
    (made,) = terminal.facts("publish", "--kind", "consumer", "--version", "c1", "--in-force", "2026-12-24", str(file))
    assert made["in_force_at"] == "2026-12-24T00:00:00+00:00"
    assert made["sha256"] == hashlib.sha256(TEXT.encode()).hexdigest()
    newest = terms.of_kind("commercial").get()
    terms.accept(administrator, newest, NOW)
    listed = {one["version"]: one["accepted_by"] for one in terminal.facts("list")}
    assert listed == {"2026-11": {"organizations": 1, "members": 1}, "c1": {"organizations": 0, "members": 0}}
    assert "accepted by organizations: 1, members: 1" in terminal.run("list").output


def test_a_day_that_is_over_and_a_file_that_is_no_text_are_refused(terminal: Terminal, tmp_path: Path) -> None:
    from keystead.server.terms.models import Terms

    file = tmp_path / "terms.txt"
    file.write_bytes(b"\xff\xfe")
    place = ("publish", "--kind", "commercial", "--version", "1")
    assert "not text in UTF-8" in str(terminal.run(*place, str(file)).exception)
    file.write_text(TEXT)
    late = terminal.run(*place, "--in-force", "2026-11-25", str(file))
    assert isinstance(late.exception, UsageError)
    assert "lies in the past" in str(late.exception)
    assert terminal.run(*place, str(tmp_path / "missing")).exit_code == 2
    assert not Terms.objects.exists()
    today = terminal.run(*place, "--in-force", "2026-11-26", str(file))
    assert (today.exit_code, Terms.objects.get().in_force_at) == (0, NOW)
