"""``keystead approve``: the answers to "use this API key?", without being asked (S-05, R-21)."""

import json
import re
from dataclasses import asdict, replace
from typing import Any, Final

import click

from keystead.cli.exits import visible
from keystead.cli.surroundings import Surroundings
from keystead.errors import UsageError
from keystead.sources import base_url
from keystead.sources.candidate import Candidate
from keystead.sources.configuration import Configuration
from keystead.stores.approvals import Approvals, Decision
from keystead.wire import origin as wire_origin

SCHEMA: Final = "keystead.approve/1"
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{12}")
_SALT: Final = re.compile(r"(?:[0-9a-f]{2}){8,64}")


@click.command()
@click.option("--fingerprint", metavar="F", help="Use the key with this fingerprint from now on.")
@click.option("--origin", metavar="URL", help="With --fingerprint: where the key is sent. By default as set up here.")
@click.option("--salt", metavar="HEX", help="With --fingerprint: what it was made with, when it is from elsewhere.")
@click.option("--list", "wants_list", is_flag=True, help="Show every answer, and the key in the environment.")
@click.option("--revoke", metavar="F", help="Forget the answers about this key; it will be asked about again.")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {SCHEMA}.")
@click.pass_obj
def approve(
    surroundings: Surroundings,
    fingerprint: str | None,
    origin: str | None,
    salt: str | None,
    *,
    wants_list: bool,
    revoke: str | None,
    wants_json: bool,
) -> None:
    """Approve an API key of the environment for interactive use, without being asked.

    The session (keystead without arguments) asks once about a key in ANTHROPIC_API_KEY and remembers the answer by a
    salted fingerprint. In an image of a container nobody can be asked: give the fingerprint and the salt that
    --list shows on a machine that has the key. keystead -p uses a key always.
    """
    if sum((fingerprint is not None, wants_list, revoke is not None)) != 1:
        raise UsageError("Give one of --fingerprint, --list and --revoke.", hint="keystead approve --help explains.")
    if fingerprint is None and (origin is not None or salt is not None):
        raise UsageError("--origin and --salt go with --fingerprint.", hint="keystead approve --help explains.")
    book = Approvals(surroundings.environment.state_dir, surroundings.clock)
    if wants_list:
        _list(book, surroundings, wants_json=wants_json)
    elif revoke is not None:
        _revoke(book, _hex(revoke, _FINGERPRINT, "--revoke"), wants_json=wants_json)
    else:
        made_with = bytes.fromhex(_hex(salt, _SALT, "--salt")) if salt else b""
        place = _origin(origin) if origin else _usual_origin(surroundings)
        _accept(book, _hex(fingerprint or "", _FINGERPRINT, "--fingerprint"), place, made_with, wants_json=wants_json)


def _hex(text: str, form: re.Pattern[str], option: str) -> str:
    lower = text.strip().lower()
    if not form.fullmatch(lower):
        raise UsageError(f"{option} takes hex digits as keystead approve --list shows them.", hint="Copy them whole.")
    return lower


def _origin(text: str) -> str:
    try:
        return wire_origin.parse(text)
    except ValueError as error:
        raise UsageError(f"--origin is not an address: {error}.", hint="Write it like https://example.com.") from None


def _usual_origin(surroundings: Surroundings) -> str:
    return base_url.read(Configuration.read(surroundings.environment)).origin


def _accept(book: Approvals, fingerprint: str, origin: str, salt: bytes, *, wants_json: bool) -> None:
    answer = book.accept(fingerprint, origin, salt=salt)
    if wants_json:
        click.echo(json.dumps({"schema": SCHEMA, "approved": asdict(answer)}))
    else:
        click.echo(f"The key {answer.fingerprint} is used for {answer.origin} without being asked about.")


def _revoke(book: Approvals, fingerprint: str, *, wants_json: bool) -> None:
    forgotten = book.forget(fingerprint)
    if wants_json:
        click.echo(json.dumps({"schema": SCHEMA, "fingerprint": fingerprint, "revoked": forgotten}))
    elif forgotten:
        click.echo(f"The answers about {fingerprint} are forgotten; the session will ask again.")
    else:
        click.echo(f"There was no answer about {fingerprint}.")


def _list(book: Approvals, surroundings: Surroundings, *, wants_json: bool) -> None:
    client = replace(surroundings, interactive=True).client()
    key = client.environment_key()
    here = _about(key, client.fingerprint(key)) if key is not None else None
    answers = book.all()
    if wants_json:
        rows = [asdict(one) for one in answers]
        click.echo(json.dumps({"schema": SCHEMA, "salt": book.salt.hex() or None, "key": here, "answers": rows}))
        return
    if here is not None:
        click.echo(f"{here['provenance']}: key {here['fingerprint']} for {here['origin']}, {here['state']}.")
        elsewhere = f"--fingerprint {here['fingerprint']} --salt {book.salt.hex()} --origin {here['origin']}"
        click.echo(f"Approve it on another machine with:\n  keystead approve {elsewhere}")
    for one in answers:
        click.echo(_line(one))
    if here is None and not answers:
        click.echo("No API key is in the environment, and none was asked about.")


def _about(key: Candidate, fingerprint: str) -> dict[str, Any]:
    return {
        "provenance": visible(str(key.provenance)),
        "fingerprint": fingerprint,
        "origin": next(iter(key.allowed_origins)),
        "approval": key.approval,
        "state": visible(key.reason),
    }


def _line(answer: Decision) -> str:
    said = "approved" if answer.accepted else "declined"
    return f"{answer.fingerprint}  {said} on {answer.date}  for {visible(answer.origin)}"
