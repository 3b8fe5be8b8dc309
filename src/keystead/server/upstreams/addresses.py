"""Where an upstream is, what it is called there, and which lines it gets: what of that cannot be. Pure.

Whether a name leads somewhere permitted is asked at every connection, by :mod:`keystead.server.upstream_network`; here
only what can be known without asking is refused, so that an administrator hears of it at once.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from keystead.errors import UsageError
from keystead.server.cloud_names import PROFILES
from keystead.server.outbound import Reach, permitted
from keystead.server.upstream_shape import Kind
from keystead.server.upstreams.methods import check_lawful
from keystead.wire import origin

LONGEST: Final = 500
MOST: Final = 200
"""Models, entries or headers of one upstream."""
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
"""What the last part of a host may not be, for then the whole is read as an address: 2130706433 is 127.0.0.1."""
_PROJECT: Final = re.compile(r"[a-z0-9][a-z0-9:.-]{1,62}")
_MODEL: Final = re.compile(r"[\x21-\x7e]{1,256}")
_HEADER_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,498}[\x21-\x7e])?")
_NOT_OURS: Final = frozenset(
    {
        "accept-encoding", "api-key", "authorization", "connection", "content-length", "content-type", "cookie",
        "expect", "host", "keep-alive", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
        "x-api-key", "x-goog-api-key",
    }
)  # fmt: skip
"""Lines that carry a credential or frame the request: the credential has a place of its own, and it is encrypted."""

REGIONAL: Final = frozenset({Kind.AWS, Kind.BEDROCK, Kind.VERTEX})
"""Kinds that are nowhere without a region."""
WORKSPACE_HEADER: Final = "anthropic-workspace-id"
_WIDE: Final = {"global": "aiplatform.googleapis.com"} | {
    one: f"aiplatform.{one}.rep.googleapis.com" for one in ("us", "eu")
}


def sample_region(kind: Kind) -> str:
    """Return a region as its cloud writes it."""
    return "europe-west1, or global" if kind is Kind.VERTEX else "us-east-1"


def sample(kind: Kind) -> str:
    """Return an address as one of that kind is written, where there is no usual one."""
    ends = {Kind.FOUNDRY: "RESOURCE.services.ai.azure.com/anthropic", Kind.OPENAI: "llm.example.com/v1"}
    return f"https://{ends.get(kind, 'llm.example.com')}"


def usual(kind: Kind, region: str) -> str:
    """Return the address of the vendor or cloud itself, or nothing where there is no such one."""
    match kind:
        case Kind.ANTHROPIC:
            return "https://api.anthropic.com"
        case Kind.AWS:
            return f"https://aws-external-anthropic.{region}.api.aws"
        case Kind.BEDROCK:
            return f"https://bedrock-runtime.{region}.amazonaws.com"
        case Kind.VERTEX:
            return f"https://{_WIDE.get(region, f'{region}-aiplatform.googleapis.com')}/v1"
        case _:
            return ""


def check_region(kind: Kind, region: str) -> str:
    """Return a region as it stands in a host's name.

    Raises:
        UsageError: it is missing, or cannot be one.
    """
    region, such = region.strip().lower(), f"Such as {sample_region(kind)}."
    if kind in REGIONAL and not region:
        raise UsageError(f"region is missing: an upstream of the kind {kind.value} has one.", hint=such)
    if region and not _LABEL.fullmatch(region):
        raise UsageError("region has something other than letters, digits and hyphens.", hint=such)
    return region


def check_project(kind: Kind, project: str) -> str:
    """Return a project of Google Cloud.

    Raises:
        UsageError: it is missing, or cannot be one.
    """
    project = project.strip()
    if kind is Kind.VERTEX and not project:
        raise UsageError("project is missing: Vertex AI bills one.", hint="Enter the id of the Google Cloud project.")
    if project and not _PROJECT.fullmatch(project):
        raise UsageError("project is not the id of a Google Cloud project.", hint="Such as models-prod.")
    return project


def check_profile(kind: Kind, profile: str) -> str:
    """Return where requests may be processed; nothing but for Bedrock, whose inference profiles say it.

    Raises:
        UsageError: there is no such profile.
    """
    if kind is not Kind.BEDROCK:
        return ""
    if profile not in PROFILES:
        raise UsageError(
            f"profile: {profile[:60]!r} is no inference profile of Amazon's.",
            hint=f"Choose one of {', '.join(filter(None, PROFILES))}, or none for the region's geography.",
        )
    return profile


def check_base_url(text: str, within: Reach) -> str:
    """Return an address without the slash at its end.

    Raises:
        UsageError: it is not an address, or one that may never be asked.
    """
    text = text.strip().rstrip("/")
    try:
        place = origin.parse(text)
        if "?" in text or "#" in text or "/../" in f"{text}/" or "%" in text:
            raise ValueError("it contains a query, a fragment, an escape or two dots")
        if len(text) > LONGEST:
            raise ValueError(f"it is longer than {LONGEST} characters")
        if urlsplit(text).port == 0:
            raise ValueError("its port is 0")
    except ValueError as error:
        raise UsageError(
            f"base_url is not an address that can be asked: {error}.", hint="Write it like https://llm.example.com."
        ) from error
    parts = urlsplit(text)
    text = f"{place}{parts.path}"
    _check_literal(parts.hostname or "", within)
    if parts.scheme == "http" and not origin.is_private_to_machine(place) and not within.networks:
        raise UsageError(
            "base_url is not https, and what is sent there could be read on the way.",
            hint="Use https, or have whoever runs the server open that network with KEYSTEAD_SERVER_UPSTREAM_NETWORKS.",
        )
    return text


def _check_literal(host: str, within: Reach) -> None:
    host = host.removesuffix(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if _NUMBER.fullmatch(host.rpartition(".")[2]):
            raise UsageError(
                f"base_url names {host}, which is neither a name nor an address.",
                hint="Write an address as four decimal numbers, such as 192.0.2.7.",
            ) from None
        if host == "localhost" and not permitted(ipaddress.ip_address("127.0.0.1"), within):
            raise _inside(host) from None
        return
    if not permitted(address, within):
        raise _inside(host)


def _inside(host: str) -> UsageError:
    return UsageError(
        f"base_url names {host}, which is inside this server's own network.",
        hint="Whoever runs the server can open it with KEYSTEAD_SERVER_UPSTREAM_NETWORKS.",
    )


def check_models(names: Mapping[str, str]) -> dict[str, str]:
    """Return the upstream's names for models.

    Raises:
        UsageError: one is empty or cannot be sent.
    """
    for ours, theirs in names.items():
        if not (_MODEL.fullmatch(ours) and _MODEL.fullmatch(theirs)):
            raise UsageError(
                f"models: {ours[:60]!r} = {theirs[:60]!r} has an empty name, or one with a space.", hint=""
            )
    return dict(_bounded("models", names))


def check_serves(entries: tuple[str, ...]) -> list[str]:
    """Return the entries of models it is asked for.

    Raises:
        UsageError: one cannot be the name of a model.
    """
    for entry in entries:
        if not _MODEL.fullmatch(entry):
            raise UsageError(
                f"serves: {entry[:60]!r} is not the name of a model.", hint="One per line, without spaces."
            )
    return list(_bounded("serves", dict.fromkeys(entries, "")))


def check_headers(kind: Kind, headers: Mapping[str, str]) -> dict[str, str]:
    """Return the lines that every request gets, names in lower case.

    Raises:
        UsageError: one is not a header, carries a credential, or the kind needs one that is missing.
        PolicyDenied: one holds what may not be an upstream's credential.
    """
    lines = {name.lower(): value for name, value in headers.items()}
    for name, value in lines.items():
        if name in _NOT_OURS:
            raise UsageError(f"headers: {name} is set by the gateway itself.", hint="Keys belong under Credential.")
        if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)):
            raise UsageError(f"headers: {name[:60]!r} is not the line of a header.", hint="Write it like name: value.")
        for word in value.split():
            check_lawful(word, f"headers: {name}")
    if kind is Kind.AWS and WORKSPACE_HEADER not in lines:
        raise UsageError(
            f"headers: {WORKSPACE_HEADER} is missing: Claude Platform on AWS asks for it.",
            hint=f"Add a line {WORKSPACE_HEADER}: with the workspace's id, as its console shows it.",
        )
    return dict(_bounded("headers", lines))


def pairs(lines: Iterable[str], sign: str, form: str) -> dict[str, str]:
    """Return lines as names and values; ``form`` is what one looks like. Empty ones say nothing.

    Raises:
        UsageError: a line has another form.
    """
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, lines)):
        name, there, value = (part.strip() for part in line.partition(sign))
        if not (there and name and value):
            raise UsageError(f"“{line[:60]}” is not {form}.", hint="Write each like that.")
        found[name] = value
    return found


def _bounded(what: str, given: Mapping[str, str]) -> Mapping[str, str]:
    if len(given) > MOST:
        raise UsageError(f"{what}: more than {MOST} lines.", hint="Use one upstream for each part of them.")
    return given
