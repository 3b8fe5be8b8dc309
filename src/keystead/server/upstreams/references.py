"""Credentials that are kept on the server's machine: which of them an organization may use, and where they may go.

A reference reads the operator's machine: its variables, its files, the output of its programs, its identity in a cloud.
An organization's administrator names one, but only the operator allows it, in the setting ``upstream_references``:
entries separated by commas or line ends, each ``REFERENCE [for HOST] [in ORGANIZATION]``. Without HOST it may go to the
vendor's own hosts alone, for whoever chooses the address could otherwise have it sent to themselves.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from keystead.clock import SYSTEM_CLOCK
from keystead.errors import ConfigurationError, PolicyDenied
from keystead.secret import Secret
from keystead.server.settings import ServerSettings
from keystead.server.upstream_shape import Kind
from keystead.server.upstreams import methods
from keystead.sources import references

_ENTRY: Final = re.compile(r"(?P<reference>\S.*?)(?: for (?P<host>\S+))?(?: in (?P<organization>\S.*))?")
_CHAINS: Final = re.compile(r"chain:(?:aws(?:/[\w.@+-]+)?|google|entra)")
_SLOW: Final = ("exec:", "keyring:", "fd:", "chain:")
"""What may take long to ask, and so is never asked where somebody waits."""
_WHOLE: Final = frozenset({"env", "file", "systemd"})
"""Where a document of several lines can be."""

VENDORS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.ANTHROPIC: ("api.anthropic.com",),
    Kind.AWS: ("aws-external-anthropic.*.api.aws",),
    Kind.BEDROCK: ("bedrock-runtime.*.amazonaws.com", "bedrock-runtime-fips.*.amazonaws.com"),
    Kind.VERTEX: ("aiplatform.googleapis.com", "*-aiplatform.googleapis.com", "aiplatform.*.rep.googleapis.com"),
    Kind.FOUNDRY: ("*.services.ai.azure.com",),
    Kind.MESSAGES: (),
    Kind.OPENAI: (),
}
"""Where each kind is when it is the vendor's own; a star stands for letters, digits and hyphens."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """One entry of the setting.

    Attributes:
        host: where it may go, with a port if that is not the usual one, and ``http://`` before it where it is not
            https; empty for the vendor's own hosts.
        organization: whose upstreams may use it, by name; empty for everybody's.
    """

    reference: str
    host: str = ""
    organization: str = ""

    def covers(self, reference: str, kind: Kind, base_url: str, organization: str) -> bool:
        """Return whether it lets a credential of ``organization`` go to ``base_url``."""
        hosts = (self.host,) if self.host else VENDORS[kind]
        return (
            self.reference == reference
            and self.organization in ("", organization)
            and any(_is_at(base_url, host) for host in hosts)
        )


def allowances(server: ServerSettings) -> tuple[Allowance, ...]:
    """Return what the operator has allowed.

    Raises:
        ConfigurationError: an entry is not a reference.
    """
    entries = [one.strip() for one in re.split(r"[,\n]", server.upstream_references) if one.strip()]
    return tuple(map(_allowance, entries))


def _allowance(entry: str) -> Allowance:
    match = _ENTRY.fullmatch(entry)
    reference = match["reference"] if match else ""
    if match is None or not (_CHAINS.fullmatch(reference) or references.is_reference(reference)):
        raise ConfigurationError(
            f"KEYSTEAD_SERVER_UPSTREAM_REFERENCES has {entry!r}, which is no reference.",
            hint="Write entries like file:/run/secrets/key for llm.example.com, chain:aws, separated by commas.",
            move="operator",
        )
    return Allowance(reference, (match["host"] or "").lower(), (match["organization"] or "").strip())


def used_by(kind: Kind, method: str, fields: Mapping[str, str]) -> list[str]:
    """Return what a credential reads of the server's machine, as references."""
    row = methods.method_of(kind, method)
    secret = [fields.get(field.name, "") for field in row.fields if field.secret]
    found = [value for value in secret if references.is_reference(value)]
    if row.machine:
        profile = fields.get("profile")
        found.append(f"{row.machine}/{profile}" if profile else row.machine)
    return found


def are_slow(used: list[str]) -> bool:
    """Return whether reading them may take long."""
    return any(one.startswith(_SLOW) for one in used)


def require(used: list[str], kind: Kind, base_url: str, organization: str, server: ServerSettings) -> None:
    """Check that the operator allows each of them.

    Raises:
        PolicyDenied: not there, or not by that organization.
    """
    allowed = allowances(server)
    for reference in used:
        if not any(one.covers(reference, kind, base_url, organization) for one in allowed):
            host = urlsplit(base_url).netloc
            raise PolicyDenied(
                f"{reference} is not allowed for {host}: it is kept on the server's own machine.",
                hint="Whoever runs the server can allow it in KEYSTEAD_SERVER_UPSTREAM_REFERENCES.",
                move="operator",
            )


def read(value: str, name: str, variables: Mapping[str, str]) -> Secret:
    """Return what a reference leads to, checked like a value that was typed.

    Raises:
        KeysteadError: nothing is there, it cannot be sent, or it may not be used.
    """
    home = Path(variables.get("HOME") or "/")
    place = references.Place(variables, home, home, SYSTEM_CLOCK)
    if name == "service_account_json":
        return _document(value, name, place)
    found = references.resolve(value, name, place)
    methods.check_lawful(found.reveal(), name)
    return found


def _document(value: str, name: str, place: references.Place) -> Secret:
    """Return a file of several lines, which no header could carry."""
    word, _, rest = value.partition(":")
    if word not in _WHOLE:
        raise ConfigurationError(f"{name} cannot come from {word}:.", hint=f"Use one of {', '.join(sorted(_WHOLE))}.")
    found = references.SCHEMES[word].read(rest, name, place)
    text = found if isinstance(found, str) else found.reveal()
    return Secret(methods.check_service_account(text))


def _is_at(base_url: str, host: str) -> bool:
    scheme, _, place = host.rpartition("://")
    parts = urlsplit(base_url)
    pattern = re.escape(place).replace(r"\*", "[a-z0-9-]+")
    return parts.scheme == (scheme or "https") and re.fullmatch(pattern, parts.netloc.lower()) is not None
