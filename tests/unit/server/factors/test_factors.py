"""The factors themselves: what is taken, once, and what is not."""

import base64
from datetime import UTC, datetime, timedelta
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

import pytest
from authenticators import PRESENT, SoftKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from keystead.secret import Secret

if TYPE_CHECKING:
    from keystead.server.identity.models import Person
    from keystead.server.organizations.models import Membership

NOW = datetime(2026, 11, 21, 12, 0, 10, tzinfo=UTC)
BASE = "http://localhost:8420"
SECRET = Secret(base64.b32encode(b"12345678901234567890").decode())


def code(at: datetime, secret: Secret = SECRET) -> str:
    key = base64.b32decode(secret.reveal())
    return TOTP(key, 6, SHA1(), 30).generate(int(at.timestamp())).decode()


CHANGES: dict[str, dict[str, Any]] = {
    "another site": {"origin": "https://evil.example"},
    "another port": {"origin": "http://localhost:9999"},
    "another party": {"party": "evil.example"},
    "nobody verified": {"flags": PRESENT},
    "somebody else": {"handle": b"0123456789abcdef"},
    "unknown": {"credential_id": b"another"},
}
NONSENSE: list[Any] = [
    None, [], "x", 7, {}, {"id": "x"}, {"rawId": "!", "response": {}}, {"id": "eA", "rawId": "eA", "response": []},
]  # fmt: skip


@pytest.fixture
def person(administrator: "Membership") -> "Person":
    return administrator.person


class TestAuthenticatorApp:
    @pytest.fixture(autouse=True)
    def added(self, person: "Person") -> None:
        from keystead.server.factors import authenticator_apps

        assert authenticator_apps.add(person, SECRET, code(NOW), NOW)

    def test_the_code_is_that_of_rfc_6238(self) -> None:
        assert code(datetime.fromtimestamp(59, UTC)) == "287082"  # appendix B, the last six digits

    @pytest.mark.parametrize(("drift", "taken"), [(-61, False), (-30, True), (0, True), (30, True), (61, False)])
    def test_a_clock_may_be_half_a_minute_off(self, person: "Person", drift: int, taken: bool) -> None:
        from keystead.server.factors import authenticator_apps

        later = NOW + timedelta(minutes=5)
        assert authenticator_apps.use(person, code(later + timedelta(seconds=drift)), later) is taken

    def test_a_code_is_taken_once_and_none_before_it_again(self, person: "Person") -> None:
        from keystead.server.factors import authenticator_apps

        later = NOW + timedelta(minutes=5)
        current, before = code(later), code(later - timedelta(seconds=30))

        assert [authenticator_apps.use(person, one, later) for one in (current, current, before)] == [
            True,
            False,
            False,
        ]

    def test_the_code_that_added_it_does_not_sign_in(self, person: "Person") -> None:
        from keystead.server.factors import authenticator_apps

        assert not authenticator_apps.use(person, code(NOW), NOW)

    @pytest.mark.parametrize("typed", ["", "000000", "28708", "2870822", "٢٨٧٠٨٢", "😀"])
    def test_anything_else_is_not_taken(self, person: "Person", typed: str) -> None:
        from keystead.server.factors import authenticator_apps

        assert not authenticator_apps.use(person, typed, NOW + timedelta(minutes=5))

    def test_the_secret_is_not_in_the_database(self, person: "Person") -> None:
        from keystead.server.factors.models import AuthenticatorApp

        assert SECRET.reveal() not in str(AuthenticatorApp.objects.values().get())


class TestRecoveryCodes:
    def test_each_of_ten_works_once_however_it_is_typed(self, person: "Person") -> None:
        from keystead.server.factors import recovery_codes

        codes = recovery_codes.renew(person, NOW, token_bytes)

        assert len(set(codes)) == 10
        typed = codes[0].lower().replace("-", " ").replace("0", "o").replace("1", "l")
        assert [recovery_codes.use(person, typed, NOW) for _ in range(2)] == [True, False]
        assert recovery_codes.left(person) == 9

    def test_new_codes_end_the_old_ones(self, person: "Person") -> None:
        from keystead.server.factors import recovery_codes

        old = recovery_codes.renew(person, NOW, token_bytes)[0]
        recovery_codes.renew(person, NOW, token_bytes)

        assert not recovery_codes.use(person, old, NOW)

    def test_somebody_elses_do_not_work_and_none_is_stored(self, person: "Person") -> None:
        from keystead.server.factors import recovery_codes
        from keystead.server.factors.models import RecoveryCode
        from keystead.server.identity.models import Person

        codes = recovery_codes.renew(person, NOW, token_bytes)
        other = Person.objects.create_user("bo@example.com", None, created_at=NOW)

        assert not recovery_codes.use(other, codes[0], NOW)
        assert not [one for one in codes if one.replace("-", "") in str(list(RecoveryCode.objects.values()))]


class TestPasskey:
    @pytest.fixture
    def key(self, person: "Person") -> SoftKey:
        """A passkey of the person's."""
        from keystead.server.factors import passkeys

        key = SoftKey()
        options, state = passkeys.ask_for_new(person, BASE)
        passkeys.add(person, state, key.create(options), "laptop", NOW, BASE)
        return key

    def test_it_says_who_it_is(self, person: "Person", key: SoftKey) -> None:
        from keystead.server.factors import passkeys

        options, state = passkeys.ask(BASE)

        assert passkeys.use(state, key.get(options), NOW, BASE).person == person

    def test_an_answer_is_taken_once(self, key: SoftKey) -> None:
        from keystead.server.factors import passkeys

        options, state = passkeys.ask(BASE)
        answer = key.get(options)
        passkeys.use(state, answer, NOW, BASE)

        with pytest.raises(passkeys.NotAccepted, match="used before"):
            passkeys.use(state, answer, NOW, BASE)

    def test_a_counter_that_goes_back_is_a_copy(self, key: SoftKey) -> None:
        from keystead.server.factors import passkeys

        for count, taken in ((7, True), (8, True), (8, False), (3, False), (0, False), (9, True)):
            key.count = count
            options, state = passkeys.ask(BASE)
            try:
                passkeys.use(state, key.get(options), NOW, BASE)
            except passkeys.NotAccepted:
                assert not taken
            else:
                assert taken

    @pytest.mark.parametrize("change", CHANGES)
    def test_what_is_not_quite_right_is_not_taken(self, key: SoftKey, change: str) -> None:
        from keystead.server.factors import passkeys

        for name, value in CHANGES[change].items():
            setattr(key, name, value)
        options, state = passkeys.ask(BASE)

        with pytest.raises(passkeys.NotAccepted):
            passkeys.use(state, key.get(options), NOW, BASE)

    def test_another_question_is_not_answered(self, key: SoftKey) -> None:
        from keystead.server.factors import passkeys

        options, _ = passkeys.ask(BASE)
        _, another = passkeys.ask(BASE)

        with pytest.raises(passkeys.NotAccepted):
            passkeys.use(another, key.get(options), NOW, BASE)

    def test_it_confirms_its_own_person_only(self, key: SoftKey) -> None:
        from keystead.server.factors import passkeys
        from keystead.server.identity.models import Person

        other = Person.objects.create_user("bo@example.com", None, created_at=NOW)
        options, state = passkeys.ask(BASE)

        with pytest.raises(passkeys.NotAccepted, match="unknown"):
            passkeys.use(state, key.get(options), NOW, BASE, other)

    @pytest.mark.parametrize(
        "answer",
        [
            None,
            [],
            "x",
            7,
            {},
            {"id": "x"},
            {"rawId": "!", "response": {}},
            {"id": "eA", "rawId": "eA", "response": []},
        ],
    )
    def test_nonsense_is_not_taken(self, person: "Person", answer: Any) -> None:
        from keystead.server.factors import passkeys

        _, state = passkeys.ask(BASE)
        _, new = passkeys.ask_for_new(person, BASE)
        for asked in (state, {}):
            with pytest.raises(passkeys.NotAccepted):
                passkeys.use(asked, answer, NOW, BASE)
        with pytest.raises(passkeys.NotAccepted):
            passkeys.add(person, new, answer, "x", NOW, BASE)

    def test_one_that_is_known_is_not_added_again(self, person: "Person", key: SoftKey) -> None:
        from keystead.server.factors import passkeys

        options, state = passkeys.ask_for_new(person, BASE)

        assert [one["id"] for one in options["publicKey"]["excludeCredentials"]]
        with pytest.raises(passkeys.NotAccepted, match="known"):
            passkeys.add(person, state, key.create(options), "again", NOW, BASE)

    @pytest.mark.parametrize(
        ("base_url", "possible"),
        [
            ("https://keys.example.com", True),
            ("http://localhost:8420", True),
            ("http://127.0.0.1:8420", False),
            ("https://10.0.0.1", False),
            ("http://[::1]:8420", False),
            ("http://keys.example.com", False),
        ],
    )
    def test_where_browsers_take_passkeys(self, base_url: str, possible: bool) -> None:
        from keystead.server.factors import passkeys

        assert passkeys.are_possible(base_url) is possible
