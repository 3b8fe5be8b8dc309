"""``keystead doctor``: what is wrong on this machine, where, and the one line that corrects it.

:data:`CHECKS` is the table; each check is a file of its own that reads and changes nothing.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

import click

from keystead.cli.doctor import (
    certificates,
    clouds,
    leaks,
    malformed,
    network,
    others,
    provenance,
    proxy,
    settings,
    skew,
    state,
    store,
    surfaces,
)
from keystead.cli.doctor.finding import Check, Finding, Ground, Repair, Weight
from keystead.cli.exits import sentence, visible
from keystead.cli.paper import Paper
from keystead.cli.surroundings import Surroundings
from keystead.errors import KeysteadError
from keystead.sources.configuration import Configuration
from keystead.stores.approvals import Approvals

SCHEMA: Final = "keystead.doctor/1"

CHECKS: Final = (
    Check("proxy", "Proxy", "No proxy is set", proxy.look),
    Check("certificates", "Certificates", "Nothing is set, or it holds certificates", certificates.look),
    Check("clock", "Clock", "Nothing speaks against it", skew.look),
    Check("state", "Kept by Keystead", "Private and whole", state.look),
    Check("store", "Sign-in store", "Sound, or nothing is kept yet", store.look),
    Check("settings", "Settings files", "All can be read", settings.look),
    Check("secrets", "Credentials", "What is set can be sent", malformed.look),
    Check("variables", "Where variables come from", "No credential variable is set anywhere", provenance.look),
    Check("surfaces", "Desktop and shell", "Both see the same variables", surfaces.look),
    Check("leaks", "Keys in the open", "None found", leaks.look),
    Check("others", "Other products", "None is signed in", others.look),
    Check("cloud", "Cloud", "No cloud is switched on", clouds.look),
    Check("network", "Network", "Nothing to ask", network.look),
)
"""Every check, in the order in which they are shown."""

Report = list[tuple[Check, list[Finding]]]

_STYLES: Final[dict[Weight, dict[str, str | bool]]] = {
    Weight.NOTE: {"dim": True},
    Weight.WARNING: {"fg": "yellow"},
    Weight.PROBLEM: {"fg": "red", "bold": True},
}


@click.group(invoke_without_command=True)
@click.option(
    "--only", multiple=True, type=click.Choice([check.id for check in CHECKS]), help="Run this check only; repeatable."
)
@click.option(
    "--network",
    "wants_network",
    is_flag=True,
    help="Also ask the servers, without a credential, and a cloud in use through its own SDK.",
)
@click.option("--fix", is_flag=True, help="Correct what can be corrected safely: modes and leftovers.")
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {SCHEMA}.")
@click.pass_context
def doctor(context: click.Context, *, only: tuple[str, ...], wants_network: bool, fix: bool, wants_json: bool) -> None:
    """Check this machine: proxy, certificates, clock, files, where variables come from, leaked keys.

    Nothing is sent without --network and nothing is changed without --fix. No secret is shown. Exit code: 0 no
    problem, 78 at least one.
    """
    if context.invoked_subcommand is not None:
        return
    surroundings: Surroundings = context.obj
    ground = survey(surroundings, wants_network=wants_network)
    chosen = [check for check in CHECKS if not only or check.id in only]
    report = examine(ground, chosen)
    done: list[str] = []
    if fix:
        from keystead.cli.doctor import repairs

        done = repairs.apply(_repairs(report), surroundings.environment.state_dir)
        report = examine(ground, chosen)
    if wants_json:
        click.echo(json.dumps(document(report, done), indent=2))
    else:
        paper = Paper.of(surroundings.environment)
        click.echo("\n".join(lines(report, done, paper)), color=paper.colour)
    context.exit(_exit_code(report))


@doctor.command()
@click.option("--json", "wants_json", is_flag=True, help=f"Print JSON, schema {SCHEMA}.")
@click.pass_obj
def undo(surroundings: Surroundings, *, wants_json: bool) -> None:
    """Take back what the last doctor --fix did."""
    from keystead.cli.doctor import repairs

    done = repairs.undo(surroundings.environment.state_dir)
    if wants_json:
        click.echo(json.dumps({"schema": SCHEMA, "undone": done}))
    else:
        click.echo("\n".join(f"Done: {one}" for one in done) if done else "There is nothing to undo.")


@doctor.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--deadline", default=60.0, show_default=True, help="Seconds after which it is stopped.")
@click.option("--json", "wants_json", is_flag=True, help="Print JSON, schema keystead.doctor-helper/1.")
@click.pass_context
def helper(context: click.Context, command: tuple[str, ...], *, deadline: float, wants_json: bool) -> None:
    """Run COMMAND twice as apiKeyHelper is run, and say which rules it breaks. The key is not shown.

    One argument is a shell command, as in the setting; several are a program and its arguments. Exit code: 0 it keeps
    every rule, 78 it does not.
    """
    from keystead.cli.doctor import helpers

    context.exit(helpers.report(context.obj, command, deadline, wants_json=wants_json))


def survey(surroundings: Surroundings, *, wants_network: bool) -> Ground:
    """Return what the checks look at."""
    environment = surroundings.environment
    try:
        salt = Approvals(environment.state_dir, surroundings.clock).salt
    except KeysteadError:
        salt = b""
    return Ground(
        surroundings,
        Configuration.read(environment),
        surroundings.client().resolve(),
        surroundings.network if wants_network else None,
        salt=salt or surroundings.random_bytes(16),
    )


def examine(ground: Ground, checks: Iterable[Check]) -> Report:
    """Run the checks; one that fails is a finding itself, and the others still run."""
    return [(check, _findings(check, ground)) for check in checks]


def _findings(check: Check, ground: Ground) -> list[Finding]:
    try:
        return list(dict.fromkeys(check.look(ground)))
    except KeysteadError as error:
        return [Finding(Weight.PROBLEM, error.message, fix=error.hint)]
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        return [Finding(Weight.WARNING, f"this check could not be finished: {reason}", error.filename)]


def _repairs(report: Report) -> list[Repair]:
    found = [finding.repair for _, findings in report for finding in findings if finding.repair is not None]
    return list(dict.fromkeys(found))


def _exit_code(report: Report) -> int:
    return 78 if any(finding.weight is Weight.PROBLEM for _, findings in report for finding in findings) else 0


def lines(report: Report, done: list[str], paper: Paper) -> list[str]:
    """Return the report for people."""
    written = [f"Done: {one}. Take it back with: keystead doctor undo" for one in done]
    for check, findings in report:
        written.append(paper.style(check.title, bold=True))
        if not findings:
            written += paper.wrap(f"{check.fine}.", 2)
        for finding in findings:
            mark = paper.style(finding.weight.value, **_STYLES[finding.weight])
            place = f"{finding.place}: " if finding.place and not _names(finding.message, finding.place) else ""
            written += [f"  {mark}", *paper.wrap(visible(sentence(place + finding.message)), 4)]
            written += paper.wrap(visible(f"fix: {finding.fix}"), 4) if finding.fix else []
            written += [f"    fingerprint: {finding.fingerprint}"] if finding.fingerprint else []
    problems = sum(finding.weight is Weight.PROBLEM for _, findings in report for finding in findings)
    return [*written, "", f"{problems or 'No'} problem{'' if problems == 1 else 's'} found."]


def _names(message: str, place: str) -> bool:
    """Whether the message begins with the variable that is its place, and need not say it twice."""
    variable = place.removesuffix(" in the environment")
    return variable.isidentifier() and message.startswith(variable)


def document(report: Report, done: list[str]) -> dict[str, Any]:
    """Return the report for programs."""
    return {
        "schema": SCHEMA,
        "exit_code": _exit_code(report),
        "repaired": done,
        "checks": [
            {
                "id": check.id,
                "title": check.title,
                "findings": [
                    {
                        "weight": finding.weight,
                        "message": finding.message,
                        "place": finding.place,
                        "fix": finding.fix,
                        "fingerprint": finding.fingerprint,
                        "repairable": finding.repair is not None,
                    }
                    for finding in findings
                ],
            }
            for check, findings in report
        ],
    }
