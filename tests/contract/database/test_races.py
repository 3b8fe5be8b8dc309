"""64 uses of one thing at the same moment: one winner, nobody logged out who should not be, no error of ours."""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from keystead.wire import ids, tokens

CROWD = 64
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # of RFC 7636 appendix B
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
REDIRECT = "http://127.0.0.1:1/callback"


def at_once(work: Callable[[], str]) -> Counter[str]:
    """Do ``work`` in as many threads as the crowd has, and count what came of it."""
    from django.db import connection

    seen: list[str] = []
    start = threading.Barrier(CROWD)

    def one() -> None:
        start.wait()
        try:
            seen.append(work())
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(CROWD)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == CROWD, "somebody met an error that is not the protocol's"
    return Counter(seen)


def exchanged(**parameters: str) -> Callable[[], str]:
    """Return a use of the token endpoint's operation that says what came back."""
    from keystead.server.authorization import clients, grants
    from keystead.server.authorization.grants.question import Question
    from keystead.server.authorization.refusals import Refusal
    from keystead.server.authorization.surroundings import now
    from keystead.server.transactions import whole

    def use() -> str:
        client = clients.find("keystead-cli")
        try:
            answer = whole(lambda: grants.exchange(Question(parameters, client, "", now())))
        except Refusal as refusal:
            return refusal.error
        assert answer.refresh_token is not None
        return answer.refresh_token.reveal()

    return use


@pytest.fixture
def sign_in(administrator: Any) -> Any:
    from keystead.server.authorization import clients, keys, sign_ins
    from keystead.server.authorization.surroundings import now

    keys.signing_key(now())
    return sign_ins.begin(sign_ins.Approval(clients.find("keystead-cli"), administrator, "openid"), "", now())


def switched_on() -> Any:
    """Return a block in which programs may register themselves."""
    from dataclasses import replace

    from django.conf import settings
    from django.test import override_settings

    return override_settings(KEYSTEAD=replace(settings.KEYSTEAD, dynamic_registration=True))


def live_grants() -> int:
    from keystead.server.authorization.models import Grant

    return Grant.objects.filter(revoked_at=None).count()


def test_one_refresh_token_gives_everybody_the_same_answer(sign_in: Any) -> None:
    from keystead.server.authorization.models import RefreshToken

    answers = at_once(exchanged(grant_type="refresh_token", refresh_token=sign_in.refresh_token))
    assert len(answers) == 1
    assert next(iter(answers)).startswith("ksr_")
    assert live_grants() == 1
    assert RefreshToken.objects.filter(grant=sign_in.grant).count() == 2


def test_one_device_code_signs_one_device_in(administrator: Any, sign_in: Any) -> None:
    from keystead.server.authorization import clients, device_codes
    from keystead.server.authorization.models import DeviceCode
    from keystead.server.authorization.surroundings import now

    given = device_codes.start({}, clients.find("keystead-cli"), "", now())
    code = DeviceCode.objects.get(digest=tokens.digest(given.device_code.reveal()))
    assert device_codes.decide(code, device_codes.Answer(True, administrator), now())
    answers = at_once(
        exchanged(grant_type="urn:ietf:params:oauth:grant-type:device_code", device_code=given.device_code.reveal())
    )
    assert answers.pop("invalid_grant") == CROWD - 1
    assert len(answers) == 1
    assert live_grants() == 2, "a second use ends nothing"


def test_one_authorization_code_is_used_once_and_a_replay_ends_what_it_began(administrator: Any, sign_in: Any) -> None:
    from keystead.server.authorization import clients
    from keystead.server.authorization.models import AuthorizationCode, Grant
    from keystead.server.authorization.surroundings import now

    code = tokens.mint(tokens.TokenKind.AUTHORIZATION_CODE, lambda size: bytes(size))
    AuthorizationCode.objects.create(
        digest=tokens.digest(code),
        organization=administrator.organization,
        membership=administrator,
        client=clients.find("keystead-cli"),
        redirect_uri=REDIRECT,
        code_challenge=CHALLENGE,
        scope="openid",
        created_at=now(),
        expires_at=now() + timedelta(seconds=60),
    )
    answers = at_once(
        exchanged(grant_type="authorization_code", code=code, redirect_uri=REDIRECT, code_verifier=VERIFIER)
    )
    assert answers.pop("invalid_grant") == CROWD - 1
    assert len(answers) == 1
    assert Grant.objects.count() == 2, "the code began one sign-in"
    assert live_grants() == 1, "which its replay ended, and no other"


def test_one_registration_token_registers_one_client(administrator: Any) -> None:
    from keystead.server.authorization import registration, registration_tokens
    from keystead.server.authorization.models import Client, RegistrationToken
    from keystead.server.authorization.refusals import Refusal
    from keystead.server.authorization.surroundings import now
    from keystead.server.transactions import whole

    policy = registration_tokens.Policy("once", ["authorization_code"], "openid", timedelta(days=1))
    with switched_on():
        registration_tokens.make(administrator, policy, now(), lambda size: bytes(size))
    shown = f"Bearer {tokens.mint(tokens.TokenKind.REGISTRATION_TOKEN, lambda size: bytes(size))}"
    body = b'{"redirect_uris": ["https://app.example.com/cb"]}'

    def use() -> str:
        try:
            token = registration_tokens.presented(shown, now())
            whole(lambda: registration.register("application/json", body, token, now()))
        except Refusal as refusal:
            return refusal.error
        return "client"

    assert at_once(use) == {"client": 1, "invalid_token": CROWD - 1}
    assert Client.objects.exclude(registration_token=None).count() == 1
    assert RegistrationToken.objects.get().uses == 1


def test_the_ledger_stores_a_record_once(administrator: Any) -> None:
    from keystead.server.identifiers import new_id
    from keystead.server.organizations import operations
    from keystead.server.usage.ledger import store
    from keystead.server.usage.models import UsageEntry
    from keystead.server.usage.record import UsageRecord

    record = UsageRecord(
        id=new_id().hex,
        request_id="req_1",
        organization_id=ids.dump("organization", administrator.organization_id),
        workspace_id=ids.dump("workspace", operations.default_workspace(administrator.organization).id),
        member_id=ids.dump("membership", administrator.id),
        principal_kind="api_key",
        principal_id="key_1",
        client="test",
        session_id="",
        upstream="test",
        model="m",
        status=200,
        started_at=1_790_000_000.25,
        duration_ms=1,
        input_tokens=1,
        output_tokens=1,
        cache_read_tokens=0,
        cache_write_tokens=0,
        streamed=True,
        aborted=False,
        estimated=False,
    )
    more = [record._replace(id=new_id().hex) for _ in range(120)]
    store([record, *more])
    store([*more, record])
    assert UsageEntry.objects.count() == 121
    assert UsageEntry.objects.get(id=record.id).started_at.timestamp() == record.started_at


def test_a_membership_that_ends_is_told_once(administrator: Any) -> None:
    from keystead.server.console.access import now
    from keystead.server.identity.models import Person
    from keystead.server.organizations import memberships, operations
    from keystead.server.organizations.roles import Role

    bob = Person.objects.create_user("bob@example.com", None, created_at=now())
    member = operations.add_member(administrator.organization, bob, Role.DEVELOPER, now())
    assert at_once(lambda: str(memberships.deactivate(member, "system", "test", now()))) == {
        "True": 1,
        "False": CROWD - 1,
    }


def test_two_administrators_who_end_and_lower_each_other_leave_one(administrator: Any) -> None:
    """Of many who each take the other's rights exactly one succeeds: the other has none left to do it with."""
    from itertools import count

    from keystead.errors import PolicyDenied
    from keystead.server.console.access import now
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations
    from keystead.server.organizations.models import Membership
    from keystead.server.organizations.roles import Role
    from keystead.server.people import members

    bob = Person.objects.create_user("bob@example.com", None, created_at=now())
    second = operations.add_member(administrator.organization, bob, Role.ADMIN, now())
    turns = count()

    def act() -> str:
        number = next(turns)
        by, other = (administrator, second) if number % 2 else (second, administrator)
        try:
            if number % 4 < 2:
                return f"ended {members.end(by, other, now())}"
            members.change_role(by, other, Role.DEVELOPER, now())
        except PolicyDenied:
            return "refused"
        return "lowered"

    seen = at_once(act)
    standing = Membership.objects.filter(role="admin", deactivated_at=None)
    assert standing.count() == 1
    assert seen["refused"] >= CROWD // 2, "whoever lost the rights did nothing more"


@pytest.mark.parametrize("how", ["ended", "lost", "both"])
def test_the_end_of_a_sign_in_is_told_once(administrator: Any, sign_in: Any, how: str) -> None:
    from keystead.server.authorization import logout_delivery, sign_ins
    from keystead.server.authorization.models import Client, Grant
    from keystead.server.authorization.surroundings import now
    from keystead.server.organizations.models import Membership
    from keystead.server.transactions import whole

    Client.objects.update(backchannel_logout_uri="https://app.example.com/logout")
    Grant.objects.update(owes_logout=True)
    if how != "ended":
        Membership.objects.update(deactivated_at=now())
    grant = sign_ins.of_wire_id(ids.dump("grant", sign_in.grant.id))
    assert grant is not None
    sent: list[str] = []

    def take(address: str, *_: object) -> int:
        sent.append(address)
        return 204

    def use() -> str:
        ended = how != "lost" and whole(lambda: sign_ins.end(grant, "system", "test", now()))
        logout_delivery.tell(now(), take)
        return str(ended)

    assert at_once(use)["True"] == (how != "lost")
    assert sent == ["https://app.example.com/logout"]


def test_one_invitation_makes_one_member(administrator: Any) -> None:
    from secrets import token_bytes

    from keystead.errors import CredentialRejected, PolicyDenied
    from keystead.server.console.access import now
    from keystead.server.organizations.models import Membership
    from keystead.server.organizations.roles import Role
    from keystead.server.people import invitations

    maker = invitations.Maker(administrator.organization, administrator, by_mail=False, random_bytes=token_bytes)
    made = invitations.invite(maker, "grace@example.com", Role.DEVELOPER, [], now())
    digest = tokens.digest(made.code.reveal())

    def accept() -> str:
        try:
            invitations.accept_as_newcomer(digest, "Grace", "correct horse battery", now())
        except (CredentialRejected, PolicyDenied):
            return "refused"
        return "in"

    assert at_once(accept) == {"in": 1, "refused": CROWD - 1}
    assert Membership.objects.filter(person__email="grace@example.com").count() == 1


def test_an_invitation_is_accepted_or_revoked(administrator: Any) -> None:
    """Whoever is first decides; a link that was withdrawn lets nobody in."""
    from itertools import count
    from secrets import token_bytes

    from keystead.errors import CredentialRejected, UsageError
    from keystead.server.console.access import now
    from keystead.server.identity.models import Person
    from keystead.server.organizations.models import Invitation
    from keystead.server.organizations.roles import Role
    from keystead.server.people import invitations

    maker = invitations.Maker(administrator.organization, administrator, by_mail=False, random_bytes=token_bytes)
    made = invitations.invite(maker, "grace@example.com", Role.DEVELOPER, [], now())
    digest = tokens.digest(made.code.reveal())
    grace = Person.objects.create_user("grace@example.com", None, created_at=now())
    turns = count()

    def act() -> str:
        try:
            if next(turns) % 2:
                invitations.accept_as(digest, grace, now())
                return "accepted"
            return f"revoked {invitations.revoke(administrator, made.invitation, now())}"
        except (CredentialRejected, UsageError):
            return "refused"

    seen = at_once(act)
    assert seen["accepted"] + seen["revoked True"] == 1
    kept = Invitation.objects.get()
    assert (kept.accepted_at is None) == (seen["accepted"] == 0) != (kept.revoked_at is None)
    assert grace.memberships.count() == seen["accepted"]


class TestSecondFactors:
    """One code, one answer of a passkey: one sign-in."""

    def test_one_recovery_code(self, administrator: Any) -> None:
        from secrets import token_bytes

        from keystead.server.authorization.surroundings import now
        from keystead.server.factors import recovery_codes
        from keystead.server.transactions import whole

        code = recovery_codes.renew(administrator.person, now(), token_bytes)[0]

        seen = at_once(lambda: str(whole(lambda: recovery_codes.use(administrator.person, code, now()))))
        assert seen == {"True": 1, "False": CROWD - 1}

    def test_one_code_of_an_app(self, administrator: Any) -> None:
        from datetime import datetime
        from secrets import token_bytes

        from cryptography.hazmat.primitives.hashes import SHA1
        from cryptography.hazmat.primitives.twofactor.totp import TOTP

        from keystead.server.authorization.surroundings import now
        from keystead.server.factors import authenticator_apps
        from keystead.server.transactions import whole

        def code(at: datetime) -> str:
            import base64

            return TOTP(base64.b32decode(secret.reveal()), 6, SHA1(), 30).generate(int(at.timestamp())).decode()

        moment = now()
        secret = authenticator_apps.new_secret(token_bytes)
        assert authenticator_apps.add(administrator.person, secret, code(moment), moment)
        later = moment + timedelta(minutes=1)

        seen = at_once(lambda: str(whole(lambda: authenticator_apps.use(administrator.person, code(later), later))))
        assert seen == {"True": 1, "False": CROWD - 1}

    def test_one_answer_of_a_passkey(self, administrator: Any) -> None:
        from authenticators import SoftKey

        from keystead.server.authorization.surroundings import now
        from keystead.server.factors import passkeys
        from keystead.server.transactions import whole

        base, key = "http://localhost:8420", SoftKey()
        options, state = passkeys.ask_for_new(administrator.person, base)
        passkeys.add(administrator.person, state, key.create(options), "laptop", now(), base)
        options, state = passkeys.ask(base)
        answer = key.get(options)

        def use() -> str:
            try:
                return str(whole(lambda: passkeys.use(state, answer, now(), base)))
            except passkeys.NotAccepted:
                return "no"

        assert at_once(use) == {"laptop": 1, "no": CROWD - 1}


def test_terms_are_accepted_once_for_an_organization_and_once_by_each_member(administrator: Any) -> None:
    from itertools import count

    from keystead.server.console.access import now
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations
    from keystead.server.organizations.roles import Role
    from keystead.server.policy.terms import Kind
    from keystead.server.terms import operations as terms
    from keystead.server.terms.models import Acceptance

    bob = Person.objects.create_user("bob@example.com", None, created_at=now())
    second = operations.add_member(administrator.organization, bob, Role.ADMIN, now())
    text = terms.publish(Kind.COMMERCIAL, "2026-11", "Be kind.", now(), now())
    turns = count()

    def act() -> str:
        terms.accept((administrator, second)[next(turns) % 2], text, now())
        return "accepted"

    assert at_once(act) == {"accepted": CROWD}
    rows = Acceptance.objects.values_list("for_organization", flat=True)
    assert sorted(rows) == [False, False, True]
