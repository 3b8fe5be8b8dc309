"""The public library: which credential, and a request's header with it, bound to where it may go.

::

    client = Client.local()
    authorized = client.credential()
    headers = authorized.for_url("https://api.anthropic.com/v1/messages")

:class:`AsyncClient` is the same on an event loop.
"""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from keystead.clock import SYSTEM_CLOCK, Clock
from keystead.credentials import Account, ApiKey, Bearer, CloudCredential, Header, LoginKind, OAuthTokens
from keystead.credentials.printed import Printed
from keystead.environment import Environment
from keystead.errors import ConfigurationError, CredentialRejected, UnsupportedCredential
from keystead.refresher import Refresher, federated_tokens, helper_key, paced
from keystead.release import FEDERATED, Access, Authorized, Sendable, Signed
from keystead.resolver import Resolution, Resolver
from keystead.secret import Secret
from keystead.sources.api_key_reference import ReferredKey
from keystead.sources.candidate import Approval, Candidate, HelperCommand, KeyReference
from keystead.sources.configuration import Configuration
from keystead.sources.login_store import open_store
from keystead.stores import TokenStore, profiles
from keystead.stores.approvals import Approvals, Decision
from keystead.wire import origin as wire_origin

if TYPE_CHECKING:
    from keystead.clouds import Clouds
    from keystead.credentials.cloud import CloudIdentity
    from keystead.credentials.federation import Federation
    from keystead.drivers.transport import Transport
    from keystead.stores.backoff import Backoff

LOGIN_KINDS = {"gateway_session": LoginKind.GATEWAY, "login": LoginKind.ACCOUNT}
"""The sources that are sign-ins, and what each is kept as."""

_Result = TypeVar("_Result")


class Client:
    """Resolves, renews and hands out this machine's credential.

    Args:
        transport_factory: called only when a renewal must be sent.
        interactive: whether a person can be asked about an API key (S-05).
        approvals: by default those in the state directory.
        notice: told, in a sentence, that a helper takes long, every ten seconds of it (S-06); and each line that
            a refresh command of a cloud prints.
    """

    def __init__(
        self,
        environment: Environment,
        store: TokenStore,
        transport_factory: "Callable[[], Transport]",
        clock: Clock,
        *,
        interactive: bool = False,
        approvals: Approvals | None = None,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        self._notice = notice
        self._environment = environment
        self._store = store
        self._clock = clock
        self._transport_factory = transport_factory
        self._approvals = approvals or Approvals(environment.state_dir, clock)
        self._resolver = Resolver(environment, store, clock, interactive=interactive, approvals=self._approvals)
        self._referred = ReferredKey(lambda: Configuration.read(environment), clock)
        self._refresher = Refresher(store, transport_factory, clock, backoff=self._backoff)

    @classmethod
    def local(cls, *, interactive: bool = False, profile: str | None = None) -> "Client":
        """Return a client of this process's environment, the chosen store and the network.

        Args:
            interactive: whether a person can be asked about an API key.
            profile: which account; None takes the one meant here, by variable, directory binding or default (R-04).
        """
        environment = Environment.capture()
        place = open_store(environment, SYSTEM_CLOCK)
        store = profiles.view(place, profiles.select(environment, SYSTEM_CLOCK, profile))
        return cls(environment, store, _network, SYSTEM_CLOCK, interactive=interactive)

    def resolve(self) -> Resolution:
        """Decide which credential is used and why; no side effects."""
        return self._resolver.resolve()

    def credential(self, resolution: Resolution | None = None) -> Authorized:
        """Return the winner, renewed or fetched from its helper when needed.

        Args:
            resolution: a decision of :meth:`resolve` that was looked at before; by default a new one.

        Raises:
            ExpectationFailed: another purse would pay than the declared one; nothing was sent or run (B-05).
            SignInRequired: there is none, or its server has ended it.
            UnsupportedCredential: a cloud is used for which each request is signed: there is nothing to hand out.
            KeysteadError: it is refused, broken, or could not be renewed now.
        """
        resolution = resolution or self.resolve()
        winner = resolution.require()
        cloud = winner.credential
        why = self._clouds().tokenless(cloud.provider) if isinstance(cloud, CloudCredential) else None
        access = self.access(resolution) if why is None else None
        if not isinstance(access, Authorized):
            raise UnsupportedCredential(
                f"{winner.title} takes no token: {why}.",
                hint="Ask with `keystead -p`, or start a program that signs for itself with `keystead run`.",
            )
        return access

    def access(self, resolution: Resolution | None = None) -> Access:
        """Return what lets requests through: the credential, or for some clouds what signs each request.

        Args:
            resolution: as for :meth:`credential`.

        Raises:
            KeysteadError: as for :meth:`credential`.
        """
        resolution = resolution or self.resolve()
        winner = resolution.require()
        if isinstance(winner.credential, CloudCredential):
            return self._at_cloud(winner, winner.credential.provider, resolution)
        return replace(self._authorize(winner), surface=resolution.declaration.told)

    def authorize(self, request: Sendable) -> Sendable:
        """Put this machine's credential on ``request``, in its one header, or sign it, and return the request.

        Raises:
            PolicyDenied: the credential does not belong to the request's origin (R-07).
            KeysteadError: as for :meth:`credential`.
        """
        return self.access().add_to(request)

    def cloud(self, resolution: Resolution | None = None, *, fresh: bool = False) -> "CloudIdentity | None":
        """Return who the cloud in use takes this machine for, as its own SDK finds out; None when no cloud is used.

        Call it before a program that talks to the cloud itself: what would fail later fails here (S-09).

        Args:
            resolution: a decision of :meth:`resolve` that was looked at before; by default a new one.
            fresh: ask now, whatever was answered in the last five minutes.

        Raises:
            CloudNotReady: its credentials are missing, have ended, or are refused.
            ExpectationFailed: the cloud says that another account would pay than the declared one (B-05).
            KeysteadError: nothing can be used at all, or the cloud cannot be asked.
        """
        resolution = resolution or self.resolve()
        winner = resolution.require()
        if not isinstance(winner.credential, CloudCredential):
            return None
        found = self._clouds().prove(winner.credential.provider, fresh=fresh)
        _expected(winner, found, resolution)
        return found

    def again(self, refused: Authorized) -> Authorized:
        """Return a credential to try once more after a server answered 401 to ``refused`` (R-09).

        One renewal, or one run of the helper, for each refused credential across all processes. Call it once for
        a request; a second 401 is final.

        Raises:
            CredentialRejected: the credential is one that cannot be renewed.
            KeysteadError: the renewal failed.
        """
        return replace(self._again(refused), surface=refused.surface)

    def _again(self, refused: Authorized) -> Authorized:
        candidate = refused.candidate
        if isinstance(candidate.credential, CloudCredential):
            provider = candidate.credential.provider
            renewed = self._at_cloud(candidate, provider, self.resolve(), rejected=refused.secret)
            if isinstance(renewed, Authorized):
                return renewed
        if isinstance(candidate.credential, HelperCommand):
            return self._from_helper(candidate, candidate.credential, rejected=refused.secret)
        if isinstance(candidate.credential, KeyReference):
            secret = self._referred.read(candidate.credential, rejected=refused.secret)
            if secret != refused.secret:  # it was changed where it is kept
                return replace(refused, secret=secret)
        if candidate.source in LOGIN_KINDS:
            return self._from_login(candidate, rejected=refused.generation)
        if candidate.source in FEDERATED:
            return self._from_federation(candidate, rejected=refused.secret)
        raise CredentialRejected(
            f"{candidate.api_base} refused the credential from {candidate.provenance}.",
            hint="Replace it, or unset it and run `keystead login`.",
        )

    def pending(self) -> Candidate | None:
        """Return the API key a person should be asked about before it is used, or None (S-05)."""
        considered = self.resolve().considered
        return next((one for one in considered if one.approval is Approval.PENDING), None)

    def environment_key(self) -> Candidate | None:
        """Return the API key of the environment, asked about or not, used or not; None when there is none."""
        considered = self.resolve().considered
        return next((one for one in considered if one.source == "api_key" and one.credential is not None), None)

    def fingerprint(self, candidate: Candidate) -> str:
        """Return what stands for an API key of the environment where a person sees it (R-21)."""
        return self._approvals.fingerprint(_api_key(candidate))

    def decide(self, candidate: Candidate, *, accepted: bool) -> Decision:
        """Remember the person's answer about an API key from the environment."""
        origin = next(iter(candidate.allowed_origins))
        return self._approvals.decide(_api_key(candidate), origin, accepted=accepted)

    def _backoff(self) -> "Backoff":
        from keystead.stores.backoff import Backoff

        return Backoff(self._environment.state_dir, self._clock)

    def _authorize(self, candidate: Candidate) -> Authorized:
        if candidate.source in FEDERATED:
            return self._from_federation(candidate)
        match candidate.credential:
            case OAuthTokens():
                return self._from_login(candidate)
            case HelperCommand() as helper:
                return self._from_helper(candidate, helper)
            case KeyReference() as reference:
                key = self._referred.read(reference)
                return Authorized(Header.X_API_KEY, key, candidate.api_base or "", candidate)
            case ApiKey(secret, header) | Bearer(secret, header):
                return Authorized(header, secret, candidate.api_base or "", candidate)
            case _:
                raise UnsupportedCredential(f"{candidate.title} has nothing that this version can send.")

    def _clouds(self) -> "Clouds":
        from keystead.clouds import Clouds

        return Clouds(self._environment, self._clock, say=self._notice)

    def _at_cloud(
        self, winner: Candidate, provider: str, resolution: Resolution, *, rejected: Secret | None = None
    ) -> Access:
        """Return the cloud's key, its token, or what signs for it, each for the cloud's own address only."""
        clouds = self._clouds()
        opening = clouds.open(provider, rejected=rejected)
        winner = _expected(winner, opening.identity, resolution)
        route = opening.route
        origins = frozenset({wire_origin.parse(route.base)})
        winner = replace(winner, header=opening.header, api_base=route.base, allowed_origins=origins)
        if opening.secret is not None and opening.header is not None:
            return Authorized(opening.header, opening.secret, route.base, winner, route=route)
        return Signed(route.base, winner, route, opening.service, functools.partial(clouds.sign, provider))

    def _from_login(self, candidate: Candidate, *, rejected: int | None = None) -> Authorized:
        login = self._refresher.fresh(LOGIN_KINDS[candidate.source], rejected=rejected)
        now = self._clock.now()
        candidate = replace(
            candidate,
            credential=login.tokens,
            account=login.account,
            expires_at=login.tokens.expires_at,
            freshness=login.tokens.freshness(now),
            api_base=login.api_base,
            allowed_origins=login.allowed_origins,
        )
        return Authorized(
            Header.AUTHORIZATION, login.tokens.access_token, login.api_base, candidate, generation=login.generation
        )

    def _from_helper(
        self, candidate: Candidate, helper: HelperCommand, *, rejected: Secret | None = None
    ) -> Authorized:
        from keystead.stores.helper_cache import HelperCache

        environment, profile = self._environment, self._store.profile

        def run() -> Printed:
            from keystead.drivers import helper as driver

            variables = {**Configuration.read(environment).variables(), profiles.VARIABLE: profile}
            name = f"apiKeyHelper ({candidate.provenance})"
            say = self._notice
            slow = None if say is None else lambda elapsed: say(f"{name} is taking a while ({elapsed:.0f} s)")
            return driver.run(helper.command, name, environment.cwd, variables, self._clock, notice=slow)

        cache = HelperCache(environment.state_dir, helper.command, environment.cwd, self._clock, profile=profile)
        printed = helper_key(cache, run, helper.lifetime, self._clock, rejected=rejected)
        candidate = replace(candidate, expires_at=printed.expires_at)
        return Authorized(candidate.header or Header.X_API_KEY, printed.secret, candidate.api_base or "", candidate)

    def _from_federation(self, candidate: Candidate, *, rejected: Secret | None = None) -> Authorized:
        from keystead.credentials.federation import Federation
        from keystead.flows import federation as flow
        from keystead.stores.federation_cache import FederationCache

        asked, base = candidate.credential, candidate.api_base or ""
        assert isinstance(asked, Federation)

        def exchange() -> OAuthTokens:
            from keystead.drivers import conversation
            from keystead.sources import identity_token

            identity = identity_token.read(asked, self._environment.cwd)
            conversing = flow.exchange(asked, base, identity, self._clock.now())
            return conversation.run(conversing, self._transport_factory(), self._clock)

        cache = FederationCache(self._environment.state_dir, _question(asked, base), self._clock)
        run = paced(exchange, flow.endpoint(base), self._backoff(), self._clock)
        tokens = federated_tokens(cache, run, self._clock, rejected=rejected)
        freshness = tokens.freshness(self._clock.now())
        candidate = replace(candidate, expires_at=tokens.expires_at, freshness=freshness)
        return Authorized(Header.AUTHORIZATION, tokens.access_token, base, candidate)


class AsyncClient:
    """A :class:`Client` for programs with an event loop; the methods are its own, and raise the same.

    Each call runs in a thread of the loop's own (:func:`asyncio.to_thread`), so files, helpers and renewals never
    block the loop. Cancelling a call stops the wait, not the work: a renewal under way is finished and kept, because
    a rotated refresh token must not get lost (R-01).

    Args:
        client: the client to call, alone or beside others.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    @classmethod
    async def local(cls, *, interactive: bool = False, profile: str | None = None) -> "AsyncClient":
        """Return a client of this process's environment; see :meth:`Client.local`."""
        return cls(await _aside(lambda: Client.local(interactive=interactive, profile=profile)))

    async def resolve(self) -> Resolution:
        """Decide which credential is used and why; no side effects."""
        return await _aside(self._client.resolve)

    async def credential(self, resolution: Resolution | None = None) -> Authorized:
        """Return the winner, renewed or fetched from its helper when needed; see :meth:`Client.credential`."""
        return await _aside(lambda: self._client.credential(resolution))

    async def authorize(self, request: Sendable) -> Sendable:
        """Put this machine's credential on ``request``; see :meth:`Client.authorize`."""
        return (await self.credential()).add_to(request)

    async def again(self, refused: Authorized) -> Authorized:
        """Return a credential to try once more after a 401; see :meth:`Client.again`."""
        return await _aside(lambda: self._client.again(refused))

    async def cloud(self, resolution: Resolution | None = None, *, fresh: bool = False) -> "CloudIdentity | None":
        """Return who the cloud in use takes this machine for; see :meth:`Client.cloud`."""
        return await _aside(lambda: self._client.cloud(resolution, fresh=fresh))


async def _aside(work: Callable[[], _Result]) -> _Result:
    import asyncio  # on demand: twice the start-up of `keystead token`

    return await asyncio.to_thread(work)


def _expected(winner: Candidate, found: "CloudIdentity", resolution: Resolution) -> Candidate:
    """Return ``winner`` with the account that the cloud named, once it is the declared one (B-05)."""
    from keystead.sources.expectation import mismatch

    account = Account(id=found.principal, organization_id=found.account)
    winner = replace(winner, account=account, expires_at=found.expires_at)
    unexpected = mismatch(winner, resolution.expectations)
    if unexpected is not None:
        raise unexpected
    return winner


def _question(asked: "Federation", base: str) -> dict[str, str | None]:
    """Return all that a federated token depends on, with a fingerprint in place of the identity token."""
    token = asked.identity_token
    return {
        "api_base": base,
        "rule": asked.rule_id,
        "organization": asked.organization_id,
        "service_account": asked.service_account_id,
        "workspace": asked.workspace_id,
        "file": asked.identity_file,
        "token": token.fingerprint(b"keystead.federation") if token is not None else None,
    }


def _api_key(candidate: Candidate) -> Secret:
    if not isinstance(candidate.credential, ApiKey):
        raise ConfigurationError(f"{candidate.title} needs no approval.")
    return candidate.credential.secret


def _network() -> "Transport":
    from keystead.drivers.transport import HttpTransport

    return HttpTransport()
