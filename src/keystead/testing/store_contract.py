"""The contract of a :class:`~keystead.stores.TokenStore`, as tests any store can inherit.

::

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self):
            return MyStore()
"""

import threading
from collections.abc import Callable
from dataclasses import replace

from keystead.credentials import Account, BillingClass, Login, LoginKind, OAuthTokens
from keystead.errors import ConfigurationError, KeysteadError, NoCredential, StoreBusy
from keystead.secret import Secret
from keystead.stores import TokenStore


def sample_login(kind: LoginKind = LoginKind.GATEWAY, *, access_token: str = "access-1") -> Login:
    """Return a login for tests, with every field filled."""
    return Login(
        kind=kind,
        issuer="https://keys.example.com",
        api_base="https://keys.example.com",
        token_endpoint="https://keys.example.com/oauth/token",
        revocation_endpoint="https://keys.example.com/oauth/revoke",
        client_id="keystead-cli",
        tokens=OAuthTokens(Secret(access_token), Secret("refresh-1"), 1_795_000_000.0, 3600.0, "models:use", 0.5),
        account=Account("per_1", "ada@example.com", "Ada", "org_1", "Example"),
        billing=BillingClass.GATEWAY,
        allowed_origins=frozenset({"https://keys.example.com"}),
        upstream="test",
        generation=0,
        extra=(("later", {"field": [1, 2]}),),
    )


def _refusal(act: Callable[[], object], error: type[KeysteadError]) -> str:
    """Return the message that ``act`` is refused with; not ``pytest.raises``, for this module is shipped without it."""
    try:
        act()
    except error as refused:
        return refused.message
    return ""


class StoreContract:
    """Inherit, and provide a ``store`` fixture that returns an empty store."""

    def test_an_empty_store_has_no_login(self, store: TokenStore) -> None:
        """Nothing there is None, not an error."""
        assert store.load(LoginKind.GATEWAY) is None
        assert store.delete(LoginKind.GATEWAY) is None

    def test_what_is_saved_is_loaded(self, store: TokenStore) -> None:
        """Every field comes back, fields of later versions included."""
        saved = store.save(sample_login())

        assert store.load(LoginKind.GATEWAY) == saved
        assert saved == replace(sample_login(), generation=saved.generation)

    def test_every_write_is_a_new_generation(self, store: TokenStore) -> None:
        """A reader can tell whether somebody else has written."""
        first = store.save(sample_login())
        second = store.save(first)
        third = store.save(sample_login())  # a new sign-in that does not know the stored one

        assert first.generation < second.generation < third.generation

    def test_the_kinds_do_not_touch_each_other(self, store: TokenStore) -> None:
        """Signing out of a gateway keeps the account's login."""
        gateway = store.save(sample_login(LoginKind.GATEWAY))
        account = store.save(sample_login(LoginKind.ACCOUNT))

        assert store.delete(LoginKind.GATEWAY) == gateway
        assert store.load(LoginKind.GATEWAY) is None
        assert store.load(LoginKind.ACCOUNT) == account

    def test_the_profiles_do_not_touch_each_other(self, store: TokenStore) -> None:
        """A view reads, writes, deletes and counts in its own profile only (R-04)."""
        work = store.at("work")
        mine = store.save(sample_login(access_token="mine"))
        theirs = work.save(work.save(sample_login(access_token="theirs")))

        assert (store.load(LoginKind.GATEWAY), work.load(LoginKind.GATEWAY)) == (mine, theirs)
        assert (mine.generation, theirs.generation) == (1, 2)
        assert (store.profile, work.profile) == ("default", "work")
        assert store.profiles() == work.profiles() == ("default", "work")
        assert work.delete(LoginKind.GATEWAY) == theirs
        assert store.load(LoginKind.GATEWAY) == mine
        assert store.profiles() == ("default",)

    def test_locks_of_different_profiles_are_independent(self, store: TokenStore) -> None:
        """One account's slow server holds up no other account; the same profile's view meets the same lock."""
        with store.lock(LoginKind.GATEWAY, 0), store.at("work").lock(LoginKind.GATEWAY, 0):
            same = store.at(store.profile)
            assert _refusal(lambda: same.lock(LoginKind.GATEWAY, 0).__enter__(), StoreBusy)

    def test_a_profile_is_renamed_but_not_over_another(self, store: TokenStore) -> None:
        """All its logins move, and no login is lost."""
        gateway, account = store.save(sample_login()), store.save(sample_login(LoginKind.ACCOUNT))
        store.at("work").save(sample_login())

        assert "work" in _refusal(lambda: store.rename("work"), ConfigurationError)
        store.rename("personal")

        moved = store.at("personal")
        assert (moved.load(LoginKind.GATEWAY), moved.load(LoginKind.ACCOUNT)) == (gateway, account)
        assert store.load(LoginKind.GATEWAY) is None
        assert store.profiles() == ("personal", "work")

    def test_a_look_shows_everything_but_the_tokens(self, store: TokenStore) -> None:
        """Who is signed in and until when can be shown without asking a person or a keyring (R-06)."""
        saved = store.save(sample_login())
        seen = store.peek(LoginKind.GATEWAY)

        assert seen is not None
        assert (seen.issuer, seen.account, seen.generation) == (saved.issuer, saved.account, saved.generation)
        assert seen.tokens.expires_at == saved.tokens.expires_at
        assert store.peek(LoginKind.ACCOUNT) is None

    def test_what_stands_still_does_not_change_in_the_middle_of_a_decision(self, store: TokenStore) -> None:
        """Both rows of sign-ins are of one moment, whoever writes in between."""
        store.save(sample_login(access_token="before"))
        still = store.still()
        seen = still.peek(LoginKind.GATEWAY)
        store.save(sample_login(access_token="after"))
        store.save(sample_login(LoginKind.ACCOUNT))

        assert still.peek(LoginKind.GATEWAY) == seen
        assert (still.profile, still.location) == (store.profile, store.location)
        assert store.still().peek(LoginKind.ACCOUNT) is not None

    def test_a_retired_login_can_be_put_in_force_again(self, store: TokenStore) -> None:
        """Its server ended it by mistake; nothing of it was lost (R-02)."""
        retired = store.save(replace(sample_login(), retired_at=1.0))

        restored = store.restore(LoginKind.GATEWAY)

        assert store.load(LoginKind.GATEWAY) == restored
        assert restored == replace(retired, retired_at=None, generation=retired.generation + 1)

    def test_a_sign_in_that_was_replaced_can_be_restored_and_forgotten(self, store: TokenStore) -> None:
        """One step back and forth between two people; a renewal is no step; what is forgotten is gone."""
        ada = store.save(sample_login(access_token="ada"))
        bob = store.save(replace(sample_login(access_token="bob-1"), account=Account("per_2")))
        bob = store.save(replace(bob, tokens=replace(bob.tokens, access_token=Secret("bob-2"))))

        assert store.restore(LoginKind.GATEWAY).tokens == ada.tokens
        assert store.restore(LoginKind.GATEWAY).tokens == bob.tokens
        store.forget(ada)
        assert "no earlier" in _refusal(lambda: store.restore(LoginKind.GATEWAY), NoCredential)
        store.delete(LoginKind.GATEWAY)
        assert _refusal(lambda: store.restore(LoginKind.GATEWAY), NoCredential)

    def test_one_holder_at_a_time(self, store: TokenStore) -> None:
        """A second holder waits its bound and then gets a typed error; afterwards the lock is free again."""
        failures: list[Exception] = []

        def try_to_hold() -> None:
            try:
                with store.lock(LoginKind.GATEWAY, 0):
                    pass
            except StoreBusy as error:
                failures.append(error)

        with store.lock(LoginKind.GATEWAY, 0):
            other = threading.Thread(target=try_to_hold)
            other.start()
            other.join()
        assert len(failures) == 1

        try_to_hold()
        assert len(failures) == 1

    def test_the_holder_may_write(self, store: TokenStore) -> None:
        """Saving under the lock does not wait for itself."""
        with store.lock(LoginKind.GATEWAY, 0):
            assert store.save(sample_login()).generation == 1

    def test_locks_of_different_kinds_are_independent(self, store: TokenStore) -> None:
        """Renewing one login does not hold up the other."""
        with store.lock(LoginKind.GATEWAY, 0), store.lock(LoginKind.ACCOUNT, 0):
            assert store.load(LoginKind.GATEWAY) is None

    def test_a_store_shows_no_secret(self, store: TokenStore) -> None:
        """Neither the store nor the login it returns prints a token."""
        saved = store.save(sample_login(access_token="canary-access"))

        for shown in (repr(store), repr(saved), str(saved), store.location, *store.notes()):
            assert "canary" not in shown
