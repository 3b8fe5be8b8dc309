"""``keystead server``: run the server, and what whoever runs it does beside the console."""

import json
import secrets
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from keystead.clock import SYSTEM_CLOCK
from keystead.environment import Environment
from keystead.errors import UsageError
from keystead.server import (
    app,
    connect_commands,
    data_directory,
    installation,
    limit_commands,
    terms_commands,
    upstream_commands,
)
from keystead.server.command_base import opened, settings_of, with_overrides
from keystead.server.mail.routes import described, route
from keystead.server.settings import NO_UPSTREAM, ServerSettings
from keystead.server.usage import price_file


@click.group()
def server() -> None:
    """Run the self-hosted server: sign-in, console and gateway in one process."""


@server.command()
def run(**given: Any) -> None:
    """Start the server and keep it running until Ctrl-C."""
    environment = Environment.capture()
    settings = settings_of(environment, **given)
    with installation.prepared(settings, SYSTEM_CLOCK, secrets.token_bytes) as installed:
        app.serve(installed, lambda ready: click.echo(_welcome(ready, environment)))
    click.echo("Keystead has stopped.")


@server.command("setup-link")
def setup_link(**given: Any) -> None:
    """Print a new link for the first administrator.

    It works once; links printed before stop working.
    """
    settings = settings_of(Environment.capture(), **given)
    code = installation.new_setup_code(settings, SYSTEM_CLOCK, secrets.token_bytes)
    if code is None:
        raise UsageError("This server already has its first administrator.", hint=f"Sign in at {settings.base_url}/.")
    click.echo(_link(settings, code))


SIGNING_KEYS_SCHEMA: Final = "keystead.signing-keys/1"
DOMAIN_SCHEMA: Final = "keystead.domain/1"
POLICY_SCHEMA: Final = "keystead.policy/1"
INVITATION_SCHEMA: Final = "keystead.invitation/1"
RESET_LINK_SCHEMA: Final = "keystead.reset-link/1"
FACTORS_SCHEMA: Final = "keystead.forget-factors/1"
MAIL_TEST_SCHEMA: Final = "keystead.mail-test/1"
REGISTRATION_TOKEN_SCHEMA: Final = "keystead.registration-token/1"
USAGE_SCHEMA: Final = "keystead.usage/1"
REPRICE_SCHEMA: Final = "keystead.usage-reprice/1"


@server.group("keys")
def signing_keys() -> None:
    """See and rotate the keys that sign access tokens and ID tokens."""


@signing_keys.command("list")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {SIGNING_KEYS_SCHEMA}.")
def list_keys(*, wants_json: bool, **given: Any) -> None:
    """Print the published keys, and which of them signs."""
    now = opened(given)
    from keystead.server.authorization import keys

    found = keys.overview(now)
    if wants_json:
        click.echo(json.dumps({"schema": SIGNING_KEYS_SCHEMA, "keys": found}, indent=2))
    for key in () if wants_json else found:
        until = f", verifies until {key['published_until']}" if key["published_until"] else ""
        click.echo(f"{key['kid']}  {key['state']}, made {key['created_at']}{until}")


@signing_keys.command("rotate")
@click.option(
    "--compromised",
    is_flag=True,
    help="An old key is in wrong hands: sign with the new one at once, and let the old ones verify nothing more.",
)
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {SIGNING_KEYS_SCHEMA}.")
def rotate_keys(*, compromised: bool, wants_json: bool, **given: Any) -> None:
    """Make a new signing key; running servers take it up by themselves.

    The new key is published at once and signs ten minutes later, when everybody who keeps the published keys has
    fetched it. The old ones go on verifying until the last token that they signed has ended.
    """
    now = opened(given)
    from keystead.server.authorization import keys

    done = keys.rotate(now, compromised=compromised)
    if wants_json:
        replaced = [{"kid": kid, "published_until": end.isoformat()} for kid, end in done.replaced.items()]
        made = {"kid": done.kid, "signs_from": done.signs_from.isoformat()}
        click.echo(json.dumps({"schema": SIGNING_KEYS_SCHEMA, "new": made, "replaced": replaced}, indent=2))
        return
    click.echo(f"The new key {done.kid} signs from {done.signs_from.isoformat()}.")
    for kid, end in done.replaced.items():
        click.echo(f"The key {kid} verifies {'nothing any more' if compromised else f'until {end.isoformat()}'}.")


@server.command("verify-domain")
@click.argument("domain")
@click.option("--organization", help="Whose domain it is, by name, when several organizations claim it.")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {DOMAIN_SCHEMA}.")
def verify_domain(domain: str, organization: str | None, *, wants_json: bool, **given: Any) -> None:
    """Vouch that an e-mail domain belongs to an organization.

    The organization adds the domain in the console first. Its owner can prove it there by a DNS record; this command is
    for whoever runs the server and knows it anyway. People with such an address may then come in by single sign-on.
    """
    now = opened(given)
    from keystead.server.sso import domains

    proven = domains.attest(domain, now, organization)
    if wants_json:
        facts = {"domain": proven.name, "organization": proven.organization.name, "verified_by": "operator"}
        click.echo(json.dumps({"schema": DOMAIN_SCHEMA, **facts}, indent=2))
        return
    click.echo(f"{proven.name} belongs to {proven.organization.name}.")


@server.command("policy-test")
@click.option("--as", "email", required=True, metavar="EMAIL", help="Whose policies to look at.")
@click.option("--organization", help="In which organization, by name, when the person belongs to several.")
@click.option("--model", help="Decide whether this model goes through, instead of showing the settings.")
@click.option("--client", default="", metavar="ID", help="The client they are signed in to; without it an API key.")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {POLICY_SCHEMA}.")
def policy_test(
    email: str, organization: str | None, model: str | None, client: str, *, wants_json: bool, **given: Any
) -> None:
    """Show the managed settings that a person's agents are given, or decide about a model, and by which policies.

    Nothing is changed, and no model is asked. That no policy is for somebody is not the same as an empty one.
    """
    if client and model is None:
        raise UsageError("--client is about a request for a model.", hint="Name the model with --model.")
    opened(given)
    from keystead.server import policy_trial

    question = None if model is None else policy_trial.Question(model, client)
    trials = policy_trial.run(email, organization, question)
    if wants_json:
        click.echo(json.dumps({"schema": POLICY_SCHEMA, "members": [one.to_json() for one in trials]}, indent=2))
        return
    for line in (line for one in trials for line in one.told()):
        click.echo(line)


@server.command()
@click.argument("email")
@click.option("--role", default="developer", show_default=True, help="What the person may do.")
@click.option("--group", "groups", multiple=True, help="A group of the console to put them into; may be repeated.")
@click.option("--organization", help="Into which organization, by name, when there are several.")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {INVITATION_SCHEMA}.")
def invite(
    email: str, role: str, groups: tuple[str, ...], organization: str | None, *, wants_json: bool, **given: Any
) -> None:
    """Print a link that lets one person into an organization.

    It works once, for seven days; hand it to that person and nobody else. Administrators invite in the console.
    """
    now = opened(given)
    from keystead.server.organizations import operations as organizations
    from keystead.server.organizations.roles import named
    from keystead.server.people import invitations

    into = organizations.named(organization)
    maker = invitations.Maker(into, None, by_mail=False, random_bytes=secrets.token_bytes)
    made = invitations.invite(maker, email, named(role), invitations.groups_named(into, groups), now)
    link = f"{settings_of(Environment.capture(), **given).base_url}/invitation#code={made.code.reveal()}"
    if wants_json:
        facts = {"email": made.invitation.email, "organization": into.name, "role": made.invitation.role, "link": link}
        ends = {"expires_at": made.invitation.expires_at.isoformat()}
        click.echo(json.dumps({"schema": INVITATION_SCHEMA, **facts, **ends}, indent=2))
        return
    click.echo(link)


@server.command("reset-link")
@click.argument("email")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {RESET_LINK_SCHEMA}.")
def reset_link(email: str, *, wants_json: bool, **given: Any) -> None:
    """Print a link with which the person with EMAIL chooses a new password.

    For somebody who gets no mail, such as an administrator who is locked out. It works once, for one hour; that it was
    made is written down, and the person is told when the password changes.
    """
    now = opened(given)
    from keystead.server.accounts import errands
    from keystead.server.identity.link_codes import LIFETIME

    link = errands.reset_link(email, now)
    if wants_json:
        facts = {"email": email, "link": link, "expires_at": (now + LIFETIME).isoformat()}
        click.echo(json.dumps({"schema": RESET_LINK_SCHEMA, **facts}, indent=2))
        return
    click.echo(link)


@server.command("forget-factors")
@click.argument("email")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {FACTORS_SCHEMA}.")
def forget_factors(email: str, *, wants_json: bool, **given: Any) -> None:
    """Remove the passkeys, authenticator app and recovery codes of the person with EMAIL.

    For somebody who lost them all, such as an administrator who is locked out. It is written down, and they are told.
    """
    now = opened(given)
    from keystead.server.accounts import errands

    removed = errands.forget_factors(email, now)
    if wants_json:
        click.echo(json.dumps({"schema": FACTORS_SCHEMA, "email": email, "removed": removed}, indent=2))
        return
    click.echo("The second factors are gone." if removed else "There was no second factor to remove.")


@server.command("mail-test")
@click.argument("address")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {MAIL_TEST_SCHEMA}.")
def mail_test(address: str, *, wants_json: bool, **given: Any) -> None:
    """Send one mail to ADDRESS, and say which step worked and which did not."""
    settings = settings_of(Environment.capture(), **given)
    from keystead.server.mail import trial

    data_directory.prepare(settings.data_dir)
    outcome = trial.run(address, settings, datetime.fromtimestamp(SYSTEM_CLOCK.now(), UTC))
    if wants_json:
        click.echo(json.dumps({"schema": MAIL_TEST_SCHEMA, **outcome.to_json()}, indent=2))
        sys.exit(0 if outcome.error is None else outcome.error.exit_code)
    for step in outcome.worked:
        click.echo(f"worked: {step}")
    if outcome.error is not None:
        raise outcome.error
    kept = "" if "outbox" not in outcome.worked else " It was kept as a file, and sent to nobody."
    click.echo(f"The mail to {address} was taken ({outcome.route}).{kept}")


@server.command("registration-token")
@click.argument("name")
@click.option("--organization", help="Whose clients they will be, by name, when there are several organizations.")
@click.option(
    "--grant",
    "grants",
    multiple=True,
    help="What a program may register for; can be repeated. Default: authorization_code and refresh_token, or "
    "client_credentials with a service account.",
)
@click.option("--scope", help="Scopes a program may register for, in one string.")
@click.option("--service-account", "account", help="Whom the program stands for in its own name, by name.")
@click.option("--uses", default=1, show_default=True, type=click.IntRange(min=1), help="How many may register.")
@click.option("--days", default=7, show_default=True, type=click.IntRange(min=1), help="How long it works.")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {REGISTRATION_TOKEN_SCHEMA}.")
def registration_token(name: str, organization: str | None, account: str | None, **given: Any) -> None:
    """Make a token with which a program registers itself as a client (RFC 7591).

    It is printed this once. NAME says what it is for. The server must allow registration
    (KEYSTEAD_SERVER_DYNAMIC_REGISTRATION).
    """
    wants_json, grants, scope = given.pop("wants_json"), given.pop("grants"), given.pop("scope")
    uses, lifetime = given.pop("uses"), timedelta(days=given.pop("days"))
    now = opened(given)
    from keystead.server.authorization import registration_tokens
    from keystead.server.keys import service_accounts
    from keystead.server.organizations import operations as organizations

    whose = organizations.named(organization)
    policy = registration_tokens.Policy(
        name=name,
        grant_types=grants or registration_tokens.usual_grants(in_its_own_name=account is not None),
        scope=scope or registration_tokens.usual_scope(in_its_own_name=account is not None),
        lifetime=lifetime,
        max_uses=uses,
        service_account=None if account is None else service_accounts.named(whose, account),
    )
    token, secret = registration_tokens.make_as_operator(whose, policy, now, secrets.token_bytes)
    if wants_json:
        facts = registration_tokens.described(token) | {"token": secret.reveal()}
        click.echo(json.dumps({"schema": REGISTRATION_TOKEN_SCHEMA, **facts}, indent=2))
        return
    click.echo(secret.reveal())
    clients = "one client" if uses == 1 else f"up to {uses} clients"
    click.echo(f"It registers {clients} of {whose.name} until {token.expires_at.isoformat()}.", err=True)


@server.command("usage")
@click.option(
    "--period", type=click.Choice(["day", "week", "month"]), default="day", show_default=True, help="Until now."
)
@click.option("--organization", help="Whose, by name, when there are several organizations.")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {USAGE_SCHEMA}.")
def usage(period: str, organization: str | None, *, wants_json: bool, **given: Any) -> None:
    """Print what an organization used and what it cost, by person, key and model."""
    now = opened(given)
    from keystead.server.organizations import operations as organizations
    from keystead.server.usage import export, operations

    whose = organizations.named(organization)
    report = operations.usage_of_organization(whose, now, operations.Period(period))
    if wants_json:
        facts = {"schema": USAGE_SCHEMA, "organization": whose.name, **export.described(report)}
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    for line in export.told(report):
        click.echo(line)


@server.command("usage-reprice")
@click.option("--since", required=True, type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="First day (UTC).")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {REPRICE_SCHEMA}.")
def usage_reprice(since: datetime, *, dry_run: bool, wants_json: bool, **given: Any) -> None:
    """Compute what requests since DATE cost again, with the prices of today's book.

    For requests from before prices, and after a price in the book was corrected. Servers may go on running; they count
    the new costs for limits within half a minute.
    """
    book = price_file.book_of(settings_of(Environment.capture(), **given))
    now = opened(given)
    from keystead.server.usage import repricing

    done = repricing.reprice(since.replace(tzinfo=UTC), now, book, dry_run=dry_run)
    if wants_json:
        facts = {"schema": REPRICE_SCHEMA, "since": since.date().isoformat(), "dry_run": dry_run, **done.described()}
        click.echo(json.dumps(facts, indent=2))
        return
    facts = done.described()
    click.echo(f"{done.changed} of {done.rows} requests {'would change' if dry_run else 'changed'}.")
    click.echo(f"Cost before: {facts['before']} USD ({done.unpriced} requests without one).")
    click.echo(f"Cost after:  {facts['after']} USD ({done.estimates} requests are estimates).")
    if done.changed and not dry_run:
        click.echo("Running servers count it for limits within half a minute.")


_OF_THE_SERVER = (
    run,
    setup_link,
    list_keys,
    rotate_keys,
    verify_domain,
    policy_test,
    invite,
    reset_link,
    forget_factors,
    mail_test,
    registration_token,
    usage,
    usage_reprice,
)
for _command in _OF_THE_SERVER:
    with_overrides(_command)
for _further in (*upstream_commands.COMMANDS, *connect_commands.COMMANDS, limit_commands.limits, terms_commands.terms):
    server.add_command(_further)


def _link(settings: ServerSettings, code: str) -> str:
    """Return the link; the code stands in the fragment, which a browser never sends (nor logs, nor refers)."""
    return f"{settings.base_url}/setup#code={code}"


def _welcome(ready: app.Ready, environment: Environment) -> str:
    """Return what a person reads when the server is up."""
    settings = ready.settings
    lines = [
        "Keystead is running. Stop it with Ctrl-C.",
        "",
        f"  Console  {settings.base_url}/",
        f"  Sign-in  {settings.base_url}/device",
        f"  Gateway  {settings.base_url}/v1/messages",
        f"  Data     {settings.data_dir}",
        f"  Upstream {_upstream(settings)}",
        f"  Mail     {described(route(settings), settings)}",
        "",
    ]
    if ready.setup_code is not None:
        lines += [
            "Create the first administrator. This link works once, for one day:",
            f"  {_link(settings, ready.setup_code)}",
            "",
        ]
    lines += ["Then, in a second terminal:", *(f"  {step}" for step in _next_steps(settings, environment))]
    return "\n".join(lines)


def _upstream(settings: ServerSettings) -> str:
    if settings.upstream_url == NO_UPSTREAM:
        return "none of its own; organizations connect theirs in the console."
    if settings.upstream_api_key is not None:
        return settings.upstream_url
    return (
        "the built-in test upstream, which is not a model.\n"
        "           Set KEYSTEAD_SERVER_UPSTREAM_API_KEY for a real one."
    )


def _next_steps(settings: ServerSettings, environment: Environment) -> list[str]:
    """Return commands that work when pasted: with this installation on the PATH, and with this server's address."""
    here = Path(sys.executable).parent
    found = shutil.which("keystead", path=environment.variables.get("PATH", ""))
    on_path = found is not None and Path(found).resolve() == (here / "keystead").resolve()
    usual = ServerSettings(data_dir=settings.data_dir).base_url == settings.base_url
    login = "keystead login" if usual else f"keystead login --server {settings.base_url}"
    return [
        *([] if on_path else [f'export PATH="{here}:$PATH"']),
        login,
        "keystead status",
        'keystead -p "hello"',
    ]
