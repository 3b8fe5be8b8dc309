"""The cloud switches: seen, explained, and warned about when the cloud's own credentials seem to be missing.

Only presence is looked at, never content: the clouds' own chains read their files, when :mod:`keystead.clouds` asks
them to. Where requests go is :mod:`keystead.sources.cloud_route`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from keystead.credentials import CloudCredential, Header
from keystead.sources.candidate import Candidate, Facts, Source
from keystead.sources.configuration import Value

ON: Final = frozenset({"1", "true", "yes", "on"})


@dataclass(frozen=True, slots=True)
class Cloud:
    """One cloud.

    Attributes:
        switch: the variable that turns it on.
        skip: the variable that says that a proxy adds the credentials.
        variables: any of these set means that credentials are at hand.
        files: the same for files below the home directory.
        own: what belongs to this cloud among the names that ``run`` takes away from a program.
        places: region (first), project and profile; a project's files may set these, for they carry no secret anywhere.
        remedies: settings whose command is run, in this order, when the credentials are missing or refused.
        fix: what to do when none is.
        base: the variable that names another address than the cloud's own.
        key: the variable of a key that is sent as it is, in ``key_header``, before anything else is looked for.
        service: by this name AWS knows it in a signature; None where a bearer token is fetched.
    """

    id: str
    switch: str
    skip: str
    variables: tuple[str, ...]
    files: tuple[str, ...]
    own: tuple[str, ...]
    places: tuple[str, ...]
    remedies: tuple[str, ...]
    fix: str
    base: str
    key: str | None = None
    key_header: Header = Header.AUTHORIZATION
    service: str | None = None


_BEARER: Final = "AWS_BEARER_TOKEN_BEDROCK"
_AWS_VARIABLES: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_AWS_FILES: Final = (".aws/credentials", ".aws/config")
_AWS_PLACES: Final = ("AWS_REGION", "AWS_PROFILE")
_AWS_REMEDIES: Final = ("awsAuthRefresh", "awsCredentialExport")
_AWS_FIX: Final = "run `aws sso login` or set AWS_PROFILE"

BEDROCK: Final = Cloud(
    "bedrock",
    "CLAUDE_CODE_USE_BEDROCK",
    skip="CLAUDE_CODE_SKIP_BEDROCK_AUTH",
    variables=(*_AWS_VARIABLES, _BEARER),
    files=_AWS_FILES,
    own=(_BEARER, "ANTHROPIC_BEDROCK_BASE_URL"),
    places=_AWS_PLACES,
    remedies=_AWS_REMEDIES,
    fix=_AWS_FIX,
    base="ANTHROPIC_BEDROCK_BASE_URL",
    key=_BEARER,
    service="bedrock",
)
FOUNDRY: Final = Cloud(
    "foundry",
    "CLAUDE_CODE_USE_FOUNDRY",
    skip="CLAUDE_CODE_SKIP_FOUNDRY_AUTH",
    variables=("ANTHROPIC_FOUNDRY_API_KEY", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"),
    files=(".azure/azureProfile.json",),
    own=("ANTHROPIC_FOUNDRY_API_KEY", "ANTHROPIC_FOUNDRY_BASE_URL", "ANTHROPIC_FOUNDRY_RESOURCE"),
    places=(),
    remedies=(),
    fix="run `az login` or set ANTHROPIC_FOUNDRY_API_KEY",
    base="ANTHROPIC_FOUNDRY_BASE_URL",
    key="ANTHROPIC_FOUNDRY_API_KEY",
    key_header=Header.X_API_KEY,
)
AWS: Final = Cloud(
    "aws",
    "CLAUDE_CODE_USE_ANTHROPIC_AWS",
    skip="CLAUDE_CODE_SKIP_ANTHROPIC_AWS_AUTH",
    variables=(*_AWS_VARIABLES, "ANTHROPIC_AWS_API_KEY"),
    files=_AWS_FILES,
    own=("ANTHROPIC_AWS_API_KEY", "ANTHROPIC_AWS_BASE_URL", "ANTHROPIC_AWS_WORKSPACE_ID"),
    places=_AWS_PLACES,
    remedies=_AWS_REMEDIES,
    fix=_AWS_FIX,
    base="ANTHROPIC_AWS_BASE_URL",
    key="ANTHROPIC_AWS_API_KEY",
    key_header=Header.X_API_KEY,
    service="aws-external-anthropic",
)
MANTLE: Final = Cloud(
    "mantle",
    "CLAUDE_CODE_USE_MANTLE",
    skip="CLAUDE_CODE_SKIP_MANTLE_AUTH",
    variables=(*_AWS_VARIABLES, _BEARER),
    files=_AWS_FILES,
    own=(_BEARER, "ANTHROPIC_BEDROCK_MANTLE_BASE_URL"),
    places=_AWS_PLACES,
    remedies=_AWS_REMEDIES,
    fix=_AWS_FIX,
    base="ANTHROPIC_BEDROCK_MANTLE_BASE_URL",
    key=_BEARER,
    service="bedrock-mantle",
)
VERTEX: Final = Cloud(
    "vertex",
    "CLAUDE_CODE_USE_VERTEX",
    skip="CLAUDE_CODE_SKIP_VERTEX_AUTH",
    variables=("GOOGLE_APPLICATION_CREDENTIALS",),
    files=(".config/gcloud/application_default_credentials.json",),
    own=("ANTHROPIC_VERTEX_BASE_URL",),
    places=("CLOUD_ML_REGION", "ANTHROPIC_VERTEX_PROJECT_ID"),
    remedies=("gcpAuthRefresh",),
    fix="run `gcloud auth application-default login`",
    base="ANTHROPIC_VERTEX_BASE_URL",
)
CLOUDS: Final = {cloud.id: cloud for cloud in (BEDROCK, FOUNDRY, AWS, MANTLE, VERTEX)}


def finder(cloud: Cloud) -> Callable[[Source, Facts], Candidate]:
    """Return the ``find`` of one row."""

    def find(source: Source, facts: Facts) -> Candidate:
        value = facts.configuration.variable(cloud.switch).value
        if value is None:
            return source.absent(f"{cloud.switch} is not set")
        if not on(value):
            return source.absent(f"{cloud.switch} is set, but not to 1, true, yes or on, which means off")
        candidate = source.found(f"{cloud.switch} is on; the cloud's own credential chain decides", value.provenance)
        return replace(candidate, credential=CloudCredential(cloud.id), warnings=_missing(cloud, facts))

    return find


def on(value: Value | None) -> bool:
    """Whether a switch is on: 1, true, yes or on, in any case, with or without blanks around it."""
    return value is not None and value.text.strip().lower() in ON


def at_hand(cloud: Cloud, is_set: Callable[[str], bool], home: Path) -> bool:
    """Whether credentials of ``cloud`` seem to be there: a variable that is set, or a file that exists."""
    return any(is_set(name) for name in cloud.variables) or any((home / name).exists() for name in cloud.files)


def _missing(cloud: Cloud, facts: Facts) -> tuple[str, ...]:
    variable = facts.configuration.variable
    if on(variable(cloud.skip).value):  # a proxy adds them
        return ()
    if at_hand(cloud, lambda name: variable(name).value is not None, facts.environment.home):
        return ()
    return (f"{cloud.switch} is on, and no variable or file has credentials of that cloud: {cloud.fix}",)
