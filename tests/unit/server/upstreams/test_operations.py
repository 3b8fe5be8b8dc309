"""Upstreams are kept by who may, in an order, with their credentials encrypted."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from keystead.errors import ConfigurationError, PolicyDenied, UsageError
from keystead.server.changes import CHANGES, Change
from keystead.server.fixed_credential import NO_CREDENTIAL
from keystead.server.settings import ServerSettings
from keystead.server.upstream_shape import Kind

if TYPE_CHECKING:
    from keystead.server.organizations.models import Membership
    from keystead.server.upstreams.models import Upstream

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
SERVER = ServerSettings(data_dir=Path("/"), public_url="https://keys.example.com")
CANARY = "sk-ant-api03-canary"


def add(member: "Membership", name: str = "Claude", kind: Kind = Kind.ANTHROPIC, **more: Any) -> "Upstream":
    from keystead.server.upstreams import operations

    return operations.create(member, kind, operations.Draft(name, **more), SERVER, NOW)


def names(member: "Membership") -> list[str]:
    from keystead.server.upstreams import operations

    return [one.name for one in operations.all_of(member)]


def test_they_have_an_order_that_is_changed_one_place_at_a_time(administrator: "Membership") -> None:
    from keystead.server.upstreams import operations

    first, _, last = (add(administrator, name) for name in "ABC")
    operations.move(administrator, last, True, NOW)
    operations.move(administrator, first, True, NOW)
    assert names(administrator) == ["A", "C", "B"]
    operations.remove(administrator, last, NOW)
    assert names(administrator) == ["A", "B"]
    assert operations.find(administrator, last.wire_id) is None
    assert operations.find(administrator, "upst_1") is None


def test_each_kind_has_its_usual_address_and_what_it_needs_is_asked_for(administrator: "Membership") -> None:
    assert add(administrator).base_url == "https://api.anthropic.com"
    bedrock = add(administrator, "B", Kind.BEDROCK, region="eu-west-1")
    assert bedrock.base_url == "https://bedrock-runtime.eu-west-1.amazonaws.com"
    vertex = add(administrator, "V", Kind.VERTEX, region="global", project="p-1")
    assert vertex.base_url == "https://aiplatform.googleapis.com/v1"
    aws = add(administrator, "P", Kind.AWS, region="us-east-1", headers={"Anthropic-Workspace-Id": "wrk_1"})
    assert aws.headers == {"anthropic-workspace-id": "wrk_1"}
    for kind, more, said in (
        (Kind.BEDROCK, {}, "region is missing"),
        (Kind.BEDROCK, {"region": "x.evil.example/"}, "region has something"),
        (Kind.VERTEX, {"region": "global"}, "project is missing"),
        (Kind.AWS, {"region": "us-east-1"}, "anthropic-workspace-id is missing"),
        (Kind.FOUNDRY, {}, "base_url is missing"),
        (Kind.MESSAGES, {"base_url": "https://10.0.0.1"}, "base_url names 10.0.0.1"),
        (Kind.MESSAGES, {"base_url": "https://169.254.169.254"}, "base_url names 169.254.169.254"),
        (Kind.MESSAGES, {"base_url": "http://localhost:1"}, "base_url names localhost"),
        (Kind.MESSAGES, {"base_url": "http://llm.example.com"}, "base_url is not https"),
        (Kind.MESSAGES, {"base_url": "https://a:b@llm.example.com"}, "a user name or password"),
        (Kind.MESSAGES, {"base_url": "https://llm.example.com/x?y"}, "a query"),
        (Kind.ANTHROPIC, {"models": {"a b": "c"}}, "models: 'a b'"),
        (Kind.ANTHROPIC, {"serves": ("a b",)}, "serves: 'a b'"),
        (Kind.ANTHROPIC, {"headers": {"X-Api-Key": "k"}}, "headers: x-api-key is set by the gateway"),
        (Kind.ANTHROPIC, {"headers": {"x": "a\r\nhost: b"}}, "headers: 'x' is not the line"),
        (Kind.ANTHROPIC, {"first_byte_seconds": 0.1}, "first_byte_seconds is not"),
        (Kind.ANTHROPIC, {"name": " "}, "name: an upstream has one"),
        (Kind.ANTHROPIC, {"name": "Claude"}, "already an upstream called Claude"),
    ):
        with pytest.raises(UsageError, match=said):
            add(administrator, **({"name": "X", "kind": kind} | more))


def test_a_credential_rests_encrypted_and_is_written_down_without_itself(administrator: "Membership") -> None:
    from keystead.server.audit.models import AuditEvent
    from keystead.server.upstreams import operations

    heard: list[Change] = []
    unsubscribe = CHANGES.subscribe(heard.append)
    upstream = add(administrator)
    operations.set_credential(administrator, upstream, "api_key", {"key": CANARY}, SERVER, NOW)
    unsubscribe()
    upstream.refresh_from_db()
    assert heard == [Change("upstream", upstream.wire_id)] * 2
    assert CANARY not in upstream.sealed_credential
    assert operations.fields_of(upstream) == {"key": CANARY}
    events = AuditEvent.objects.filter(target=upstream.wire_id).order_by("at", "id")
    assert [one.action for one in events] == ["upstream:create", "upstream:set_credential"]
    assert all(CANARY not in str(one.details) for one in events)
    upstream.sealed_credential = upstream.sealed_credential[:-3] + "AAA"
    with pytest.raises(ConfigurationError, match="upstream credential cannot be opened"):
        operations.fields_of(upstream)


def test_a_credential_goes_to_no_other_host_than_it_was_entered_for(administrator: "Membership") -> None:
    from keystead.server.upstreams import operations

    upstream = add(administrator, kind=Kind.MESSAGES, base_url="https://llm.example.com/a")
    operations.set_credential(administrator, upstream, "api_key", {"key": CANARY}, SERVER, NOW)
    draft = operations.Draft("Claude", "https://llm.example.com/b")
    operations.change(administrator, upstream, draft, upstream.version, SERVER, NOW)
    assert operations.fields_of(upstream) == {"key": CANARY}
    operations.note(upstream, works=True, result="It answered.", now=NOW)
    elsewhere = replace(draft, base_url="https://evil.example")
    operations.change(administrator, upstream, elsewhere, upstream.version, SERVER, NOW)
    assert (upstream.method, upstream.sealed_credential, upstream.works) == ("", "", None)
    with pytest.raises(UsageError, match="Somebody changed this upstream"):
        operations.change(administrator, upstream, draft, 1, SERVER, NOW)


def test_only_the_operator_lets_the_servers_machine_be_read(administrator: "Membership") -> None:
    from keystead.server.upstreams import operations

    upstream = add(administrator)
    for value in ("env:PATH", "file:/etc/shadow", "exec:id"):
        with pytest.raises(PolicyDenied, match="kept on the server's own machine") as raised:
            operations.set_credential(administrator, upstream, "api_key", {"key": value}, SERVER, NOW)
        assert raised.value.move == "operator"
    opened = replace(SERVER, upstream_references="env:MODELS_KEY")
    operations.set_credential(administrator, upstream, "api_key", {"key": "env:MODELS_KEY"}, opened, NOW)
    assert operations.fields_of(upstream) == {"key": "env:MODELS_KEY"}


def test_who_may_not_does_nothing(administrator: "Membership") -> None:
    from keystead.server.upstreams import operations

    upstream = add(administrator)
    administrator.role = "developer"
    for attempt in (
        lambda: add(administrator, "X"),
        lambda: operations.set_credential(administrator, upstream, "api_key", {"key": "k"}, SERVER, NOW),
        lambda: operations.change(administrator, upstream, operations.Draft("X"), 1, SERVER, NOW),
        lambda: operations.move(administrator, upstream, True, NOW),
        lambda: operations.switch(administrator, upstream, on=False, now=NOW),
        lambda: operations.remove(administrator, upstream, NOW),
        lambda: operations.tested(administrator, upstream, works=True, result="", now=NOW),
    ):
        with pytest.raises(PolicyDenied, match="may not manage upstreams"):
            attempt()


def test_an_outcome_of_an_older_state_is_not_kept(administrator: "Membership") -> None:
    from keystead.server.upstreams import operations
    from keystead.server.upstreams.models import Upstream

    upstream = add(administrator)
    before = Upstream.objects.get()
    operations.switch(administrator, upstream, on=False, now=NOW)
    operations.note(before, works=True, result="It answered.", now=NOW)
    assert Upstream.objects.get().works is None
    operations.tested(administrator, upstream, works=False, result="It refused.", now=NOW)
    kept = Upstream.objects.get()
    assert (kept.works, kept.checked_result, kept.enabled) == (False, "It refused.", False)


def test_where_bedrock_may_process_requests_is_chosen_from_amazons_profiles(administrator: "Membership") -> None:
    add(administrator, "A", Kind.BEDROCK, region="eu-central-1", profile="global")
    add(administrator, "B", Kind.VERTEX, region="global", project="p-1", profile="global")
    with pytest.raises(UsageError, match="profile: 'mars' is no inference profile") as refused:
        add(administrator, "C", Kind.BEDROCK, region="eu-central-1", profile="mars")
    assert "Choose one of region, us, eu," in (refused.value.hint or "")
    assert names(administrator) == ["A", "B"]


def test_what_a_name_becomes_is_the_administrators_word_then_the_clouds(administrator: "Membership") -> None:
    from keystead.server.upstreams import credentials, naming

    mine = {"claude-opus-5-5": "arn:aws:bedrock:eu-central-1:1:application-inference-profile/x"}
    upstream = add(administrator, kind=Kind.BEDROCK, region="eu-central-1", models=mine)
    assert naming.of(upstream, "claude-opus-5-5")[1:] == (mine["claude-opus-5-5"], "by your own names for models")
    assert naming.of(upstream, "claude-opus-5") == (
        "claude-opus-5",
        "eu.anthropic.claude-opus-5",
        "the profile of the European Union, by the region",
    )
    assert naming.of(upstream, "claude-opus-4-1").why == (
        "the region alone: no profile within the geography of eu-central-1 is known"
    )
    assert naming.of(upstream, "claude-opus-99") == ("claude-opus-99", "claude-opus-99", "as it is")
    listed = naming.all_of(upstream)
    assert listed[0].name == "claude-opus-5-5"
    assert len(listed) == len({one.name for one in listed})
    shape = credentials.shape(upstream, NO_CREDENTIAL)
    assert (shape.models, shape.known["claude-opus-5"]) == (mine, "eu.anthropic.claude-opus-5")
    assert naming.all_of(add(administrator, "Plain")) == []
