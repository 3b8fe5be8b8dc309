"""What a profile of the vendor's SDKs configures: federation, which is used, or a person's login, which is not.

``configs/NAME.json`` holds no secret: ``authentication.type`` says what it is, and the other members say for whom.
"""

import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from keystead.credentials import Account
from keystead.credentials.federation import Federation
from keystead.credentials.lint import clean
from keystead.credentials.provenance import Provenance, ProvenanceKind
from keystead.environment import Environment
from keystead.errors import ConfigurationError, PolicyDenied, UnreadableFile, UnsupportedCredential
from keystead.sources import base_url, federation
from keystead.sources.base_url import BaseUrl
from keystead.sources.candidate import Candidate, CandidateState, Facts, Source
from keystead.sources.variables import bound
from keystead.wire import origin as wire_origin
from keystead.wire import settings

_FEDERATION: Final = "oidc_federation"
_PERSON: Final = "user_oauth"
_OTHERS_WRITE: Final = 0o022


def path_of(directory: Path, name: str, place: str) -> Path:
    """Return the configuration file of the profile ``name``.

    Raises:
        ConfigurationError: the name could lead out of the directory.
    """
    if name != name.strip() or name.startswith(".") or any(one in name for one in "/\\\0"):
        raise ConfigurationError(f"{place} does not hold the name of a profile.", hint="Write the name of its file.")
    return directory / "configs" / f"{name}.json"


def find(source: Source, facts: Facts, path: Path, named_by: str) -> Candidate:
    """Return the candidate of the profile at ``path``.

    Raises:
        UnreadableFile: it is not there, or others may change it, or it is not JSON.
        UnsupportedCredential: it is of a kind that is not known.
        ConfigurationError: it does not say what it must.
        PolicyDenied: it comes with the project.
    """
    shown = facts.environment.display(path)
    _require_own(path, shown, facts.environment)
    members = _read(path, shown, named_by)
    authentication = members.get("authentication")
    if authentication is None or not isinstance(authentication.value, dict):
        raise ConfigurationError(
            f"{shown} has no authentication object.", hint="Write it again with the program it is for."
        )
    place = Provenance(ProvenanceKind.FILE, "authentication", shown, authentication.line)
    sort = authentication.value.get("type")
    if sort == _PERSON:
        return _refused(source, place)
    if sort != _FEDERATION:
        raise UnsupportedCredential(
            f"{place}: authentication.type is not one that this version knows.",
            hint=f"Use a profile of type {_FEDERATION}, or another credential.",
        )
    top = {name: setting.value for name, setting in members.items()}
    given = base_url.read(facts.configuration)
    own = _text(top, "base_url", place)
    base = base_url.parse(own, f"base_url ({place})", str(place)) if own else given
    return _candidate(source, place, base, _configured(facts, top, authentication.value, place))


def from_variables(source: Source, facts: Facts) -> Candidate:
    """Return the candidate that the federation variables make; all that are needed are set.

    Raises:
        ConfigurationError: one of them cannot be sent.
    """
    values = {name: facts.configuration.variable(name).value for name in (federation.RULE, federation.TOKEN)}
    file, token, rule = _filled(facts, federation.TOKEN_FILE), values[federation.TOKEN], values[federation.RULE]
    assert rule is not None
    found = Federation(
        rule_id=_filled(facts, federation.RULE) or "",
        organization_id=_filled(facts, federation.ORGANIZATION) or "",
        identity_file=file,
        identity_token=clean(token.text, token.name) if token and not file else None,
        service_account_id=_filled(facts, federation.SERVICE_ACCOUNT),
        workspace_id=_filled(facts, federation.WORKSPACE),
    )
    return _candidate(source, rule.provenance, base_url.read(facts.configuration), found)


def _candidate(source: Source, place: Provenance, base: BaseUrl, found: Federation) -> Candidate:
    if base.origin.startswith("http://") and not wire_origin.is_private_to_machine(base.origin):
        raise ConfigurationError(
            f"The identity token is not sent to {base.origin}, which is not https.", hint="Use its https address."
        )
    reason = f"federation rule {found.rule_id}; the identity token is exchanged when a token is needed"
    own = replace(source.found(reason, place), payer=f"organization {found.organization_id}, per token")
    account = Account(id=found.service_account_id, organization_id=found.organization_id)
    return replace(bound(own, base), account=account, credential=found)


def _refused(source: Source, place: Provenance) -> Candidate:
    from keystead.credentials.rules import VENDOR_SUBSCRIPTION, refusal

    error = refusal(VENDOR_SUBSCRIPTION, f"The login of a person in the profile {place}")
    return replace(
        source.found(error.message.rstrip("."), place), state=CandidateState.REFUSED, error=error, header=None
    )


def _configured(
    facts: Facts, top: Mapping[str, object], authentication: Mapping[str, object], place: Provenance
) -> Federation:
    """Return what the file says, filled from the environment where it says nothing."""
    rule = _text(authentication, "federation_rule_id", place) or _filled(facts, federation.RULE)
    organization = _text(top, "organization_id", place) or _filled(facts, federation.ORGANIZATION)
    file = _identity_file(authentication, place) or _filled(facts, federation.TOKEN_FILE)
    needed = {
        f"authentication.federation_rule_id or {federation.RULE}": rule,
        f"organization_id or {federation.ORGANIZATION}": organization,
        f"authentication.identity_token or {federation.TOKEN_FILE}": file,
    }
    missing = [name for name, value in needed.items() if not value]
    if missing or not (rule and organization):
        raise ConfigurationError(f"{place}: the profile has no {missing[0]}.", hint="Add it to the file, or set it.")
    return Federation(
        rule_id=rule,
        organization_id=organization,
        identity_file=file,
        service_account_id=_text(authentication, "service_account_id", place)
        or _filled(facts, federation.SERVICE_ACCOUNT),
        workspace_id=_text(top, "workspace_id", place) or _filled(facts, federation.WORKSPACE),
    )


def _identity_file(authentication: Mapping[str, object], place: Provenance) -> str | None:
    token = authentication.get("identity_token")
    if not token:
        return None
    if not isinstance(token, dict) or token.get("source") != "file":
        raise UnsupportedCredential(
            f"{place}: authentication.identity_token is not a file.", hint='Write {"source": "file", "path": …}.'
        )
    path = _text(token, "path", place)
    if not path:
        raise ConfigurationError(f"{place}: authentication.identity_token has no path.", hint="Name the file.")
    return path


def _text(members: Mapping[str, object], name: str, place: Provenance) -> str | None:
    value = members.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _printable(value):
        raise ConfigurationError(f"{place}: {name} is not a line of text.", hint=f"Correct {name} in that file.")
    return value


def _filled(facts: Facts, variable: str) -> str | None:
    value = facts.configuration.variable(variable).value
    if value is None:
        return None
    if not _printable(value.text):
        raise ConfigurationError(f"{value.name} is not one line of text.", hint=f"Set {variable} again.")
    return value.text


def _printable(text: str) -> bool:
    return text.isprintable() and text == text.strip()


def _require_own(path: Path, shown: str, environment: Environment) -> None:
    """A clone must not say where an identity goes (R-07)."""
    real, project = Path(os.path.realpath(path)), Path(os.path.realpath(environment.cwd))
    if real.is_relative_to(project) and not Path(os.path.realpath(environment.home)).is_relative_to(project):
        raise PolicyDenied(
            f"{shown} lies in the project, and files of a project may not say where an identity is sent.",
            hint=f"If you trust it, keep it outside and name its directory in {federation.DIRECTORY}.",
            move="you",
        )


def _read(path: Path, shown: str, named_by: str) -> Mapping[str, settings.Setting]:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableFile(f"{shown} is not a regular file.", hint="Move it away.")
        if sys.platform != "win32" and status.st_mode & _OTHERS_WRITE:
            raise UnreadableFile(f"Others may change {shown}.", hint=f"Run: chmod go-w {shown}")
        return settings.parse(path.read_bytes()).members
    except FileNotFoundError:
        raise UnreadableFile(
            f"{named_by} selects a profile, and there is no {shown}.", hint=f"Create it, or change {named_by}."
        ) from None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise UnreadableFile(f"{shown} cannot be read: {reason}.", hint="Make it readable for your user.") from None
    except settings.MalformedSettings as error:
        raise UnreadableFile(
            f"{shown}:{error.line} cannot be read: {error.reason}.", hint=f"Correct line {error.line}."
        ) from None
