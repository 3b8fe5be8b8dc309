"""The vendor's SDKs for Python and JavaScript, with no credential in code: what they take from the environment.

"The newest SDKs (Python anthropic 2.11, npm SDK 1.12) send an API key as a bearer and no x-api-key; older ones send
x-api-key; both can be present and differ." The finer rules were read in their sources and compared with what they
sent on loopback, over two hundred combinations for each (2026-11-21; ``tests/unit/sources/clients``).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from keystead.credentials import Header
from keystead.environment import Environment
from keystead.sources.clients.sight import Sight, custom_headers
from keystead.sources.clients.wire import KnownClient, Wire, nothing
from keystead.sources.federation import directory_of, is_there, pointed_at

_NONE: Final = "it finds no credential, raises an error, and sends no request"
_NAMES: Final = {Header.AUTHORIZATION: "Authorization", Header.X_API_KEY: "X-Api-Key"}


@dataclass(frozen=True, slots=True)
class Sdk:
    """What differs between the observed releases.

    Attributes:
        trims: white space around a variable is taken off, so that a blank one is unset; else it breaks the request.
        key_header: where the API key goes.
        one: the API key or the token, whichever comes first; else both at once.
        by_spelling: a custom header replaces another only when it is spelled like it; else both are sent.
        keyed_alone: a custom ``x-api-key`` keeps a profile or workload identity from being used.
    """

    name: str
    version: str
    trims: bool
    key_header: Header
    one: bool
    by_spelling: bool = False
    keyed_alone: bool = False


SDKS: Final = (
    Sdk("anthropic-python", "2.11", trims=False, key_header=Header.AUTHORIZATION, one=True, keyed_alone=True),
    Sdk(
        "anthropic-python", "0.125", trims=False, key_header=Header.X_API_KEY, one=False, by_spelling=True,
        keyed_alone=True,
    ),
    Sdk("anthropic-js", "1.12", trims=True, key_header=Header.AUTHORIZATION, one=True),
    Sdk("anthropic-js", "0.137", trims=True, key_header=Header.X_API_KEY, one=False),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Sent:
    """One header on its way out; the value is hidden because it may be a secret."""

    name: str
    source: str
    place: str
    value: str = field(repr=False)

    @property
    def header(self) -> str:
        return self.name.lower()


def clients() -> Iterator[KnownClient]:
    """Yield the observed releases, newest first for each language."""
    for sdk in SDKS:
        yield KnownClient(sdk.name, sdk.version, False, partial(wire, sdk=sdk))


def wire(sight: Sight, sdk: Sdk) -> Wire:
    """Return what this release sends, given the variables of the process; it reads no settings file."""
    key, token = _variable(sight, sdk, "ANTHROPIC_API_KEY"), _variable(sight, sdk, "ANTHROPIC_AUTH_TOKEN")
    sent = _static(sdk, key, token)
    custom = [
        _Sent(name, "custom_headers", "ANTHROPIC_CUSTOM_HEADERS in the environment", value)
        for name, value in custom_headers(sight.own("ANTHROPIC_CUSTOM_HEADERS") or "")
        if name.lower() in tuple(Header)
    ]
    chain = _Chain(sight, sdk) if key is None and token is None else None
    if chain is not None and chain.broken is not None:
        return nothing(chain.broken)
    sent = _merged(sdk, sent, custom)
    if chain is not None and chain.source is not None:
        return _shown(_with_chain(sdk, sent, chain), chain.doubts)
    if not any(one.value for one in sent if not sdk.by_spelling or one.name in _NAMES.values()):
        return nothing(_NONE)
    broken = next((one for one in sent if not _sendable(one.value, sdk)), None)
    if broken is not None:
        return nothing(f"{broken.place} holds a character that no header takes; it raises an error and sends nothing")
    return _shown(sent)


def _variable(sight: Sight, sdk: Sdk, name: str) -> str | None:
    text = sight.own(name)
    if text is not None and sdk.trims:
        text = text.strip()
    return text or None


def _static(sdk: Sdk, key: str | None, token: str | None) -> list[_Sent]:
    sent = []
    if key is not None:
        prefix = "Bearer " if sdk.key_header is Header.AUTHORIZATION else ""
        sent.append(_Sent(_NAMES[sdk.key_header], "api_key", "ANTHROPIC_API_KEY in the environment", prefix + key))
    if token is not None and not (sdk.one and key is not None):
        place = "ANTHROPIC_AUTH_TOKEN in the environment"
        sent.append(_Sent(_NAMES[Header.AUTHORIZATION], "auth_token", place, f"Bearer {token}"))
    return sent


def _merged(sdk: Sdk, sent: list[_Sent], custom: list[_Sent]) -> list[_Sent]:
    """Lay the custom headers over the others."""
    for one in custom:
        sent = [other for other in sent if (other.name != one.name if sdk.by_spelling else other.header != one.header)]
        sent.append(one)
    return sorted(sent, key=lambda one: one.source == "custom_headers")


def _with_chain(sdk: Sdk, sent: list[_Sent], chain: "_Chain") -> list[_Sent]:
    """Add the bearer of a profile or workload identity, unless a custom header took its place."""
    taken = {one.header for one in sent if one.value}
    if Header.AUTHORIZATION in taken or (sdk.keyed_alone and Header.X_API_KEY in taken):
        return sent
    assert chain.source is not None
    return [*sent, _Sent(_NAMES[Header.AUTHORIZATION], chain.source, chain.place, "Bearer of an exchange")]


def _sendable(value: str, sdk: Sdk) -> bool:
    """Header values: visible characters with spaces between; the JavaScript runtime takes Latin-1 as well."""
    last = "\xff" if sdk.trims else "~"
    return value == value.strip() and all(" " <= one <= last and one != "\x7f" for one in value)


def _shown(sent: list[_Sent], doubts: tuple[str, ...] = ()) -> Wire:
    first: dict[str, _Sent] = {}
    for one in sent:
        if one.header in first:
            doubts = (*doubts, f"{one.header} is sent twice, from {first[one.header].place} and from {one.place}")
        first.setdefault(one.header, one)
    authorization, key = first.get(Header.AUTHORIZATION), first.get(Header.X_API_KEY)
    return Wire(
        authorization=authorization.source if authorization else None,
        x_api_key=key.source if key else None,
        places={one.source: one.place for one in first.values()},
        empty=frozenset(Header(name) for name, one in first.items() if not one.value),
        doubts=doubts,
    )


class _Chain:
    """What an SDK falls back to: a named profile, workload identity, the active profile; first match wins.

    Profile files are noticed by their presence and not opened.
    """

    def __init__(self, sight: Sight, sdk: Sdk) -> None:
        self.source: str | None = None
        self.place = ""
        self.broken: str | None = None
        self.doubts: tuple[str, ...] = ()
        environment = sight.configuration.environment
        directory = directory_of(environment, environment.variables.get("ANTHROPIC_CONFIG_DIR"))
        name = _variable(sight, sdk, "ANTHROPIC_PROFILE")
        if name is not None:
            self._profile(environment, directory, name, "ANTHROPIC_PROFILE")
        elif self._federated(sight, sdk):
            self.source, self.place = "workload_identity", "ANTHROPIC_FEDERATION_RULE_ID in the environment"
        else:
            pointer = pointed_at(directory)
            chosen = bool(pointer or sight.own("ANTHROPIC_CONFIG_DIR"))
            self._profile(environment, directory, pointer or "default", "active_config" if chosen else None)

    def _federated(self, sight: Sight, sdk: Sdk) -> bool:
        rule, organization, token, file = (
            _variable(sight, sdk, f"ANTHROPIC_{name}")
            for name in ("FEDERATION_RULE_ID", "ORGANIZATION_ID", "IDENTITY_TOKEN", "IDENTITY_TOKEN_FILE")
        )
        return bool(rule and organization and (token or file))

    def _profile(self, environment: Environment, directory: Path, name: str, named_by: str | None) -> None:
        if name != name.strip() or name.startswith(".") or any(one in name for one in "/\\\0"):
            self.broken = "the profile's name is no file name; it raises an error and sends nothing"
            return
        path = directory / "configs" / f"{name}.json"
        shown = environment.display(path)
        if is_there(path):
            self.source, self.place = "profile", shown
            self.doubts = (f"{shown} is not opened, so that the profile is taken for a working one",)
        elif named_by is not None:
            self.broken = f"{named_by} names a profile and there is no {shown}; it raises an error and sends nothing"
