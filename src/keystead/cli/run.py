"""``keystead run -- CMD``: a program with the credential in its environment, and no other credential."""

from collections.abc import Mapping
from typing import Final

import click

from keystead.cli.exits import sentence
from keystead.cli.purse import checked
from keystead.cli.surroundings import Surroundings
from keystead.credentials import Header
from keystead.release import Authorized
from keystead.sources import SOURCES
from keystead.sources.api_key_reference import variable_of
from keystead.sources.cloud import CLOUDS
from keystead.sources.configuration import GUARDED, Configuration
from keystead.wire import surfaces

_VARIABLES: Final = {Header.AUTHORIZATION: "ANTHROPIC_AUTH_TOKEN", Header.X_API_KEY: "ANTHROPIC_API_KEY"}
_HEADERS: Final = "ANTHROPIC_CUSTOM_HEADERS"
"""Header lines that agents and the vendor's SDKs add to each request to the base URL; a credential may be in one."""
_SCRUBBED: Final = GUARDED | {name for source in SOURCES for name in source.reads}
"""Every variable that could bring another credential, another address or a cloud switch into the child."""


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def run(surroundings: Surroundings, command: tuple[str, ...]) -> None:
    """Run COMMAND with the credential in its environment: keystead run -- COMMAND [ARGUMENTS].

    It gets ANTHROPIC_BASE_URL and the one variable of the credential in use; every other credential variable is
    taken away. With a cloud switched on it gets that cloud's own variables, once the cloud has accepted its
    credentials. Its exit code is the exit code.
    """
    from keystead.drivers.process import become

    client = surroundings.client()
    configuration = Configuration.read(surroundings.environment)
    variables = own_variables(configuration, surroundings.selection.variables())
    resolution = checked(surroundings, client)
    cloud = client.cloud(resolution)
    headers = variables.get(_HEADERS)
    if headers and not surfaces.is_line(headers):
        said = f"{_HEADERS} is not passed on, since a header can hold another credential"
        click.echo(f"keystead: {sentence(said)}", err=True)
    if cloud is None:
        become(command, child_variables(variables, client.credential(resolution)))
    for note in cloud.notes:
        click.echo(f"keystead: {sentence(note)}", err=True)
    become(command, cloud_variables(variables, configuration, cloud.cloud))


def own_variables(configuration: Configuration, chosen: Mapping[str, str]) -> dict[str, str]:
    """Return this process's variables and those of the chosen account, without one that ``KEYSTEAD_API_KEY`` names."""
    held = variable_of(configuration)
    return {name: value for name, value in configuration.environment.variables.items() if name != held} | dict(chosen)


def child_variables(variables: Mapping[str, str], authorized: Authorized) -> dict[str, str]:
    """Return the environment of the child.

    A gateway is told the surface as by Keystead's own requests, by the one header line that the child is given; no
    line that was there before is passed on.
    """
    kept = {name: value for name, value in variables.items() if name not in _SCRUBBED}
    told = {_HEADERS: surfaces.line(authorized.told)} if authorized.told else {}
    return (
        kept
        | told
        | {"ANTHROPIC_BASE_URL": authorized.api_base, _VARIABLES[authorized.header]: authorized.secret.reveal()}
    )


def cloud_variables(variables: Mapping[str, str], configuration: Configuration, cloud_id: str) -> dict[str, str]:
    """Return the environment of a child that signs for a cloud itself: the cloud's own variables, as they count."""
    cloud = CLOUDS[cloud_id]
    kept = {name: value for name, value in variables.items() if name not in _SCRUBBED}
    own = (cloud.switch, cloud.skip, *cloud.own, *cloud.places)
    return kept | {name: value.text for name in own if (value := configuration.variable(name).value) is not None}
