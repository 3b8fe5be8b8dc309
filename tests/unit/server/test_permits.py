"""The snapshot of permits is what the registry, the suspensions and the switches say, after every change."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

import pytest

from keystead.server.allowed_models import AllowedModels, PolicyTruth, policy_truth
from keystead.server.changes import CHANGES, Change, Changes
from keystead.server.permits import Permits, PermitTruth, permit_truth
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.policy.decide import Plan, RegisteredClient, Suspension, Switches
from keystead.server.policy.limits import Beyond, Measure, Period, Scope
from keystead.server.policy.plans import Plans
from keystead.server.policy.terms import NOTHING
from keystead.wire import ids

if TYPE_CHECKING:
    from keystead.server.organizations.models import Membership

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
MODEL = "claude-sonnet-4-5"


@pytest.fixture
def permits(administrator: "Membership") -> Iterator[Permits]:
    """The snapshot over the test's database, hearing what the process hears."""
    with (
        closing(AllowedModels(policy_truth(), CHANGES)) as models,
        closing(Permits(permit_truth(), models, CHANGES)) as one,
    ):
        yield one


def caller(member: "Membership", client: str | None = None, thumbprint: str = "") -> Principal:
    kind = PrincipalKind.API_KEY if client is None else PrincipalKind.SESSION
    organization, owner = ids.dump("organization", member.organization_id), ids.dump("membership", member.pk)
    name = "key_1" if client is None else f"gra_{client}"
    return Principal(kind, name, organization, "wrk_1", owner, client, key_thumbprint=thumbprint)


def rule(permits: Permits, principal: Principal) -> str | None:
    refused = permits.of(principal).refuses(MODEL)
    return None if refused is None else refused.rule.id


def register(administrator: "Membership", **more: Any) -> Any:
    from keystead.server.authorization import registry
    from keystead.server.authorization.models import AuthMethod

    wanted = {"name": "App", "auth_method": AuthMethod.NONE, "grant_types": ["authorization_code"], **more}
    uris = ["https://app.example.com/callback"]
    made, _ = registry.register(administrator, registry.Registration(redirect_uris=uris, **wanted), NOW, token_bytes)
    return made


def test_a_permit_is_kept_until_something_changes(administrator: "Membership", permits: Permits) -> None:
    from keystead.server.organizations import switches

    key = caller(administrator)
    first = permits.of(key)
    assert permits.of(key) is first
    assert rule(permits, key) is None
    assert not permits.zero_retention(key)
    assert switches.turn(administrator, switches.Switch.ZERO_RETENTION, True, NOW)
    assert permits.of(key) is not first
    assert permits.zero_retention(key)


def test_a_persons_sign_in_counts_only_in_first_party_clients(administrator: "Membership", permits: Permits) -> None:
    ours = register(administrator, name="Ours", first_party=True, scope="openid models:use")
    theirs = register(administrator, name="Theirs", scope="openid")
    assert rule(permits, caller(administrator, "keystead-cli")) is None
    assert rule(permits, caller(administrator, ours.client_id)) is None
    assert rule(permits, caller(administrator, theirs.client_id)) == "person-sign-in"
    assert rule(permits, caller(administrator, "cli_unknown")) == "unknown-client"


def test_a_service_account_may_use_any_registered_client(administrator: "Membership", permits: Permits) -> None:
    organization = ids.dump("organization", administrator.organization_id)
    theirs = register(administrator, scope="openid")
    token = Principal(
        PrincipalKind.SESSION, "gra_2", organization, "wrk_1", None, theirs.client_id, service_account_id="svac_1"
    )
    assert rule(permits, token) is None


def test_proven_clients_are_those_that_are_bound_or_authenticate(administrator: "Membership", permits: Permits) -> None:
    from keystead.server.authorization.models import AuthMethod
    from keystead.server.organizations import switches

    confidential = register(
        administrator, auth_method=AuthMethod.CLIENT_SECRET_BASIC, first_party=True, scope="openid models:use"
    )
    assert rule(permits, caller(administrator, "keystead-cli")) is None
    switches.turn(administrator, switches.Switch.PROVEN_CLIENTS, True, NOW)
    assert rule(permits, caller(administrator, "keystead-cli")) == "proven-clients"
    assert rule(permits, caller(administrator, "keystead-cli", thumbprint="x" * 43)) is None
    assert rule(permits, caller(administrator, confidential.client_id)) is None
    assert rule(permits, caller(administrator)) is None, "a key is no sign-in"


def test_models_and_policies_reach_the_permit(administrator: "Membership", permits: Permits) -> None:
    from keystead.server.policies import operations as policies

    key = caller(administrator)
    assert rule(permits, key) is None
    policies.create(administrator, policies.Draft("Base", json.dumps({"availableModels": ["haiku"]})), NOW)
    assert rule(permits, key) == "available-models"


@pytest.mark.requirement("S-23 suspension")
@pytest.mark.parametrize("subject", ["key_1", "member", "client"])
def test_a_suspension_counts_at_once_and_until_it_is_lifted(
    administrator: "Membership", permits: Permits, subject: str
) -> None:
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations
    from keystead.server.organizations.roles import Role
    from keystead.server.suspensions import operations as suspensions

    person = Person.objects.create_user("bo@example.com", None, created_at=NOW)
    bo = operations.add_member(administrator.organization, person, Role.DEVELOPER, NOW)
    who = caller(bo, "keystead-cli") if subject == "client" else caller(bo)
    name = {"member": ids.dump("membership", bo.pk), "client": "keystead-cli"}.get(subject, subject)
    assert rule(permits, who) is None
    assert suspensions.suspend(administrator, name, "Sold to others", NOW)
    refused = permits.of(who).refuses(MODEL)
    assert refused is not None
    assert "suspended: Sold to others (rule suspended" in refused.sentence
    assert not suspensions.suspend(administrator, name, "Again", NOW)
    assert suspensions.lift(administrator, name, NOW)
    assert not suspensions.lift(administrator, name, NOW)
    assert rule(permits, who) is None


@pytest.mark.parametrize(
    ("beyond", "of_keys", "of_plan"),
    [(Beyond.METERED, None, Plan.METERED), (Beyond.STOPPED, "individual-use", Plan.ALLOWANCE)],
)
@pytest.mark.requirement("S-20 allowance")
def test_the_plan_of_a_caller_is_what_their_allowance_makes_of_it(
    administrator: "Membership", permits: Permits, beyond: Beyond, of_keys: str | None, of_plan: Plan
) -> None:
    from keystead.server.limits import operations
    from keystead.server.limits.operations import Draft

    key, signed_in = caller(administrator), caller(administrator, "keystead-cli")
    service = replace(key, kind=PrincipalKind.SESSION, id="gra_2", member_id=None, service_account_id="svac_1")
    assert {permits.facts(one).plan for one in (key, signed_in, service)} == {Plan.METERED}
    wanted = Draft(Scope.ORGANIZATION, "", Measure.ALLOWANCE, Period.FIVE_HOURS, 10_000, beyond=beyond)
    limit = operations.put(administrator, wanted, NOW)
    assert [permits.facts(one).plan for one in (key, signed_in, service)] == [of_plan, Plan.ALLOWANCE, Plan.METERED]
    assert (rule(permits, key), rule(permits, signed_in)) == (of_keys, None)
    assert operations.remove(administrator, limit, NOW)
    assert rule(permits, key) is None


def test_who_joins_a_group_has_its_plan_at_once(administrator: "Membership", permits: Permits) -> None:
    from keystead.server.limits import operations
    from keystead.server.limits.operations import Draft
    from keystead.server.organizations import groups
    from keystead.server.organizations.models import GroupSource

    made = groups.create(administrator.organization, "Pro", source=GroupSource.CONSOLE, actor="mem_1", now=NOW)
    operations.put(administrator, Draft(Scope.GROUP, made.wire_id, Measure.ALLOWANCE, Period.SEVEN_DAYS, 10_000), NOW)
    signed_in = caller(administrator, "keystead-cli")
    assert permits.facts(signed_in).plan == Plan.METERED
    groups.put_in(made, administrator, "mem_1", NOW)
    assert permits.facts(signed_in).plan == Plan.ALLOWANCE


class _Truth:
    """A control plane that can be in trouble, and says who is suspended."""

    def __init__(self) -> None:
        self.trouble: Exception | None = None
        self.suspended: dict[tuple[str, str], Suspension] = {}

    def checked(self, answer: Any) -> Any:
        if self.trouble is not None:
            raise self.trouble
        return answer

    def truth(self) -> PermitTruth:
        return PermitTruth(
            clients=lambda: self.checked({"app": RegisteredClient(None, True, False)}),
            client=lambda _: self.checked(None),
            suspensions=lambda: self.checked(dict(self.suspended)),
            switches=lambda: self.checked({"org_1": Switches(zero_retention=True)}),
            plans=lambda: self.checked(Plans({}, {})),
            terms=lambda: self.checked(NOTHING),
        )


@pytest.mark.parametrize("subject", ["client", "limit", "suspension", "switches", "terms"])
def test_trouble_after_the_start_leaves_what_was_read_last(subject: Any) -> None:
    changes, behind = Changes(), _Truth()
    nobody = PolicyTruth(dict, lambda _, __: (), lambda _: None)
    key = Principal(PrincipalKind.API_KEY, "key_1", "org_1", "wrk_1", "mem_1")
    with (
        closing(AllowedModels(nobody, changes)) as models,
        closing(Permits(behind.truth(), models, changes)) as permits,
    ):
        behind.trouble = OSError("no database")
        behind.suspended["org_1", "mem_1"] = Suspension("Your membership", "no")
        changes.publish(Change(subject, "x"))
        assert rule(permits, key) is None
        assert permits.zero_retention(key)
        with pytest.raises(OSError, match="no database"):
            permits.refresh()
        behind.trouble = None
        permits.refresh()
        assert rule(permits, key) == "suspended"


def test_the_memory_of_permits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keystead.server.permits._AT_MOST", 3)
    changes, nobody = Changes(), PolicyTruth(dict, lambda _, __: (), lambda _: None)
    with (
        closing(AllowedModels(nobody, changes)) as models,
        closing(Permits(_Truth().truth(), models, changes)) as permits,
    ):
        for number in range(10):
            permits.of(Principal(PrincipalKind.API_KEY, f"key_{number}", "org_1", "wrk_1", "mem_1"))
            assert len(permits._known) <= 3
