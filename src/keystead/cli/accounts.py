"""``keystead accounts``: several sign-ins side by side, each a named profile, and which is meant where (R-04)."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import click

from keystead.cli.exits import visible
from keystead.cli.paper import Paper, relative
from keystead.cli.surroundings import Surroundings
from keystead.credentials import Account, Freshness, Login, LoginKind
from keystead.errors import NoCredential, UsageError
from keystead.stores import TokenStore
from keystead.stores.bindings import Bindings
from keystead.stores.expectations import Expectations
from keystead.stores.profiles import VARIABLE, SelectedBy, Selection, bound_to, require_name

SCHEMA: Final = "keystead.accounts/1"
_LOCK_PATIENCE: Final = 60.0
_JSON: Final = click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {SCHEMA}.")
_DIRECTORY: Final = click.argument(
    "directory", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False)
)
_SHELLS: Final[Mapping[str, str]] = {
    "sh": "export {name}={value}",
    "fish": "set -gx {name} {value}",
    "powershell": "$env:{name} = '{value}'",
    "cmd": "set {name}={value}",
}
"""Family of shells -> the line that sets a variable in it; a profile's name needs no quotes in any of them."""


@click.group()
def accounts() -> None:
    """Keep several accounts side by side, each under the name of a profile.

    The profile is the one of --profile, else of KEYSTEAD_PROFILE, else the one the nearest directory above is bound
    to, else "default". Bindings are kept in the state directory, so a cloned repository cannot choose.
    """


@accounts.command("list", short_help="Show every profile and which one is meant here.")
@_JSON
@click.pass_obj
def list_accounts(surroundings: Surroundings, wants_json: bool) -> None:
    """Show every profile: whose it is, its directories, and which one is meant here."""
    bindings = _bindings(surroundings).all()
    selected = surroundings.selection
    names = sorted(
        {*surroundings.store.profiles(), *bindings.values(), *([] if selected.problem else [selected.profile])}
    )
    rows = [_row(surroundings, name, bindings) for name in names]
    if wants_json:
        click.echo(json.dumps({"schema": SCHEMA, "selected": selected.to_json(), "accounts": rows}, indent=2))
        return
    paper = Paper.of(surroundings.environment)
    for row in rows:
        click.echo("\n".join(_lines(surroundings, row, paper)), color=paper.colour)
    if selected.problem is not None:
        raise selected.problem


@accounts.command("use", short_help="Use a profile in this shell only.")
@click.argument("name")
@click.option("--shell", type=click.Choice(list(_SHELLS)), help="The shell to write for; by default the one in use.")
@_JSON
@click.pass_obj
def use(surroundings: Surroundings, name: str, shell: str | None, wants_json: bool) -> None:
    """Print the line that makes this shell, and no other, use profile NAME.

    Run it as: eval "$(keystead accounts use NAME)"
    """
    _require_signed_in(surroundings.store.at(require_name(name, "The argument")))
    family = shell or _shell(surroundings)
    line = _SHELLS[family].format(name=VARIABLE, value=name)
    if wants_json:
        document = {"schema": SCHEMA, "profile": name, "variable": VARIABLE, "shell": family, "line": line}
        click.echo(json.dumps(document))
        return
    click.echo(line)
    if surroundings.environment.stdout_tty:
        how = f'eval "$(keystead accounts use {name})"' if family == "sh" else "the line above"
        click.echo(f"Nothing has changed yet: run {how} in the shell that should use {name}.", err=True)


@accounts.command("bind", short_help="Use a profile in a directory and below it.")
@click.argument("name")
@_DIRECTORY
@_JSON
@click.pass_obj
def bind(surroundings: Surroundings, name: str, directory: Path | None, wants_json: bool) -> None:
    """Use profile NAME in DIRECTORY and below it (by default the directory you are in)."""
    place = surroundings.environment.cwd / (directory or "")
    real = _bindings(surroundings).bind(place, require_name(name, "The argument"))
    signed_in = _logins(surroundings.store.at(name))
    if wants_json:
        click.echo(json.dumps({"schema": SCHEMA, "profile": name, "directory": real, "signed_in": bool(signed_in)}))
        return
    click.echo(f"{visible(real)} and what is below it uses profile {name}.")
    if not signed_in:
        click.echo(f"Nobody is signed in there yet: keystead login --profile {name}")


@accounts.command("unbind", short_help="Undo bind.")
@_DIRECTORY
@_JSON
@click.pass_obj
def unbind(surroundings: Surroundings, directory: Path | None, wants_json: bool) -> None:
    """Bind DIRECTORY to no profile any more (by default the directory you are in)."""
    place = surroundings.environment.cwd / (directory or "")
    profile = _bindings(surroundings).unbind(place)
    if profile is None:
        raise UsageError(f"{place} is not bound to a profile.", hint="keystead accounts list shows what is bound.")
    if wants_json:
        click.echo(json.dumps({"schema": SCHEMA, "profile": profile, "directory": str(place.resolve())}))
        return
    click.echo(f"{visible(str(place.resolve()))} is no longer bound to profile {profile}.")


@accounts.command("rename", short_help="Give a profile another name.")
@click.argument("old")
@click.argument("new")
@_JSON
@click.pass_obj
def rename(surroundings: Surroundings, old: str, new: str, wants_json: bool) -> None:
    """Give profile OLD the name NEW, with its sign-ins and its directories."""
    require_name(new, "The new name")
    store = surroundings.store.at(require_name(old, "The old name"))
    _require_signed_in(store)
    with ExitStack() as held:
        for kind in LoginKind:  # or a renewal under way would bring the old name back
            held.enter_context(store.lock(kind, _LOCK_PATIENCE))
        store.rename(new)
    _bindings(surroundings).rename(old, new)
    Expectations(surroundings.environment.state_dir, surroundings.clock).rename(old, new)
    if wants_json:
        click.echo(json.dumps({"schema": SCHEMA, "profile": new, "was": old}))
    else:
        click.echo(f"Profile {old} is now {new}.")


@accounts.command("remove", short_help="Sign a profile out and forget its name.")
@click.argument("name")
@click.option("--local", is_flag=True, help="Delete here only; the server is not told.")
@_JSON
@click.pass_obj
def remove(surroundings: Surroundings, name: str, *, local: bool, wants_json: bool) -> None:
    """Sign profile NAME out, on its server and here, and unbind its directories. Other profiles stay signed in."""
    from keystead.cli.logout import end

    at_profile = surroundings.for_profile(require_name(name, "The argument"))
    bindings = _bindings(surroundings)
    ended = []
    for one in end(at_profile, LoginKind, local=local):
        ended.append(one)
        if not wants_json:
            click.echo(visible(one.text))
    bound = bound_to(bindings.all(), name)
    if not ended and not bound:
        raise _unknown(name)
    bindings.rename(name, None)
    if wants_json:
        rows = [one.to_json() for one in ended]
        click.echo(json.dumps({"schema": SCHEMA, "profile": name, "ended": rows, "unbound": bound}))
        return
    for directory in bound:
        click.echo(f"{visible(directory)} is no longer bound to profile {name}.")


def _bindings(surroundings: Surroundings) -> Bindings:
    return Bindings(surroundings.environment.state_dir, surroundings.clock)


def _logins(store: TokenStore) -> list[Login]:
    return [login for kind in LoginKind if (login := store.peek(kind)) is not None]


def _require_signed_in(store: TokenStore) -> None:
    if not _logins(store):
        raise _unknown(store.profile)


def _unknown(name: str) -> NoCredential:
    return NoCredential(
        f"Nobody is signed in under the name {name}.",
        hint=f"Run keystead login --profile {name}; keystead accounts list shows the names there are.",
    )


def _shell(surroundings: Surroundings) -> str:
    environment = surroundings.environment
    shell = environment.variables.get("SHELL", "")
    if Path(shell).stem == "fish":
        return "fish"
    return "powershell" if environment.platform == "win32" and not shell else "sh"


def _row(surroundings: Surroundings, name: str, bindings: Mapping[str, str]) -> dict[str, Any]:
    now = surroundings.clock.now()
    selection = surroundings.selection
    return {
        "profile": name,
        "selected": selection.problem is None and selection.profile == name,
        "directories": bound_to(bindings, name),
        "logins": [_login(login, now) for login in _logins(surroundings.store.at(name))],
    }


def _login(login: Login, now: float) -> dict[str, Any]:
    account = login.account
    return {
        "method": login.kind,
        "server": login.issuer,
        "account": {"id": account.id, "email": account.email, "name": account.name},
        "organization": {"id": account.organization_id, "name": account.organization_name},
        "billing": login.billing,
        "state": _state(login, now),
        "expires_at": login.tokens.expires_at,
    }


def _state(login: Login, now: float) -> str:
    """Return what can be said without asking the server (R-06)."""
    if login.retired_at is not None:
        return "ended by its server"
    if login.tokens.freshness(now) is Freshness.EXPIRED:
        return "expired"
    return "present"


def _lines(surroundings: Surroundings, row: dict[str, Any], paper: Paper) -> list[str]:
    """Return one profile for people."""
    name = row["profile"]
    head = paper.style(name, bold=True) + _mark(surroundings.selection) if row["selected"] else name
    now = surroundings.clock.now()
    details: list[tuple[str, str]] = []
    for login in row["logins"]:
        account = Account(login["account"]["id"], login["account"]["email"])
        details += [
            ("Account", visible(f"{account.email or account.id or 'not known'} at {login['server']}")),
            ("Organization", visible(_organization(login["organization"]))),
            ("State", _since(login, now)),
        ]
    details += [("Directory", visible(directory)) for directory in row["directories"]]
    return [head, *(paper.table(details or [("Account", "nobody is signed in")]))]


def _mark(selection: Selection) -> str:
    """Return why the profile is the one used here."""
    match selection.by:
        case SelectedBy.DEFAULT:
            return "  (used here)"
        case SelectedBy.BINDING:
            return f"  (used here: bound to {visible(selection.place)})"
        case _:
            return f"  (used here: chosen by {selection.place})"


def _since(login: Mapping[str, Any], now: float) -> str:
    """Return the state with its time, which says nothing about a sign-in that its server has ended."""
    when = relative(login["expires_at"], now)
    match login["state"]:
        case "present":
            return f"present, expires {when}"
        case "expired":
            return f"expired {when}"
        case ended:
            return str(ended)


def _organization(named: Mapping[str, str | None]) -> str:
    name, identifier = named["name"], named["id"]
    return f"{name} ({identifier})" if name and identifier else name or identifier or ""
