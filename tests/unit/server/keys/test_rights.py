"""A key can do what its owner can, and no more, after whatever happens to them (G-08)."""

import random
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pytest

from keystead.clock import SYSTEM_CLOCK
from keystead.server.allowed_models import AllowedModels, policy_truth
from keystead.server.changes import CHANGES
from keystead.server.directory import SnapshotDirectory
from keystead.server.organizations.roles import Permission, Role, allows
from keystead.server.permits import Permits, permit_truth
from keystead.wire import ids, tokens

if TYPE_CHECKING:
    from django.test import Client

    from keystead.server.keys.models import Purpose
    from keystead.server.organizations.models import Group, Membership

START: Final = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
MODELS: Final = ("claude-haiku-4-5", "claude-opus-5", "claude-sonnet-4-5")
STEPS: Final = 40


class Walk:
    """One member, their keys, and a walk through all that can happen to them."""

    def __init__(self, administrator: "Membership", steps: random.Random) -> None:
        from keystead.server.identity.models import Person
        from keystead.server.organizations import groups, operations
        from keystead.server.organizations.models import GroupSource
        from keystead.server.policies import operations as policies

        self.by, self.steps, self.now = administrator, steps, START
        self.keys: dict[str, tuple[Purpose, datetime]] = {}
        person = Person.objects.create_user("bo@example.com", None, created_at=START)
        self.owner = operations.add_member(administrator.organization, person, Role.DEVELOPER, START)
        organization = administrator.organization
        self.group: Group = groups.create(
            organization, "Builders", source=GroupSource.CONSOLE, actor="per_1", now=START
        )
        policies.create(administrator, policies.Draft("Base", '{"availableModels": ["haiku", "sonnet"]}'), START)
        special = '{"availableModels": ["haiku", "opus"], "deniedModels": ["claude-opus-4"]}'
        policies.create(administrator, policies.Draft("Builders", special, (self.group,)), START)

    def step(self) -> str:
        """Let one thing happen; returns what."""
        happen: Callable[[], object] = self.steps.choice(
            [self.make, self.make, self.role, self.role, self.end, self.join, self.leave, self.suspend]
            + 2 * [self.return_, self.lift]
        )
        self.now += timedelta(seconds=1)
        happen()
        self.owner.refresh_from_db()
        return happen.__name__

    def make(self) -> None:
        from keystead.errors import PolicyDenied
        from keystead.server.keys import operations
        from keystead.server.keys.models import Purpose

        purpose = self.steps.choice(list(Purpose))
        try:
            _, secret = operations.issue(
                self.owner, "key", purpose=purpose, now=self.now, random_bytes=self.steps.randbytes
            )
        except PolicyDenied:
            return
        self.keys[secret.reveal()] = (purpose, self.now)

    def role(self) -> None:
        from keystead.server.organizations import memberships

        memberships.change_role(
            self.owner, self.steps.choice([*Role, Role.DEVELOPER, Role.DEVELOPER]), "per_1", self.now
        )

    def end(self) -> None:
        from keystead.server.organizations import memberships

        memberships.deactivate(self.owner, "per_1", "left", self.now)

    def return_(self) -> None:
        from keystead.server.organizations import memberships

        memberships.reactivate(self.owner, "per_1", self.now)

    def join(self) -> None:
        from keystead.server.organizations import groups

        groups.set_members(self.group, [self.owner], "per_1", self.now)

    def leave(self) -> None:
        from keystead.server.organizations import groups

        groups.set_members(self.group, [], "per_1", self.now)

    def suspend(self) -> None:
        from keystead.server.suspensions import operations

        operations.suspend(self.by, ids.dump("membership", self.owner.pk), "Away", self.now)

    def lift(self) -> None:
        from keystead.server.suspensions import operations

        operations.lift(self.by, ids.dump("membership", self.owner.pk), self.now)

    def owners_models(self) -> set[str]:
        """Return what the owner may use, asked of the database and not of any snapshot."""
        from keystead.server.organizations import memberships
        from keystead.server.policies import operations as policies
        from keystead.server.policy.managed_settings import models
        from keystead.server.policy.model_access import access_to
        from keystead.server.suspensions import operations as suspensions

        suspended = suspensions.reason_for(self.owner.organization_id, ids.dump("membership", self.owner.pk))
        alive = memberships.holds(self.owner, self.now)
        if suspended or not alive or not allows(self.owner.role, Permission.MODELS_USE):
            return set()
        delivered = policies.delivery_to(self.owner)
        rules = None if delivered is None else models(delivered.settings)
        assert rules is not None
        return {model for model in MODELS if access_to(rules).allows(model)}

    def expected(self, purpose: "Purpose", made: datetime) -> set[str]:
        """Return what a key may use: what its owner may, if they may still have such a key."""
        from keystead.server.keys.operations import RIGHT_TO_CREATE
        from keystead.server.organizations import memberships

        carried = memberships.holds(self.owner, made) and allows(self.owner.role, RIGHT_TO_CREATE[purpose])
        return self.owners_models() if carried else set()


@pytest.mark.requirement("G-08 intersection")
@pytest.mark.parametrize("seed", range(3))
def test_a_key_has_at_every_request_what_its_owner_has(administrator: "Membership", seed: int) -> None:
    from keystead.server import background

    walk = Walk(administrator, random.Random(seed))
    directory = SnapshotDirectory(background.truth(), SYSTEM_CLOCK, CHANGES)
    models = AllowedModels(policy_truth(), CHANGES)
    with closing(directory), closing(models), closing(Permits(permit_truth(), models, CHANGES)) as permits:

        def usable(key: str) -> set[str]:
            principal = directory.by_key(tokens.digest(key))
            if principal is None:
                return set()
            return {model for model in MODELS if permits.of(principal).refuses(model) is None}

        happened: list[str] = []
        seen: set[frozenset[str]] = set()
        for _ in range(STEPS):
            happened.append(walk.step())
            for key, made in walk.keys.items():
                assert usable(key) == walk.expected(*made), happened
                seen.add(frozenset(usable(key)))
    assert len(seen) > 1, "the walk changed nothing"


@pytest.mark.requirement("G-08 own")
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("purpose", ["agent", "any"])
def test_whatever_a_form_says_a_key_is_its_makers_own(
    web: "Client", administrator: "Membership", role: Role, purpose: str
) -> None:
    """Also whom it names, whose rights, which organization or workspace: none of it is read."""
    from keystead.server.identity.models import Person
    from keystead.server.keys.models import ApiKey, Purpose
    from keystead.server.keys.operations import RIGHT_TO_CREATE
    from keystead.server.organizations import operations

    person = Person.objects.create_user("bo@example.com", None, created_at=START)
    maker = operations.add_member(administrator.organization, person, role, START)
    other = ids.dump("membership", administrator.pk)
    named = dict.fromkeys(("member", "member_id", "owner", "user_id", "by", "id", "key_id"), other)
    more = {**named, "role": "admin", "organization": "Elsewhere", "workspace": "Elsewhere", "digest": "0" * 64}
    web.force_login(person)
    answer = web.post("/keys", {"name": "key", "purpose": purpose, "lifetime": "30", **more})
    may = allows(role, RIGHT_TO_CREATE[Purpose(purpose)])
    assert (answer.status_code == 200) is may
    made = list(ApiKey.objects.all())
    assert [(one.member, one.organization, one.purpose) for one in made] == may * [
        (maker, administrator.organization, purpose)
    ]
