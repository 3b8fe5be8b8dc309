"""Rotating a key: who may, for how long two secrets work, and that it stays one key (G-05)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

import pytest

from keystead.errors import PolicyDenied, UsageError
from keystead.wire import ids, tokens

if TYPE_CHECKING:
    from django.test import Client

    from keystead.server.keys.models import ApiKey
    from keystead.server.organizations.models import Membership

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def issue(owner: "Membership", **more: Any) -> "tuple[ApiKey, str]":
    from keystead.server.keys import operations

    key, secret = operations.issue(owner, "laptop", now=NOW, random_bytes=token_bytes, **more)
    return key, secret.reveal()


def rotate(key: "ApiKey", by: "Membership", overlap: timedelta = HOUR, now: datetime = NOW) -> str:
    from keystead.server.keys import rotation

    return rotation.rotate(key, by, overlap, now=now, random_bytes=token_bytes).reveal()


@pytest.fixture
def developer(administrator: "Membership") -> "Membership":
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations
    from keystead.server.organizations.roles import Role

    person = Person.objects.create_user("dev@example.com", None, created_at=NOW)
    return operations.add_member(administrator.organization, person, Role.DEVELOPER, NOW)


@pytest.mark.requirement("G-05 overlap")
def test_the_key_stays_the_same_and_only_hashes_of_its_secrets_are_kept(
    administrator: "Membership", database: Path
) -> None:
    from keystead.server.audit.models import AuditEvent
    from keystead.server.keys import operations, rotation

    key, old = issue(administrator, expires_at=NOW + DAY)
    new = rotate(key, administrator, timedelta(days=2))
    assert tokens.parse(new) is tokens.TokenKind.API_KEY
    secrets = operations.facts(key.wire_id)
    assert [digest for digest, _ in secrets] == [tokens.digest(new), tokens.digest(old)]
    assert {one.id for _, one in secrets} == {key.wire_id}
    assert {one.expires_at for _, one in secrets} == {(NOW + DAY).timestamp()}, "no secret outlives its key"
    for file in database.parent.glob("keystead.sqlite3*"):
        assert new.encode() not in file.read_bytes()
        assert old.encode() not in file.read_bytes()
    assert rotation.end_old(key, administrator, NOW)
    told = list(AuditEvent.objects.filter(target=key.wire_id).order_by("id").values_list("action", "details"))
    assert [action for action, _ in told] == ["api_key:create", "api_key:rotate", "api_key:end_old_secret"]
    assert told[1][1]["new_hint"] == new[:8]
    assert told[1][1]["old_until"] == (NOW + timedelta(days=2)).isoformat()
    assert told[2][1]["old_hint"] == old[:8]
    assert all(secret not in repr(told) for secret in (old, new))


@pytest.mark.requirement("G-05 overlap")
def test_the_control_plane_takes_the_old_secret_until_it_ends(administrator: "Membership") -> None:
    from keystead.server.keys import operations

    key, old = issue(administrator)
    new = rotate(key, administrator, HOUR)
    for secret in (old, new):
        found = operations.usable(tokens.digest(secret), NOW + HOUR - timedelta(seconds=1))
        assert found == key
        assert operations.principal_of(found).expires_at is None
    assert operations.usable(tokens.digest(old), NOW + HOUR) is None
    assert operations.usable(tokens.digest(new), NOW + HOUR) == key


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=7, seconds=1), timedelta(days=365)])
def test_an_overlap_out_of_bounds_is_refused(administrator: "Membership", overlap: timedelta) -> None:
    key, _ = issue(administrator)
    with pytest.raises(UsageError, match="overlap"):
        rotate(key, administrator, overlap)


@pytest.mark.requirement("G-05 overlap")
def test_there_are_never_three_secrets(administrator: "Membership") -> None:
    from keystead.server.keys import operations

    key, _ = issue(administrator)
    second = rotate(key, administrator)
    with pytest.raises(UsageError, match="Two secrets"):
        rotate(key, administrator)
    third = rotate(key, administrator, now=NOW + HOUR)
    assert [digest for digest, _ in operations.facts(key.wire_id)] == [tokens.digest(third), tokens.digest(second)]
    fourth = rotate(key, administrator, timedelta(0), now=NOW + HOUR)
    assert [digest for digest, _ in operations.facts(key.wire_id)] == [tokens.digest(fourth)]


@pytest.mark.requirement("G-08 rotation")
def test_a_key_is_rotated_by_its_owner_only_and_an_administrator_may_end_its_old_secret(
    administrator: "Membership", developer: "Membership"
) -> None:
    from keystead.server.keys import rotation
    from keystead.server.organizations import memberships
    from keystead.server.organizations.roles import Role

    mine, _ = issue(administrator)
    theirs, _ = issue(developer)
    for key, by in ((theirs, administrator), (mine, developer)):
        with pytest.raises(PolicyDenied, match="Only its owner"):
            rotate(key, by)
    rotate(theirs, developer)
    rotate(mine, administrator)
    with pytest.raises(PolicyDenied, match="only your own"):
        rotation.end_old(mine, developer, NOW)
    assert rotation.end_old(theirs, administrator, NOW)
    memberships.change_role(developer, Role.BILLING, "mem_0", NOW)
    with pytest.raises(PolicyDenied, match="billing"):
        rotate(theirs, developer)


def test_what_has_ended_is_not_rotated(administrator: "Membership") -> None:
    from keystead.server.keys import operations

    expired, _ = issue(administrator, expires_at=NOW + HOUR)
    with pytest.raises(UsageError, match="has ended"):
        rotate(expired, administrator, now=NOW + HOUR)
    revoked, _ = issue(administrator)
    operations.revoke(revoked, administrator, NOW)
    with pytest.raises(UsageError, match="changed by somebody else"):
        rotate(revoked, administrator)
    revoked.refresh_from_db()
    with pytest.raises(UsageError, match="has ended"):
        rotate(revoked, administrator)


@pytest.mark.requirement("G-05 one key")
def test_a_suspension_holds_for_both_secrets(administrator: "Membership") -> None:
    from contextlib import closing

    from keystead.server.allowed_models import AllowedModels, policy_truth
    from keystead.server.changes import CHANGES
    from keystead.server.keys import operations
    from keystead.server.permits import Permits, permit_truth
    from keystead.server.suspensions import operations as suspensions

    key, _ = issue(administrator)
    rotate(key, administrator)
    with (
        closing(AllowedModels(policy_truth(), CHANGES)) as models,
        closing(Permits(permit_truth(), models, CHANGES)) as permits,
    ):
        assert {permits.of(one).refuses("m") for _, one in operations.facts(key.wire_id)} == {None}
        suspensions.suspend(administrator, key.wire_id, "Leaked", NOW)
        refused = [permits.of(one).refuses("m") for _, one in operations.facts(key.wire_id)]
        assert [one is not None and "Leaked" in one.reason for one in refused] == [True, True]


@pytest.fixture
def signed_in(web: "Client", administrator: "Membership") -> "Client":
    web.force_login(administrator.person)
    return web


@pytest.mark.requirement("G-05 overlap")
def test_the_page_rotates_shows_the_new_secret_once_and_ends_the_old_one(
    signed_in: "Client", administrator: "Membership"
) -> None:
    key, old = issue(administrator)
    page = f"/keys/{key.wire_id}/rotate"
    assert old[:8] in signed_in.get(page).content.decode()
    answer = signed_in.post(page, {"overlap": "3600"})
    shown = answer.content.decode()
    key.refresh_from_db()
    assert answer.status_code == 200
    assert shown.count(key.hint) >= 1
    assert tokens.digest(shown.partition('aria-label="API key">')[2].partition("<")[0]) == bytes(key.digest)
    listed, told = signed_in.get("/keys").content.decode(), signed_in.get(page).content.decode()
    assert "two secrets" in listed
    assert "not since the rotation" in told
    assert signed_in.post(page, {"overlap": "3600"}).status_code == 422
    assert signed_in.post(page, {"overlap": "5"}).status_code == 422
    assert signed_in.get(f"{page}/end").status_code == 405
    assert signed_in.post(f"{page}/end").headers["Location"] == page
    assert "two secrets" not in signed_in.get("/keys").content.decode()


def test_another_members_key_is_not_rotated_by_the_page(signed_in: "Client", developer: "Membership") -> None:
    key, _ = issue(developer)
    page = f"/keys/{key.wire_id}/rotate"
    assert "Only dev@example.com may rotate it" in signed_in.get(page).content.decode()
    assert signed_in.post(page, {"overlap": "0"}).status_code == 422
    assert signed_in.get(f"/keys/{ids.dump('api_key', developer.pk)}/rotate").status_code == 404
