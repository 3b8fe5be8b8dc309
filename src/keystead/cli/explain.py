"""``keystead explain``: the whole decision as data, what would win next, and what another client would send (B-04)."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from keystead.cli import comparison, status
from keystead.cli.exits import sentence, visible
from keystead.cli.origins import setting_lines
from keystead.cli.paper import Paper
from keystead.cli.surroundings import Surroundings
from keystead.client import LOGIN_KINDS
from keystead.errors import UnreadableFile, UsageError
from keystead.resolver import Resolution, Resolver
from keystead.sources.candidate import Candidate, CandidateState
from keystead.sources.configuration import Configuration, Scope, SettingsFile

if TYPE_CHECKING:
    from keystead.sources.clients.wire import KnownClient, Wire

SCHEMA: Final = "keystead.explain/1"
_FLAG: Final = "--settings"


@click.command()
@click.option("--unset", multiple=True, metavar="NAME", help="Decide as if nothing set NAME; may be repeated.")
@click.option("--diff", "other", metavar="FILE", help="Compare with the output of env, env -0 or explain --json.")
@click.option("--as", "client", metavar="CLIENT[@VERSION]", help="Say what this client would send here.")
@click.option("--bare", is_flag=True, help="With --as: the client is started in its bare mode.")
@click.option("--interactive", is_flag=True, help="With --as: a person sits in front of it; else it runs with -p.")
@click.option(_FLAG, "given", metavar="FILE", help="With --as: the settings, or their file, on its command line.")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {SCHEMA}.")
@click.pass_obj
def explain(
    surroundings: Surroundings,
    *,
    unset: tuple[str, ...],
    other: str | None,
    client: str | None,
    bare: bool,
    interactive: bool,
    given: str | None,
    wants_json: bool,
) -> None:
    """Explain the decision: every candidate, why it is taken or skipped, where it stands, and what would win next.

    With --as, say what another client would put on the wire on this machine: claude-code, anthropic-python or
    anthropic-js. Nothing is sent, renewed, run or written, and no value is shown. Exit code: 0 once it is explained,
    whatever the decision.
    """
    if client is None and (bare or interactive or given is not None):
        raise UsageError("--bare, --interactive and --settings say how a client is started.", hint="Add --as CLIENT.")
    if client is not None and other is not None:
        raise UsageError("--as and --diff exclude each other.", hint="Give one of them.")
    resolver = Resolver(
        surroundings.environment, surroundings.store, surroundings.clock, interactive=False, unset=unset
    )
    resolution, line = resolver.resolve(), resolver.succession()
    set_in = setting_lines(surroundings, resolution, resolution.considered)
    parts = {"unset": list(unset), "next": [_successor(one) for one in line[1:]], "set_in": set_in}
    paper = Paper.of(surroundings.environment)
    written = _decision(resolution, line, unset, paper, set_in)
    if client is not None:
        known, wire = _wire(surroundings, client, unset, bare=bare, interactive=interactive, given=given)
        wire = _with_own_sign_in(wire, resolution)
        parts |= _wire_document(known, wire, bare=bare, interactive=interactive)
        written = _wire_lines(known, wire, paper)
    if other is not None:
        difference = comparison.compare(surroundings, other, resolution, unset)
        parts["diff"] = difference.to_json()
        written = difference.lines(paper)
    if wants_json:
        report = status.document(resolution, surroundings.clock.now(), surroundings.selection)
        fingerprints = comparison.fingerprints(surroundings)
        click.echo(json.dumps({**report, "schema": SCHEMA, **parts, "environment": fingerprints}, indent=2))
    else:
        click.echo("\n".join(written), color=paper.colour)


def _decision(
    resolution: Resolution,
    line: tuple[Candidate, ...],
    unset: tuple[str, ...],
    paper: Paper,
    set_in: Mapping[str, list[str]],
) -> list[str]:
    """Return the decision for people."""
    winner, problem = resolution.winner, resolution.problem
    head = "No credential can be used"
    if winner is not None:
        head = f"{winner.title} is used" if problem is None else f"{winner.title} is refused"
    if unset:
        head = f"Without {', '.join(unset)}: {head}"
    if problem is not None:
        head = f"{head}: {problem.message}"
    written = [paper.style(one, bold=True) for one in paper.wrap(sentence(visible(head)))]
    written += ["", *paper.table((one.title, visible(f"{one.state}: {_why(one)}")) for one in resolution.considered)]
    for warning in resolution.warnings:
        written += ["", *paper.wrap(sentence(visible(warning)), 4, first="  ! ")]
    for name, places in set_in.items():
        written += ["", *paper.wrap(visible(f"{name} is set in {', '.join(places)}."))]
    if line:
        written += ["", *paper.wrap(_succession(line))]
    return written


def _why(candidate: Candidate) -> str:
    place = candidate.provenance
    named = place is None or (place.name in candidate.reason and place.path is None) or str(place) in candidate.reason
    return candidate.reason if named else f"{candidate.reason} ({place})"


def _succession(line: tuple[Candidate, ...]) -> str:
    """Return one sentence about who would come after whom."""
    first, *others = line
    gone = "repaired or removed" if first.state is CandidateState.BROKEN else "gone"
    if not others:
        return f"If {first.title} were {gone}, there would be nothing else."
    names = ", then ".join(one.title + (" (broken)" if one.state is CandidateState.BROKEN else "") for one in others)
    return f"If {first.title} were {gone}, next would come {names}."


def _successor(candidate: Candidate) -> dict[str, Any]:
    place = candidate.provenance
    return {
        "source": candidate.source,
        "title": candidate.title,
        "usable": candidate.state is CandidateState.SELECTED,
        "place": str(place) if place else None,
        "billing": candidate.billing,
    }


def _wire(
    surroundings: Surroundings,
    name: str,
    unset: tuple[str, ...],
    *,
    bare: bool,
    interactive: bool,
    given: str | None,
) -> "tuple[KnownClient, Wire]":
    from keystead.sources.clients import choose
    from keystead.sources.clients.sight import Sight

    client = choose(name)
    if not client.agent and (bare or interactive or given is not None):
        raise UsageError(f"{client.name} has no bare or interactive mode and no settings.", hint="Leave those options.")
    configuration = Configuration.read(surroundings.environment).without(unset)
    settings = _given(surroundings, given) if given is not None else None
    return client, client.rules(Sight(configuration, interactive, bare, settings))


def _with_own_sign_in(wire: "Wire", resolution: Resolution) -> "Wire":
    """Say why a sign-in of Keystead's own is not among what another client sends."""
    winner = resolution.winner
    if winner is None or winner.source not in LOGIN_KINDS:
        return wire
    note = f"Keystead's own sign-in ({winner.title}) is handed to a client by: keystead run -- COMMAND"
    return replace(wire, notes=(*wire.notes, note))


def _given(surroundings: Surroundings, text: str) -> SettingsFile:
    """Return the settings of a command line: a JSON object as it is, or a file."""
    from keystead.wire import settings

    try:
        data = text.encode() if text.lstrip().startswith("{") else (surroundings.environment.cwd / text).read_bytes()
        return SettingsFile(Scope.USER, _FLAG, settings.parse(data))
    except OSError as error:
        raise UsageError(f"{_FLAG} {text} cannot be read: {(error.strerror or 'unknown error').lower()}.") from None
    except settings.MalformedSettings as error:
        raise UnreadableFile(f"The settings of {_FLAG} cannot be read: {error}.", hint="Correct them.") from None


def _wire_document(client: "KnownClient", wire: "Wire", *, bare: bool, interactive: bool) -> dict[str, Any]:
    return {
        "as": {"client": client.name, "version": client.version, "bare": bare, "interactive": interactive},
        "wire": {"authorization": wire.authorization, "x-api-key": wire.x_api_key},
        "places": dict(wire.places),
        "empty": sorted(wire.empty),
        "reason": wire.reason,
        "certain": wire.certain,
        "doubts": list(wire.doubts),
        "notes": list(wire.notes),
    }


def _wire_lines(client: "KnownClient", wire: "Wire", paper: Paper) -> list[str]:
    head = f"{client.name} {client.version} would send here:"
    if wire.reason is not None:
        head = f"{client.name} {client.version} would send nothing: {wire.reason}"
    written = [paper.style(one, bold=True) for one in paper.wrap(sentence(visible(head)) if wire.reason else head)]
    if wire.reason is None:
        written += ["", *paper.table(_slots(wire))]
    for doubt in wire.doubts:
        written += ["", *paper.wrap(sentence(visible(f"Not certain: {doubt}")), 4, first="  ? ")]
    for note in wire.notes:
        written += ["", *paper.wrap(sentence(visible(note[:1].upper() + note[1:])), 4, first="  ! ")]
    return written


def _slots(wire: "Wire") -> Iterator[tuple[str, str]]:
    for name, source in (("authorization", wire.authorization), ("x-api-key", wire.x_api_key)):
        if source is None:
            yield name, "not sent"
            continue
        blank = ", without a value" if name in wire.empty else ""
        yield name, visible(f"{source} ({wire.places.get(source, 'where it is was not found')}){blank}")
