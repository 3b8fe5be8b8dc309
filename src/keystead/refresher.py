"""One renewal across all processes (R-01): lock, look again, renew only if still due, keep, release.

The same shape three times: for a login renewed at its server, for a key printed by ``apiKeyHelper`` and for a token
that this machine's identity is exchanged for. Who loses the race for the lock uses what the winner kept, and never
writes.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from keystead.clock import Clock
from keystead.credentials import Freshness, Login, LoginKind, OAuthTokens
from keystead.credentials.printed import Printed
from keystead.errors import (
    ConfigurationError,
    CredentialExpired,
    CredentialRejected,
    HelperFailed,
    KeysteadError,
    NoCredential,
    RateLimited,
    StoreBusy,
    StoreUnavailable,
    TemporaryFailure,
)
from keystead.secret import Secret
from keystead.stores import TokenStore

if TYPE_CHECKING:
    from keystead.drivers.transport import Transport
    from keystead.stores.backoff import Backoff, Pause
    from keystead.stores.federation_cache import FederationCache
    from keystead.stores.helper_cache import HelperCache

PATIENCE: Final = 60.0
"""Seconds to wait for another process's renewal."""
LOOK_AGAIN: Final = 0.1
"""Seconds between two looks at whether it is done, at first."""
LOOK_RARER: Final = 0.2
"""Later, as a share of the time waited so far: nobody is late by more than that, and a large crowd leaves room."""

_Made = TypeVar("_Made")


class Refresher:
    """Keeps one stored login fresh.

    Args:
        transport_factory: called only when a request must be sent, so that nothing heavy is loaded before.
        patience: seconds to wait for another process.
        backoff: makes the pauses that servers ask for; called only when a renewal is due. Without it none is shared.
    """

    def __init__(
        self,
        store: TokenStore,
        transport_factory: "Callable[[], Transport]",
        clock: Clock,
        *,
        patience: float = PATIENCE,
        backoff: "Callable[[], Backoff] | None" = None,
    ) -> None:
        self._store = store
        self._transport_factory = transport_factory
        self._clock = clock
        self._patience = patience
        self._backoff = backoff

    def fresh(self, kind: LoginKind, *, rejected: int | None = None) -> Login:
        """Return the login of ``kind`` with an access token that can be sent.

        While the access token is valid a renewal that fails is quiet; the token is used as it is.

        Args:
            kind: which login.
            rejected: the generation whose access token a server has just refused with 401: renew unless somebody
                already has, so that one generation causes one renewal whatever the number of processes (R-09).

        Raises:
            NoCredential: there is no such login any more.
            CredentialRejected: its server ended it; it is kept, retired and restorable.
            CredentialExpired: it is past its time and has no refresh token.
            RateLimited: its server asked every process to wait; the hint says until when.
            TemporaryFailure: it is needed and could not be renewed now; nothing was changed.
        """
        login = self._load(kind)
        if not self._due(login, rejected):
            return login
        try:
            with _turn(
                lambda timeout: self._store.lock(kind, timeout),
                lambda: self._not_due(kind, rejected),
                self._patience_for(login, rejected),
                self._clock,
            ) as renewed:
                return renewed if renewed is not None else self._renew(self._load(kind), rejected)
        except (TemporaryFailure, ConfigurationError):
            if rejected is None and login.tokens.freshness(self._clock.now()) is not Freshness.EXPIRED:
                return login
            raise

    def _load(self, kind: LoginKind) -> Login:
        login = self._store.load(kind)
        if login is None:
            raise NoCredential("The sign-in was removed in the meantime.", hint="Run `keystead login`.")
        if login.retired_at is not None:
            raise _ended(login)
        return login

    def _not_due(self, kind: LoginKind, rejected: int | None) -> Login | None:
        login = self._load(kind)
        return None if self._due(login, rejected) else login

    def _due(self, login: Login, rejected: int | None) -> bool:
        if rejected is not None and login.generation <= rejected:
            return True
        freshness = login.tokens.freshness(self._clock.now())
        # Stale without a refresh token is as good as it gets; expired without one is an error of the renewal.
        return freshness is Freshness.EXPIRED or (
            freshness is Freshness.STALE and login.tokens.refresh_token is not None
        )

    def _patience_for(self, login: Login, rejected: int | None) -> float:
        """A token that still works is not worth waiting for: whoever holds the lock is renewing it."""
        usable = rejected is None and login.tokens.freshness(self._clock.now()) is not Freshness.EXPIRED
        return 0.0 if usable else self._patience

    def _renew(self, login: Login, rejected: int | None) -> Login:
        from keystead.drivers import conversation
        from keystead.flows import refresh

        if login.tokens.refresh_token is None:
            raise CredentialExpired(
                f"The sign-in to {login.issuer} has expired and cannot be renewed.",
                hint="Run `keystead login` to sign in again.",
            )
        backoff = self._backoff() if self._backoff else None
        forced = f"401 {self._store.profile} {login.kind} {login.issuer}"
        if backoff is not None:
            _require_no_pause(login, backoff.pause(login.token_endpoint), self._clock.now())
            if rejected is not None and (pause := backoff.pause(forced)) is not None:
                raise _refused_again(login, pause, self._clock.now())
        now = self._clock.now()
        try:
            tokens = conversation.run(refresh.refresh(login, now), self._transport_factory(), self._clock)
        except CredentialRejected as error:
            self._store.save(replace(login, retired_at=now))
            raise _ended(login) from error
        except KeysteadError as error:
            if backoff is not None and (pause := backoff.failed(login.token_endpoint, error)) is not None:
                error.hint = _when(pause, self._clock.now())
            raise
        renewed = self._store.save(replace(login, tokens=tokens))
        if backoff is not None:
            backoff.succeeded(login.token_endpoint)
            if rejected is not None:
                backoff.renewed_in_vain(forced)
        return renewed


@contextmanager
def _turn(
    lock: Callable[[float], AbstractContextManager[None]],
    look: Callable[[], _Made | None],
    patience: float,
    clock: Clock,
) -> Iterator[_Made | None]:
    """Hold the lock for the block, or yield what another process made while it held it.

    Who waits looks now and then whether it is made, without the lock, so that a crowd leaves at once and not one by
    one (R-01).

    Args:
        lock: takes seconds to wait.
        look: returns what is wanted, or None while it must be made.
        patience: seconds to wait in all.
        clock: what they are measured with.

    Raises:
        StoreBusy: another process held the lock for longer.
    """
    end = clock.monotonic() + patience
    with ExitStack() as held:
        while True:
            left = max(end - clock.monotonic(), 0.0)
            pause = max(LOOK_AGAIN, LOOK_RARER * (patience - left))
            try:
                held.enter_context(lock(min(left, pause)))
            except StoreBusy as busy:
                if (made := look()) is not None:
                    break
                if left <= pause:
                    message = f"Another process has been renewing this credential for more than {patience:g} s."
                    raise StoreBusy(message, hint=busy.hint) from None
            else:
                made = look()
                break
        yield made


def _ended(login: Login) -> CredentialRejected:
    fix = "Run `keystead login` to sign in again, or `keystead logout` to go on without it."
    return CredentialRejected(f"{login.issuer} has ended this sign-in.", hint=fix)


def _require_no_pause(login: Login, pause: "Pause | None", now: float) -> None:
    if pause is not None:
        raise RateLimited(
            f"{login.issuer} has asked to wait, so the sign-in is not renewed now.",
            hint=_when(pause, now),
            retry_after=pause.remaining(now),
        )


def _refused_again(login: Login, pause: "Pause", now: float) -> CredentialRejected:
    return CredentialRejected(
        f"{login.api_base} refuses the sign-in to {login.issuer} although it was renewed just now.",
        hint=f"Run `keystead login`, or ask whoever runs {login.api_base}. {_when(pause, now)}",
    )


def _when(pause: "Pause", now: float) -> str:
    """Say when the next try makes sense, to the second and in UTC (R-20)."""
    from datetime import UTC, datetime

    moment = datetime.fromtimestamp(pause.until + 1, UTC)
    return f"Nothing was lost. Try again in {pause.remaining(now) + 1:.0f} s, at {moment:%H:%M:%S} UTC."


def helper_key(
    cache: "HelperCache",
    run: Callable[[], Printed],
    lifetime: float,
    clock: Clock,
    *,
    rejected: Secret | None = None,
    patience: float = PATIENCE,
) -> Printed:
    """Return the key of ``apiKeyHelper``, running the command only when no process has a usable output.

    Args:
        cache: the shared output.
        run: runs the command.
        lifetime: seconds an output without an end of its own may be used again; 0 runs the command every time.
        clock: what the lifetime is measured with.
        rejected: the key a server has just refused; run again unless another process already has.
        patience: seconds to wait for another process that is running it.

    Raises:
        HelperFailed: the command printed no usable key, and what it printed last has ended.
        StoreBusy: another process has been running it for longer than ``patience``.
    """
    if lifetime <= 0:
        return run()
    kept = _usable(cache, lifetime, clock, rejected)
    if kept is not None:
        return kept
    try:
        with _turn(cache.lock, lambda: _usable(cache, lifetime, clock, rejected), patience, clock) as kept:
            return kept if kept is not None else _printed(cache, run)
    except HelperFailed:
        last = cache.load()
        if last is None or last.printed.secret == rejected or not last.last_good(clock.now()):
            raise
        return last.printed
    except StoreUnavailable:  # nothing may be written here: then nothing is shared
        return run()


def _printed(cache: "HelperCache", run: Callable[[], Printed]) -> Printed:
    printed = run()
    with suppress(StoreUnavailable):
        cache.save(printed)
    return printed


def _usable(cache: "HelperCache", lifetime: float, clock: Clock, rejected: Secret | None) -> Printed | None:
    kept = cache.load()
    if kept is None or not kept.usable(clock.now(), lifetime) or kept.printed.secret == rejected:
        return None
    return kept.printed


def federated_tokens(
    cache: "FederationCache",
    exchange: Callable[[], OAuthTokens],
    clock: Clock,
    *,
    rejected: Secret | None = None,
    patience: float = PATIENCE,
) -> OAuthTokens:
    """Return a federated token, exchanging the identity only when no process has one that is fresh.

    While a kept token is valid, an exchange that fails is quiet; the token is used as it is.

    Args:
        cache: the shared token.
        exchange: makes a new one.
        clock: what its lifetime is measured with.
        rejected: the token a server has just refused with 401; exchange again unless another process already has.
        patience: seconds to wait for another process that is exchanging.

    Raises:
        CredentialRejected: the federation rule does not accept this identity.
        TemporaryFailure: a token is needed and could not be had now.
        ConfigurationError: the identity token is not there.
    """
    kept = _kept_token(cache, clock, rejected)
    if kept is not None and kept.freshness(clock.now()) is Freshness.FRESH:
        return kept
    try:
        patience = 0.0 if kept is not None else patience
        with _turn(cache.lock, lambda: _fresh_token(cache, clock, rejected), patience, clock) as other:
            return other if other is not None else _exchanged(cache, exchange)
    except StoreUnavailable:  # nothing may be written here: then nothing is shared
        return kept or exchange()
    except (TemporaryFailure, ConfigurationError):
        if kept is not None:
            return kept
        raise


def _exchanged(cache: "FederationCache", exchange: Callable[[], OAuthTokens]) -> OAuthTokens:
    tokens = exchange()
    with suppress(StoreUnavailable):
        cache.save(tokens)
    return tokens


def _kept_token(cache: "FederationCache", clock: Clock, rejected: Secret | None) -> OAuthTokens | None:
    kept = cache.load()
    if kept is None or kept.access_token == rejected or kept.freshness(clock.now()) is Freshness.EXPIRED:
        return None
    return kept


def _fresh_token(cache: "FederationCache", clock: Clock, rejected: Secret | None) -> OAuthTokens | None:
    kept = _kept_token(cache, clock, rejected)
    return kept if kept is not None and kept.freshness(clock.now()) is Freshness.FRESH else None


def paced(
    exchange: Callable[[], OAuthTokens], endpoint: str, backoff: "Backoff", clock: Clock
) -> Callable[[], OAuthTokens]:
    """Return ``exchange`` that leaves ``endpoint`` alone while it has asked every process to wait (R-20)."""

    def run() -> OAuthTokens:
        pause = backoff.pause(endpoint)
        if pause is not None:
            raise RateLimited(
                f"{endpoint} has asked to wait, so the identity token is not exchanged now.",
                hint=_when(pause, clock.now()),
                retry_after=pause.remaining(clock.now()),
            )
        try:
            tokens = exchange()
        except KeysteadError as error:
            if (pause := backoff.failed(endpoint, error)) is not None:
                error.hint = _when(pause, clock.now())
            raise
        backoff.succeeded(endpoint)
        return tokens

    return run
