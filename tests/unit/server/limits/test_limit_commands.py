"""``keystead server limits``: what it sets is what the console and the admin API show, and it is audited."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Callable

    from keystead.server.organizations.models import Membership

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


@pytest.fixture
def run(administrator: "Membership", monkeypatch: pytest.MonkeyPatch) -> "Callable[..., str]":
    """Return a function that runs the command over the test's database and gives what it printed."""
    from keystead.server import installation
    from keystead.server.command import server

    monkeypatch.setattr(installation, "open_database", lambda *_: None)

    def ran(*arguments: str, fails: str = "") -> str:
        result = CliRunner().invoke(server, ["limits", *arguments])
        if fails:
            assert result.exception is not None
            assert fails in f"{result.output}{result.exception}"
            return ""
        assert result.exit_code == 0, result.output or result.exception
        return result.output

    return ran


def told(text: str) -> Any:
    document = json.loads(text)
    assert (document["schema"], document["organization"]) == ("keystead.limits/1", "Example")
    return document


def test_a_limit_is_set_listed_changed_and_removed_and_all_of_it_is_audited(run: "Callable[..., str]") -> None:
    from keystead.server.audit import operations as audit
    from keystead.server.audit.models import AuditEvent

    assert run("list") == "Example has no limit: everybody may spend what they like.\n"
    made = told(run("set", "250", "--json"))["limit"]
    name = made.pop("id")
    assert made.pop("subject").startswith("org_")
    assert made == {
        "for": "Everybody, each",
        "scope": "organization",
        "shared": False,
        "measure": "spend",
        "period": "monthly",
        "amount": 250_000_000,
        "beyond": "stopped",
        "used": None,
    }
    assert run("set", "12.50") == f"{name}  Everybody, each: 12.50 USD a month\n"
    assert run("list") == f"{name}  Everybody, each: 12.50 USD a month\n"
    assert run("set", "none") == f"{name}  Everybody, each: no limit of USD a month\n"
    assert told(run("remove", name, "--json"))["removed"]["id"] == name
    run("remove", name, fails=f"Example has no limit {name}.")
    events = AuditEvent.objects.filter(target=name).order_by("id").values_list("action", "actor")
    actions = ("limit:create", "limit:update", "limit:update", "limit:remove")
    assert list(events) == [(action, audit.SYSTEM) for action in actions]


@pytest.mark.requirement("S-25 allowance")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("5 --of allowance --beyond metered", "Everybody, each: 5.00 USD of a flat rate in 5 hours, then metered"),
        ("5 --of allowance --group Pro", "Pro: each member: 5.00 USD of a flat rate in 5 hours, then stopped"),
        ("5 --of allowance --period seven_days", "Everybody, each: 5.00 USD of a flat rate in 7 days, then stopped"),
        ("900 --group Pro --shared", "Pro: all together: 900.00 USD a month; used 0.00 USD, 0 %"),
        ("60 --of requests --member ADA@example.com", "ada@example.com: 60 requests a minute"),
        ("4 --of concurrent --workspace Default", "Workspace Default: 4 requests at the same time"),
    ],
)
def test_everybody_a_group_a_person_and_a_workspace_can_have_one(
    run: "Callable[..., str]", administrator: "Membership", arguments: str, said: str
) -> None:
    from keystead.server.organizations import groups
    from keystead.server.organizations.models import GroupSource

    groups.create(administrator.organization, "Pro", source=GroupSource.CONSOLE, actor="mem_1", now=NOW)
    assert run("set", *arguments.split()).partition("  ")[2] == f"{said}\n"
    assert run("list").count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("x", "The amount is not one."),
        ("1.5 --of requests", "The amount is not a whole number."),
        ("1 --member nobody@example.com", "--member: Example has no member nobody@example.com."),
        ("1 --group Pro", "--group: Example has no group Pro."),
        ("1 --key key_1", "no such api_key: key_1"),
        ("1 --group Pro --workspace Default", "--group and --workspace: a limit is for one of them."),
        ("1 --period minute", "period: spend is limited over:"),
        ("1 --beyond metered", "beyond: only an allowance can be metered beyond."),
        ("1 --of allowance --workspace Default", "scope: an allowance is for people, each."),
    ],
)
def test_what_cannot_be_is_said_with_its_option(run: "Callable[..., str]", arguments: str, words: str) -> None:
    run("set", *arguments.split(), fails=words)
    assert "no limit" in run("list")


def test_a_name_does_nothing_to_the_terminal(run: "Callable[..., str]", administrator: "Membership") -> None:
    from keystead.server.organizations.models import Workspace

    Workspace.objects.create(organization=administrator.organization, name="\x1b[2J", created_at=NOW)
    assert "\x1b" not in run("set", "1", "--workspace", "\x1b[2J")
