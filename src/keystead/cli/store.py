"""``keystead store``: where sign-ins are kept, a step back, and putting right what is wrong there."""

import json
from collections.abc import Callable
from typing import Any

import click

from keystead.cli.exits import visible
from keystead.cli.paper import Paper
from keystead.cli.surroundings import Surroundings
from keystead.credentials import Login, LoginKind
from keystead.errors import ConfigurationError, NoCredential, StoreUnavailable, UnreadableFile, UsageError
from keystead.secret import Secret
from keystead.sources import login_store
from keystead.stores import choice, health, moving, orphans
from keystead.stores.choice import Backend, Choice
from keystead.stores.files import Files
from keystead.stores.kept import RecordStore
from keystead.stores.keyring import Ask

SCHEMA = "keystead.store/1"
_TITLES = {
    Backend.FILE: "a file that only you can read",
    Backend.KEYRING: "the operating system's keyring",
    Backend.SEALED: "an encrypted file",
}
_json = click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {SCHEMA}.")


@click.group()
def store() -> None:
    """Say where sign-ins are kept, keep them elsewhere, go a step back, look for damage."""


@store.command()
@_json
@click.pass_obj
def status(surroundings: Surroundings, *, wants_json: bool) -> None:
    """Say where sign-ins are kept and what is there. No keyring and no passphrase is asked for."""
    chosen = _chosen(surroundings)
    opened = _opened(surroundings)
    profiles = [opened.at(name) for name in opened.profiles()]
    held = [(view.profile, login) for view in profiles for kind in LoginKind if (login := view.peek(kind)) is not None]
    document = {
        "backend": chosen.backend,
        "location": opened.location,
        "chosen": chosen.remembered,
        "store_id": chosen.store_id or None,
        "key": chosen.key,
        "logins": [
            {
                "profile": profile,
                "kind": login.kind,
                "issuer": login.issuer,
                "generation": login.generation,
                "retired": login.retired_at is not None,
            }
            for profile, login in held
        ],
    }
    rows = [
        ("Kept in", _TITLES[chosen.backend] + ("" if chosen.remembered else ", the default")),
        ("Where", opened.location),
        ("Key", chosen.key or ("a passphrase, asked for" if chosen.backend is Backend.SEALED else "")),
        *((f"Profile {profile}", _described(login)) for profile, login in held),
    ]
    _print(surroundings, document, rows, wants_json=wants_json)


@store.command()
@click.argument("backend", type=click.Choice([one.value for one in Backend]))
@click.option("--key", metavar="REFERENCE", help="For sealed: where the key is, such as file:/run/secrets/key.")
@click.option("--leave", is_flag=True, help="Leave the sign-ins where they are and start with none.")
@_json
@click.pass_obj
def use(surroundings: Surroundings, backend: str, *, key: str | None, leave: bool, wants_json: bool) -> None:
    """Keep sign-ins in BACKEND from now on: file, keyring or sealed (an encrypted file).

    Those that are there are copied, read back, and only then removed from the old place. Without --key a passphrase
    is asked for, now twice and later whenever a sign-in is needed.
    """
    if key is not None and backend != Backend.SEALED:
        raise UsageError("--key is for sealed.", hint="Leave it out.")
    former = _former(surroundings)
    if former is not None and former.remembered and former.backend == backend:
        raise UsageError(f"Sign-ins are kept in {_TITLES[former.backend]} already.", hint="See keystead store status.")
    chosen = choice.with_id(Choice(Backend(backend), former.store_id if former else "", key), Files())
    target = _target(surroundings, chosen)
    moved = 0
    if former is None or leave or former.backend is chosen.backend:
        choice.write(surroundings.environment.state_dir, chosen, Files())
    else:
        moved = moving.move(
            _opened(surroundings),
            target,
            lambda: choice.write(surroundings.environment.state_dir, chosen, Files()),
        )
    rows = [("Kept in", _TITLES[chosen.backend]), ("Where", target.location), ("Moved", _count(moved))]
    document = {"backend": chosen.backend, "location": target.location, "moved": moved}
    _print(surroundings, document, rows, wants_json=wants_json)


def _target(surroundings: Surroundings, chosen: Choice) -> RecordStore:
    """Return the store to move to, after making sure that it can be used at all."""
    environment, clock = surroundings.environment, surroundings.clock
    if chosen.backend is Backend.KEYRING:
        login_store.keyring_of(environment)([("get", chosen.store_id)])
    key = _new_key(surroundings, chosen.key) if chosen.backend is Backend.SEALED else None
    return login_store.store_of(chosen, environment, clock, key=key, new=True)


def _new_key(surroundings: Surroundings, reference: str | None) -> Callable[[], Secret]:
    """Return the key of a new encrypted file; a passphrase is typed twice."""
    from keystead.drivers import passphrase

    environment = surroundings.environment
    if reference is not None:
        key = login_store.key_from(reference, environment, surroundings.clock)
    else:
        key = passphrase.ask(environment, "New passphrase of the sign-in store: ")
        if passphrase.ask(environment, "The same again: ") != key:
            raise UsageError("The two passphrases differ.", hint="Nothing was changed. Try again.")
    return lambda: key


@store.command()
@click.option("--method", type=click.Choice([kind.value for kind in LoginKind]), help="Which sign-in; by default both.")
@_json
@click.pass_obj
def undo(surroundings: Surroundings, *, method: str | None, wants_json: bool) -> None:
    """Restore the sign-in before this one: one that its server ended, or one that another took the place of.

    Run it again to go forth again. A sign-in that was revoked, by logout or by a new login, cannot be restored.
    """
    restored, problem = [], None
    for kind in [LoginKind(method)] if method else list(LoginKind):
        try:
            with surroundings.store.lock(kind, 60.0):
                restored.append(surroundings.store.restore(kind))
        except NoCredential as error:
            problem = problem or error
    if not restored:
        assert problem is not None
        raise problem
    document = {
        "restored": [
            {"kind": one.kind, "issuer": one.issuer, "account": one.account.id, "generation": one.generation}
            for one in restored
        ]
    }
    rows = [("Restored", _described(one)) for one in restored]
    rows.append(("Note", "Only its server can say whether it is still accepted: keystead status --verify."))
    _print(surroundings, document, rows, wants_json=wants_json)


@store.command()
@click.option("--fix", is_flag=True, help="Repair what can be repaired without losing anything.")
@_json
@click.pass_context
def fsck(context: click.Context, *, fix: bool, wants_json: bool) -> None:
    """Look for damage: modes, formats, generations, leftovers. Exit code: 0 nothing is wrong (any more), 78 else."""
    surroundings: Surroundings = context.obj
    environment = surroundings.environment
    findings = health.examine(environment.state_dir, _opened(surroundings), environment.platform)
    repaired = [finding for finding in findings if fix and finding.repair is not None]
    for finding in repaired:
        assert finding.repair is not None
        finding.repair()
    left = health.examine(environment.state_dir, _opened(surroundings), environment.platform) if fix else findings
    document = {
        "repaired": [{"what": finding.what} for finding in repaired],
        "findings": [
            {"what": finding.what, "fix": finding.fix, "repairable": finding.repair is not None} for finding in left
        ],
    }
    rows = [("Repaired", finding.what) for finding in repaired]
    for finding in left:
        rows += [("Wrong", finding.what), ("Fix", finding.fix)]
        rows.append(("Or", "keystead store fsck --fix" if finding.repair is not None else ""))
    _print(surroundings, document, rows or [("Result", "Nothing is wrong.")], wants_json=wants_json)
    context.exit(ConfigurationError.exit_code if left else 0)


@store.command()
@click.option("--remove", is_flag=True, help="Delete what is listed.")
@_json
@click.pass_obj
def gc(surroundings: Surroundings, *, remove: bool, wants_json: bool) -> None:
    """List what no store uses any more: damaged copies, and keyring items of directories that are gone.

    An item counts as an orphan when the directory it was last written from is gone or names another store; a
    directory that has been moved and not signed in from since looks the same, so look before --remove.
    """
    environment = surroundings.environment
    found = orphans.find(environment.state_dir, environment.platform, _asking(surroundings))
    for orphan in found if remove else ():
        orphan.remove()
    document = {"orphans": [{"what": orphan.what, "removed": remove} for orphan in found]}
    rows = [("Removed" if remove else "Unused", orphan.what) for orphan in found]
    if found and not remove:
        rows.append(("Fix", "keystead store gc --remove deletes them."))
    _print(surroundings, document, rows or [("Result", "Nothing is left over.")], wants_json=wants_json)


def _chosen(surroundings: Surroundings) -> Choice:
    environment = surroundings.environment
    return choice.read(environment.state_dir, environment.platform)


def _former(surroundings: Surroundings) -> Choice | None:
    """Return the choice until now; None when nobody can tell, so that nothing can be moved."""
    try:
        return _chosen(surroundings)
    except UnreadableFile:
        return None


def _opened(surroundings: Surroundings) -> RecordStore:
    return login_store.open_store(surroundings.environment, surroundings.clock)


def _asking(surroundings: Surroundings) -> Ask | None:
    """Return what asks the keyring; None where sign-ins were never kept in one, or it does not answer."""
    chosen = _former(surroundings)
    if chosen is not None and not chosen.remembered:
        return None
    try:
        ask = login_store.keyring_of(surroundings.environment)
        ask([("get", "stores")])
    except StoreUnavailable:
        return None
    return ask


def _described(login: Login) -> str:
    who = login.account.email or login.account.id
    ended = ", ended by its server" if login.retired_at is not None else ""
    return f"{login.kind} sign-in to {login.issuer}" + (f" as {who}" if who else "") + ended


def _count(moved: int) -> str:
    return f"{moved} sign-in{'' if moved == 1 else 's'}"


def _print(
    surroundings: Surroundings, document: dict[str, Any], rows: list[tuple[str, str]], *, wants_json: bool
) -> None:
    if wants_json:
        click.echo(json.dumps({"schema": SCHEMA, **document}, indent=2))
        return
    paper = Paper.of(surroundings.environment)
    lines = paper.table([(label, visible(text)) for label, text in rows if text], indent=0)
    click.echo("\n".join(lines), color=paper.colour)
