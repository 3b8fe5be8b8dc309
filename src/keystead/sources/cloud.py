"""The cloud switches: seen, explained, and warned about when the cloud's own credentials seem to be missing.

Only presence is looked at, never content: the clouds' own chains read their files. Signing comes with a later
version; using a switched-on cloud raises ``UnsupportedCredential``.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from keystead.credentials import CloudCredential
from keystead.sources.candidate import Candidate, Facts, Source

_ON: Final = frozenset({"1", "true", "yes", "on"})


@dataclass(frozen=True, slots=True)
class Cloud:
    """One cloud.

    Attributes:
        variables: any of these set means that credentials are at hand.
        files: the same for files below the home directory.
        fix: what to do when none is.
    """

    id: str
    switch: str
    variables: tuple[str, ...]
    files: tuple[str, ...]
    fix: str


_AWS_VARIABLES: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_BEARER_TOKEN_BEDROCK",
)
_AWS_FILES: Final = (".aws/credentials", ".aws/config")
_AWS_FIX: Final = "run `aws sso login` or set AWS_PROFILE"

BEDROCK: Final = Cloud("bedrock", "CLAUDE_CODE_USE_BEDROCK", _AWS_VARIABLES, _AWS_FILES, _AWS_FIX)
FOUNDRY: Final = Cloud(
    "foundry",
    "CLAUDE_CODE_USE_FOUNDRY",
    ("ANTHROPIC_FOUNDRY_API_KEY", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"),
    (".azure/azureProfile.json",),
    "run `az login` or set ANTHROPIC_FOUNDRY_API_KEY",
)
AWS: Final = Cloud(
    "aws", "CLAUDE_CODE_USE_ANTHROPIC_AWS", ("ANTHROPIC_AWS_API_KEY", *_AWS_VARIABLES), _AWS_FILES, _AWS_FIX
)
MANTLE: Final = Cloud("mantle", "CLAUDE_CODE_USE_MANTLE", _AWS_VARIABLES, _AWS_FILES, _AWS_FIX)
VERTEX: Final = Cloud(
    "vertex",
    "CLAUDE_CODE_USE_VERTEX",
    ("GOOGLE_APPLICATION_CREDENTIALS",),
    (".config/gcloud/application_default_credentials.json",),
    "run `gcloud auth application-default login`",
)


def finder(cloud: Cloud) -> Callable[[Source, Facts], Candidate]:
    """Return the ``find`` of one row."""

    def find(source: Source, facts: Facts) -> Candidate:
        value = facts.configuration.variable(cloud.switch).value
        if value is None:
            return source.absent(f"{cloud.switch} is not set")
        if value.text.strip().lower() not in _ON:
            return source.absent(f"{cloud.switch} is set, but not to 1, true, yes or on, which means off")
        candidate = source.found(f"{cloud.switch} is on; the cloud's own credential chain decides", value.provenance)
        return replace(candidate, credential=CloudCredential(cloud.id), warnings=_missing(cloud, facts))

    return find


def _missing(cloud: Cloud, facts: Facts) -> tuple[str, ...]:
    if any(facts.configuration.variable(name).value for name in cloud.variables):
        return ()
    if any((facts.environment.home / name).exists() for name in cloud.files):
        return ()
    return (f"{cloud.switch} is on, but no credentials of that cloud were found: {cloud.fix}",)
