"""``keystead login``: the old sign-in stays until the new one is verified and stored; then it is revoked."""

from contextlib import suppress
from dataclasses import replace
from typing import Final

import click

from keystead.cli import approval, organizations, servers, tickets
from keystead.cli.announcements import Announcer, ForPeople, ForPrograms
from keystead.cli.paper import Paper
from keystead.cli.surroundings import Surroundings
from keystead.credentials import Account, BillingClass, Login, LoginKind, OAuthTokens
from keystead.drivers import conversation, terminal
from keystead.drivers.transport import Transport
from keystead.errors import ConfigurationError, KeysteadError, ServerUnreachable, StoreUnavailable, UsageError
from keystead.flows import discovery, revoke, userinfo
from keystead.sources.stored import place
from keystead.stores import TokenStore
from keystead.wire import origin
from keystead.wire.oauth import ServerMetadata, UserInfo

_LOCK_PATIENCE: Final = 60.0
_SOURCES: Final = {LoginKind.GATEWAY: "gateway_session", LoginKind.ACCOUNT: "login"}


@click.command()
@click.option("--server", metavar="URL", help="The server to sign in to.")
@click.option("--method", type=click.Choice([kind.value for kind in LoginKind]), help="What to sign in as.")
@click.option("--org", metavar="NAME", help="The organization it must be for, by name or id; else nothing is kept.")
@click.option("--device", is_flag=True, help="Use a code on another device, not the browser here.")
@click.option("--no-browser", is_flag=True, help="Print the address instead of opening it.")
@click.option("--json", "wants_json", is_flag=True, help="Print events as JSON lines, schema keystead.login/1.")
@click.pass_obj
def login(
    surroundings: Surroundings,
    server: str | None,
    method: str | None,
    org: str | None,
    device: bool,
    no_browser: bool,
    wants_json: bool,
) -> None:
    """Sign in to a Keystead server, with the browser or with a code on another device."""
    if device and no_browser:
        raise UsageError("--device and --no-browser exclude each other.", hint="Give one of them.")
    if surroundings.selection.problem is not None:
        raise surroundings.selection.problem
    surroundings = surroundings.settled()
    announcer: Announcer = ForPrograms() if wants_json else for_people(surroundings)
    network = surroundings.network()
    metadata = _ask_server(surroundings, network, servers.choose(surroundings, server), announcer)
    kind = _kind(metadata, method)
    if approval.wants_device(surroundings, metadata, asked=device, no_browser=no_browser):
        tokens = approval.by_device(surroundings, network, metadata, announcer)
    else:
        tokens = approval.by_browser(surroundings, network, metadata, announcer, no_browser=no_browser)
    new, old, store = _keep(surroundings, network, _unnamed(metadata, kind, tokens), metadata, org)
    _tell(announcer, new, store.profile, place(store, surroundings.environment))
    _retire(surroundings, network, old, store, announcer)
    for said in tickets.in_passing(surroundings, {new.issuer}):
        announcer.warning(said)
    displaced = organizations.displaced(new, old)
    if displaced is not None:
        announcer.warning(displaced)
    if store.profile != surroundings.store.profile:
        announcer.warning(organizations.beside(store.profile))
    else:
        _warn_if_outranked(surroundings, new, announcer)


def for_people(surroundings: Surroundings) -> ForPeople:
    """Return the announcer that writes to stderr."""
    environment = surroundings.environment
    on_terminal = environment.stderr_tty
    colour = terminal.wants_colour(environment, on_terminal)
    columns = terminal.width(environment, 2) if on_terminal else 80
    return ForPeople(Paper(columns, colour), links=colour)


def _ask_server(
    surroundings: Surroundings, network: Transport, choice: servers.ServerChoice, announcer: Announcer
) -> ServerMetadata:
    try:
        metadata = conversation.run(discovery.discover(choice.url), network, surroundings.clock)
    except ServerUnreachable as error:
        if choice.place != "default":
            raise
        hint = "Start one with keystead server run, or name yours with keystead login --server URL."
        raise ServerUnreachable(f"There is no server at {choice.url}.", hint=hint, move="you") from error
    announcer.server(choice.url, choice.place)
    return metadata


def _kind(metadata: ServerMetadata, method: str | None) -> LoginKind:
    """Return what to sign in as: a gateway session where the server has a gateway, unless told otherwise."""
    has_gateway = metadata.gateway_protocol_version is not None
    if method == LoginKind.GATEWAY and not has_gateway:
        raise ConfigurationError(f"{metadata.issuer} has no gateway.", hint="Use --method account.")
    if method is not None:
        return LoginKind(method)
    return LoginKind.GATEWAY if has_gateway else LoginKind.ACCOUNT


def _unnamed(metadata: ServerMetadata, kind: LoginKind, tokens: OAuthTokens) -> Login:
    """Return the new login before its server has said whose it is."""
    return Login(
        kind=kind,
        issuer=metadata.issuer,
        api_base=metadata.issuer,
        token_endpoint=metadata.token_endpoint,
        revocation_endpoint=metadata.revocation_endpoint,
        client_id=approval.CLIENT_ID,
        tokens=tokens,
        account=Account(),
        billing=BillingClass.GATEWAY if kind is LoginKind.GATEWAY else BillingClass.UNKNOWN,
        allowed_origins=frozenset({origin.parse(metadata.issuer)}),
    )


def _keep(
    surroundings: Surroundings, network: Transport, login: Login, metadata: ServerMetadata, org: str | None
) -> tuple[Login, Login | None, TokenStore]:
    """Verify the new login, store it, read it back; return it, the one it replaced, and the profile's store.

    Whatever fails or interrupts before it is stored, the old login is untouched and the new grant is given back.
    """
    store = surroundings.store
    try:
        info = conversation.run(userinfo.userinfo(metadata, login.tokens.access_token), network, surroundings.clock)
        named = _named(login, info)
        if org is not None:
            organizations.require(named, org)
            store = organizations.home(surroundings, named)
        with store.lock(login.kind, _LOCK_PATIENCE):  # or a renewal of the old login could overwrite the new one
            old = _loaded(store, login.kind)
            new = store.save(named)
            if not _is_kept(store, new):
                raise StoreUnavailable(
                    f"{store.location} did not keep the sign-in.", hint="Check that its disk has room and is writable."
                )
    except BaseException:  # Ctrl-C too
        if not _is_kept(store, login):
            _give_back(surroundings, network, login)
        raise
    return new, old, store


def _is_kept(store: TokenStore, login: Login) -> bool:
    kept = _loaded(store, login.kind)
    return kept is not None and kept.tokens.access_token == login.tokens.access_token


def _loaded(store: TokenStore, kind: LoginKind) -> Login | None:
    try:
        return store.load(kind)
    except KeysteadError:  # what cannot be read cannot be revoked; the store says so where it matters
        return None


def _named(login: Login, info: UserInfo) -> Login:
    known = {billing.value for billing in BillingClass}
    return replace(
        login,
        account=Account(info.sub, info.email, info.name, info.organization_id, info.organization_name),
        billing=BillingClass(info.billing_class) if info.billing_class in known else login.billing,
        upstream=info.upstream,
    )


def _give_back(surroundings: Surroundings, network: Transport, login: Login) -> None:
    """Revoke a grant that nobody will use; when that fails too, the first error is the one to report."""
    try:
        conversation.run(revoke.revoke(login), network, surroundings.clock)
    except KeysteadError:
        return


def _tell(announcer: Announcer, new: Login, profile: str, store: str) -> None:
    organization = new.account.organization_name or new.account.organization_id
    announcer.signed_in(
        {
            "server": new.issuer,
            "method": new.kind.value,
            "account": new.account.id,
            "email": new.account.email,
            "organization": organization,
            "organization_id": new.account.organization_id,
            "profile": profile,
            "store": store,
            "billing": new.billing.value,
            "payer": f"{organization or 'whoever the server charges'}, through {new.issuer}.",
            "upstream": new.upstream,
        }
    )
    if new.upstream == "test":
        announcer.warning("This server answers with its test upstream, which is not a model")


def _retire(
    surroundings: Surroundings, network: Transport, old: Login | None, store: TokenStore, announcer: Announcer
) -> None:
    """End the grant that was replaced; a failure is told, because that sign-in is then still alive."""
    if old is None or old.retired_at is not None:
        return
    try:
        ended = conversation.run(revoke.revoke(old), network, surroundings.clock)
    except KeysteadError as error:
        announcer.warning(f"The earlier sign-in to {old.issuer} could not be revoked: {error.message}")
        return
    if ended:
        with suppress(KeysteadError):  # what stays of it is good for nothing
            store.forget(old)


def _warn_if_outranked(surroundings: Surroundings, new: Login, announcer: Announcer) -> None:
    """Look again, and say loudly when the new sign-in changes nothing (R-30)."""
    resolution = surroundings.client().resolve()
    winner = resolution.winner
    if winner is not None and winner.source == _SOURCES[new.kind]:
        if resolution.problem is not None:
            announcer.warning(f"This sign-in is refused here: {resolution.problem.message}")
        return
    if winner is not None:
        from keystead.cli.origins import set_in

        announcer.warning(
            f"This sign-in is not used: {winner.title} ({winner.provenance}) comes first. "
            f"{set_in(surroundings, resolution, winner)}Unset it to use the sign-in; keystead status shows the order"
        )
    elif resolution.problem is not None:
        announcer.warning(f"This sign-in is not used: {resolution.problem.message}")
