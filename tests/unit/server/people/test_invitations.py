"""An invitation lets one person in, once, with what its maker may still give at that moment."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

import pytest

from keystead.errors import CredentialRejected, PolicyDenied, UsageError
from keystead.server.organizations import roles
from keystead.server.organizations.roles import Permission, Role
from keystead.wire import ids, tokens

if TYPE_CHECKING:
    from keystead.server.identity.models import Person
    from keystead.server.organizations.models import Group, Membership
    from keystead.server.people.invitations import Made

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=6)
PASSWORD = "correct horse battery"


def maker(by: "Membership", *, by_mail: bool = False) -> Any:
    from keystead.server.people.invitations import Maker

    return Maker(by.organization, by, by_mail, token_bytes)


def invite(by: "Membership", email: str = "grace@example.com", role: str = "developer", *groups: "Group") -> "Made":
    from keystead.server.people import invitations

    return invitations.invite(maker(by), email, Role(role), groups, NOW)


def digest(made: "Made") -> bytes:
    return tokens.digest(made.code.reveal())


def join(made: "Made", now: datetime = LATER) -> "Membership":
    from keystead.server.people import invitations

    return invitations.accept_as_newcomer(digest(made), "Grace", PASSWORD, now)


def group(by: "Membership", name: str = "Platform", source: str = "console") -> "Group":
    from keystead.server.organizations import groups
    from keystead.server.organizations.models import GroupSource

    return groups.create(by.organization, name, source=GroupSource(source), actor="per_1", now=NOW)


def elsewhere(email: str = "grace@example.com") -> "Person":
    """Somebody of another organization, with a password of their own."""
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations

    person = Person.objects.create_user(email, PASSWORD, name="Grace", created_at=NOW)
    operations.add_member(operations.create_organization("Elsewhere", NOW), person, Role.ADMIN, NOW)
    return person


def test_a_newcomer_comes_in_with_role_and_groups(administrator: "Membership") -> None:
    from keystead.server.audit.models import AuditEvent
    from keystead.server.organizations.models import Invitation

    made = invite(administrator, " Grace@Example.com ", "billing", group(administrator))
    assert tokens.parse(made.code.reveal()) is tokens.TokenKind.INVITATION
    assert made.code.reveal().encode() not in bytes(Invitation.objects.get().digest)
    member = join(made)
    assert (member.person.email, member.role, member.person.name) == ("grace@example.com", "billing", "Grace")
    assert member.person.check_password(PASSWORD)
    assert [one.name for one in member.groups.all()] == ["Platform"]
    invitation = Invitation.objects.get()
    assert (invitation.accepted_at, invitation.accepted_by) == (LATER, member)
    events = list(AuditEvent.objects.order_by("id").values_list("action", flat=True))
    assert events == [
        "group:create",
        "invitation:create",
        "person:create",
        "membership:create",
        "group:add_member",
        "invitation:accept",
    ]
    kept = str(list(AuditEvent.objects.values_list("details", flat=True)))
    assert "grace" not in kept, "an address can be erased, the record cannot"


@pytest.mark.parametrize("again", ["same", "revoked", "renewed", "expired"])
def test_a_link_works_once_and_not_after_its_end(administrator: "Membership", again: str) -> None:
    from keystead.server.people import invitations

    made = invite(administrator)
    at = NOW
    if again == "same":
        join(made, NOW)
    elif again == "revoked":
        assert invitations.revoke(administrator, made.invitation, NOW)
        assert not invitations.revoke(administrator, made.invitation, NOW)
    elif again == "renewed":
        invitations.renew(maker(administrator), made.invitation, NOW)
    else:
        at = NOW + invitations.LIFETIME
    said = {"same": "used", "revoked": "withdrawn", "renewed": "not an invitation", "expired": "expired"}[again]
    with pytest.raises(CredentialRejected, match=said):
        join(made, at)


def test_a_new_link_works_from_its_own_beginning_and_revives_what_expired(administrator: "Membership") -> None:
    from keystead.server.people import invitations

    made = invite(administrator)
    renewed = invitations.renew(maker(administrator), made.invitation, NOW + timedelta(days=30))
    assert join(renewed, NOW + timedelta(days=36)).role == "developer"
    with pytest.raises(UsageError, match="no longer open"):
        invitations.renew(maker(administrator), made.invitation, NOW + timedelta(days=36))


@pytest.mark.parametrize("code", ["", "nonsense", "ksv_" + "0" * 49, "ksk_x", "é\0"])
def test_unknown_and_mistyped_codes_are_answered_alike(administrator: "Membership", code: str) -> None:
    from keystead.server.people import invitations

    invite(administrator)
    with pytest.raises(CredentialRejected) as refused:
        invitations.look_up(invitations.digest(code), NOW)
    assert refused.value.message == invitations.UNKNOWN


@pytest.mark.parametrize(
    ("name", "password", "said"),
    [
        (" ", PASSWORD, "Your name"),
        ("a\nb", PASSWORD, "Your name"),
        ("Grace", "short", "fewer than 12"),
        ("Grace", "grace@example.com", "made of words that belong to this place"),
    ],
)
def test_what_will_not_do_leaves_the_invitation_as_it_is(
    administrator: "Membership", name: str, password: str, said: str
) -> None:
    from keystead.server.identity.models import Person
    from keystead.server.people import invitations

    made = invite(administrator)
    with pytest.raises(UsageError, match=said):
        invitations.accept_as_newcomer(digest(made), name, password, NOW)
    assert not Person.objects.filter(email="grace@example.com").exists()
    assert join(made)


@pytest.mark.parametrize("act", ["end", "lower", "return"])
def test_a_link_ends_with_the_right_of_its_maker(
    administrator: "Membership", add: Callable[..., Any], act: str
) -> None:
    from keystead.server.people import members

    second = add("Bo", "admin")
    made = invite(second)
    if act == "lower":
        members.change_role(administrator, second, Role.DEVELOPER, LATER)
    else:
        members.end(administrator, second, LATER)
    if act == "return":
        members.bring_back(administrator, second, LATER)
    with pytest.raises(CredentialRejected, match="whoever made it may invite nobody any more"):
        join(made)


def test_nobody_invites_somebody_to_more_than_they_have(
    administrator: "Membership", add: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from keystead.server.people import invitations

    bo = add("Bo")
    with pytest.raises(PolicyDenied, match="Your role developer may not manage members"):
        invite(bo)
    more = roles.PERMISSIONS[Role.DEVELOPER] | {Permission.MEMBERS_MANAGE}
    monkeypatch.setitem(roles.PERMISSIONS, Role.DEVELOPER, more)
    with pytest.raises(PolicyDenied, match="may not invite somebody as admin"):
        invite(bo, role="admin")
    theirs = invite(administrator, role="admin").invitation
    with pytest.raises(PolicyDenied, match="may not invite somebody as admin"):
        invitations.renew(maker(bo), theirs, NOW)
    assert invite(bo, "dan@example.com", "agent_user")


@pytest.mark.parametrize(
    ("email", "said"),
    [
        ("nonsense", "not an e-mail address"),
        ("ada@example.com", "is a member already"),
        ("GRACE@example.com", "is invited already"),
    ],
)
def test_whom_one_cannot_invite(administrator: "Membership", email: str, said: str) -> None:
    invite(administrator)
    with pytest.raises(UsageError, match=said):
        invite(administrator, email)


@pytest.mark.parametrize("source", ["scim", "sso"])
def test_groups_that_others_manage_and_groups_of_others_are_refused(administrator: "Membership", source: str) -> None:
    from keystead.server.organizations.models import Membership

    foreign = group(Membership.objects.get(person=elsewhere("x@example.com")), "Theirs")
    for one in (group(administrator, "Managed", source), foreign):
        with pytest.raises(UsageError, match="not one of the console's own"):
            invite(administrator, "grace@example.com", "developer", one)


def test_somebody_known_here_signs_in_and_keeps_their_account(administrator: "Membership") -> None:
    from keystead.server.people import invitations

    person = elsewhere()
    made = invite(administrator)
    with pytest.raises(PolicyDenied, match="is to sign in first"):
        join(made)
    member = invitations.accept_as(digest(made), person, LATER)
    assert (member.organization.name, member.role) == ("Example", "developer")
    assert person.memberships.count() == 2
    with pytest.raises(CredentialRejected, match="has been used"):
        invitations.accept_as(digest(made), person, LATER)


def test_somebody_else_cannot_use_it_and_does_not_use_it_up(administrator: "Membership") -> None:
    from keystead.server.people import invitations

    made = invite(administrator)
    with pytest.raises(PolicyDenied, match=r"signed in as x@example.com, and this invitation is for grace@example.com"):
        invitations.accept_as(digest(made), elsewhere("x@example.com"), LATER)
    assert join(made)


def test_somebody_who_was_a_member_comes_back_as_what_the_invitation_says(
    administrator: "Membership", add: Callable[..., Any]
) -> None:
    from keystead.server.people import invitations, members

    bo = add("Bo", "developer")
    members.end(administrator, bo, NOW)
    made = invite(administrator, "bo@example.com", "admin")
    member = invitations.accept_as(digest(made), bo.person, LATER)
    assert (member.pk, member.role, member.deactivated_at) == (bo.pk, "admin", None)
    assert member.credentials_since == LATER, "what had ended stays ended"


def test_a_member_since_then_is_not_made_less(administrator: "Membership", add: Callable[..., Any]) -> None:
    from keystead.server.people import invitations

    made = invite(administrator, "bo@example.com", "agent_user")
    bo = add("Bo", "admin")
    assert invitations.accept_as(digest(made), bo.person, LATER).role == "admin"


def connect(organization: Any) -> None:
    """Give an organization the domain example.com, and a connection that is on."""
    from keystead.server.sso.models import Connection, Domain

    Connection.objects.create(organization=organization, kind="oidc", name="C", created_at=NOW, enabled_at=NOW)
    Domain.objects.create(
        organization=organization, name="example.com", challenge="c", created_at=NOW, verified_at=NOW, verified_by="dns"
    )


def test_a_newcomer_of_a_domain_with_single_sign_on_signs_in_there(administrator: "Membership") -> None:
    from keystead.server.identity.models import Person
    from keystead.server.people import invitations

    made = invite(administrator)
    connect(administrator.organization)
    with pytest.raises(PolicyDenied, match="is to sign in first"):
        join(made)
    came = Person.objects.create_user("grace@example.com", None, created_at=NOW)
    assert invitations.accept_as(digest(made), came, LATER).role == "developer"


@pytest.mark.parametrize(
    ("way", "verified"), [("shown", False), ("mailed", True), ("by the operator", True), ("of their own domain", True)]
)
def test_an_address_is_proven_only_by_who_has_it_or_answers_for_it(
    administrator: "Membership", way: str, verified: bool
) -> None:
    """The administrator could open the link that they are shown themselves, and so prove another's address."""
    from keystead.server.people import invitations
    from keystead.server.people.invitations import Maker
    from keystead.server.sso.models import Connection

    if way == "of their own domain":
        connect(administrator.organization)
        Connection.objects.update(enabled_at=None)
    by = None if way == "by the operator" else administrator
    made = invitations.invite(
        Maker(administrator.organization, by, True, token_bytes), "grace@example.com", Role.DEVELOPER, [], NOW
    )
    assert made.mailed is not None
    code = made.mailed if way == "mailed" else made.code
    member = invitations.accept_as_newcomer(tokens.digest(code.reveal()), "Grace", PASSWORD, LATER)
    member.person.refresh_from_db()
    assert member.person.email_verified_at == (LATER if verified else None)
    other = made.code if way == "mailed" else made.mailed
    with pytest.raises(CredentialRejected, match="has been used"):
        invitations.look_up(tokens.digest(other.reveal()), LATER)


def test_only_the_own_organizations_invitations_are_listed_and_found(administrator: "Membership") -> None:
    from keystead.server.organizations.models import Membership
    from keystead.server.people import invitations

    made = invite(administrator)
    other = Membership.objects.get(person=elsewhere("x@example.com"))
    assert [one.email for one in invitations.open_of(administrator)] == ["grace@example.com"]
    assert list(invitations.open_of(other)) == []
    assert invitations.find(other, made.invitation.wire_id) is None
    assert not invitations.revoke(other, made.invitation, NOW)
    assert invitations.find(administrator, "inv_x") is None


def test_old_invitations_are_swept_away_with_their_addresses(administrator: "Membership") -> None:
    from keystead.server.authorization.sweep import sweep
    from keystead.server.organizations.models import Invitation
    from keystead.server.people import invitations

    join(invite(administrator))
    invite(administrator, "dan@example.com")
    invitations.revoke(administrator, invite(administrator, "eve@example.com").invitation, NOW)
    sweep(NOW + timedelta(days=8))
    assert Invitation.objects.count() == 3
    sweep(NOW + timedelta(days=60))
    assert [one.email for one in Invitation.objects.all()] == ["grace@example.com"]


def test_the_operator_invites_from_the_command_line(administrator: "Membership", monkeypatch: Any) -> None:
    import json

    from click.testing import CliRunner

    from keystead.server import command, installation
    from keystead.server.audit.models import AuditEvent
    from keystead.server.people import invitations

    monkeypatch.setattr(installation, "open_database", lambda *_: None)
    group(administrator)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(command.server, ["invite", *arguments])

    said = json.loads(run("grace@example.com", "--role", "billing", "--group", "Platform", "--json").output)
    assert (said["schema"], said["organization"], said["role"]) == ("keystead.invitation/1", "Example", "billing")
    address, _, code = said["link"].partition("#code=")
    assert address.endswith("/invitation")
    now = datetime.fromisoformat(said["expires_at"]) - timedelta(days=1)
    assert invitations.look_up(invitations.digest(code), now).email == "grace@example.com"
    assert run("dan@example.com").output.startswith("http")
    assert AuditEvent.objects.filter(action="invitation:create", actor="system").count() == 2
    for arguments, why in (
        (("eve@example.com", "--role", "owner"), "There is no role owner"),
        (("eve@example.com", "--group", "Nobody"), "There is no group called Nobody"),
        (("eve@example.com", "--organization", "Nowhere"), "There is no organization of that name"),
        (("nonsense",), "not an e-mail address"),
    ):
        assert why in str(run(*arguments).exception)
    elsewhere("x@example.com")
    assert "several organizations" in str(run("eve@example.com").exception)
    assert ids.parse("invitation", invitations.open_of(administrator)[0].wire_id)
