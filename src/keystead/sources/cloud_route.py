"""Where a cloud's Messages API is, and how it is spoken to there.

Region, project and profile may come from a project's own files, and the region becomes part of a host's name: it is
held to letters, digits and hyphens, so that no file can lead a credential to another host (R-07).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from keystead.credentials.cloud import CloudIdentity
from keystead.errors import CloudNotReady
from keystead.sources.cloud import Cloud
from keystead.sources.configuration import Configuration
from keystead.wire import dialects, origin
from keystead.wire.dialects import Dialect

WORKSPACE: Final = "ANTHROPIC_AWS_WORKSPACE_ID"
RESOURCE: Final = "ANTHROPIC_FOUNDRY_RESOURCE"
_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_WORKSPACE_ID: Final = re.compile(r"[\x21-\x7e]{1,255}")
_VERTEX_WIDE: Final = {
    "global": "https://aiplatform.googleapis.com/v1",
    "us": "https://aiplatform.us.rep.googleapis.com/v1",
    "eu": "https://aiplatform.eu.rep.googleapis.com/v1",
}


@dataclass(frozen=True, slots=True)
class Route:
    """Where requests go.

    Attributes:
        base: base URL, without a slash at its end.
        region: as in a signature; empty where none counts.
        project: of Google Cloud; empty elsewhere.
        model: what names a model there, for a message.
    """

    base: str
    dialect: Dialect
    region: str = ""
    project: str = ""
    model: str = "the id of a model"


def find(cloud: Cloud, identity: CloudIdentity, configuration: Configuration) -> Route:
    """Return where requests through ``cloud`` go.

    Raises:
        CloudNotReady: region, project, resource or workspace is missing or cannot be; the hint says how to set it.
    """
    return _ROUTES[cloud.id](cloud, identity, configuration)


def check(cloud: Cloud, configuration: Configuration) -> None:
    """Look at the region that was chosen, before anything is asked with it.

    Raises:
        CloudNotReady: it is not one.
    """
    value = configuration.variable(cloud.places[0]).value if cloud.places else None
    if value is not None:
        _label(value.text, value.name, cloud.places[0])


def _bedrock(cloud: Cloud, identity: CloudIdentity, configuration: Configuration) -> Route:
    region = _region(cloud, identity, configuration)
    base = _address(cloud, configuration) or f"https://bedrock-runtime.{region}.amazonaws.com"
    return Route(base, dialects.BEDROCK, region, model="the id of a model or inference profile, as Bedrock lists it")


def _mantle(cloud: Cloud, identity: CloudIdentity, configuration: Configuration) -> Route:
    region = _region(cloud, identity, configuration)
    base = _address(cloud, configuration) or f"https://bedrock-mantle.{region}.api.aws/anthropic"
    return Route(base, dialects.MESSAGES, region, model="the id of a model, as Bedrock lists it")


def _aws(cloud: Cloud, identity: CloudIdentity, configuration: Configuration) -> Route:
    region = _region(cloud, identity, configuration)
    workspace = configuration.variable(WORKSPACE).value
    if workspace is None:
        raise CloudNotReady("No workspace is named.", hint=f"Set {WORKSPACE} to its id, as its console shows it.")
    if not _WORKSPACE_ID.fullmatch(workspace.text):
        raise CloudNotReady(f"{workspace.name} is not the id of a workspace.", hint=f"Correct {WORKSPACE}.")
    base = _address(cloud, configuration) or f"https://aws-external-anthropic.{region}.api.aws"
    return Route(base, Dialect(headers={dialects.WORKSPACE: workspace.text}), region)


def _foundry(cloud: Cloud, _: CloudIdentity, configuration: Configuration) -> Route:
    base, named = _address(cloud, configuration), configuration.variable(RESOURCE).value
    if base is None and named is None:
        raise CloudNotReady("No Foundry resource is named.", hint=f"Set {RESOURCE} to its name, or {cloud.base}.")
    if base is None and named is not None:
        base = f"https://{_label(named.text, named.name, RESOURCE)}.services.ai.azure.com/anthropic"
    return Route(base or "", dialects.MESSAGES, model="the name of a deployment")


def _vertex(cloud: Cloud, identity: CloudIdentity, configuration: Configuration) -> Route:
    region = _region(cloud, identity, configuration)
    chosen = configuration.variable("ANTHROPIC_VERTEX_PROJECT_ID").value
    project = chosen.text if chosen is not None else identity.account
    if not project:
        raise CloudNotReady(
            "No Google Cloud project is named.", hint="Set ANTHROPIC_VERTEX_PROJECT_ID to the project to bill."
        )
    own = _VERTEX_WIDE.get(region) or f"https://{region}-aiplatform.googleapis.com/v1"
    base = _address(cloud, configuration) or own
    model = "the id of a model with its version, such as NAME@20250101"
    return Route(base, dialects.vertex(project, region), region, project, model)


_ROUTES: Final = MappingProxyType[str, Callable[[Cloud, CloudIdentity, Configuration], Route]](
    {"bedrock": _bedrock, "foundry": _foundry, "aws": _aws, "mantle": _mantle, "vertex": _vertex}
)


def _region(cloud: Cloud, identity: CloudIdentity, configuration: Configuration) -> str:
    """Return the region: the variable's, or the one that the cloud's own SDK found."""
    variable = cloud.places[0]
    value = configuration.variable(variable).value
    region = value.text if value is not None else identity.region
    if not region:
        raise CloudNotReady(f"{cloud.switch} is on, and no region is named.", hint=f"Set {variable} to it.")
    return _label(region, value.name if value is not None else "The region of the profile", variable)


def _label(text: str, name: str, variable: str) -> str:
    if not _LABEL.fullmatch(text):
        raise CloudNotReady(
            f"{name} cannot be part of an address: it has something other than letters, digits and hyphens.",
            hint=f"Correct {variable}.",
        )
    return text


def _address(cloud: Cloud, configuration: Configuration) -> str | None:
    """Return the base URL that the variable names instead of the cloud's own."""
    value = configuration.variable(cloud.base).value
    if value is None:
        return None
    try:
        found = origin.parse(value.text)
        if "?" in value.text or "#" in value.text:
            raise ValueError("it contains a query or a fragment")
    except ValueError as error:
        raise CloudNotReady(
            f"{value.name} is not an address that can be asked: {error}.", hint=f"Correct {cloud.base}."
        ) from None
    if found.startswith("http:") and not origin.is_private_to_machine(found):
        raise CloudNotReady(
            f"{value.name} starts with http://, and what is sent there could be read on the way.",
            hint=f"Correct {cloud.base} to start with https://.",
        )
    return value.text.rstrip("/")
