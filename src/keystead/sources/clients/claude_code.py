"""Claude Code, as it was observed on loopback with made-up keys (2026-11-21, over three thousand cases).

The sentences quoted beside the rules are those of the observation. Where it is silent, the answer carries a doubt.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from keystead.credentials import Header
from keystead.sources import base_url, cloud, vendor
from keystead.sources.clients.sight import Sight, custom_headers
from keystead.sources.clients.wire import Found, KnownClient, Wire, nothing
from keystead.sources.cloud import Cloud
from keystead.sources.configuration import Value


@dataclass(frozen=True, slots=True)
class Release:
    """What differs between the observed releases.

    Attributes:
        blank_counts: "Empty = unset; blank = an empty credential in the older versions, unset in 2.1.330."
        leaks: "Old versions leak AK to the cloud's address or replace SigV4 by AT."
    """

    version: str
    blank_counts: bool
    leaks: bool


RELEASES: Final = (
    Release("2.1.77", blank_counts=True, leaks=True),
    Release("2.1.197", blank_counts=True, leaks=True),
    Release("2.1.330", blank_counts=False, leaks=False),
)

# "Two headers, filled independently: Authorization = AT, else HK, else (only without AT, AK, HK) OT, else the stored
# login. x-api-key = AK, else HK, else a key minted at console login." And of the custom header variable: "x-api-key
# there overrides any key; Authorization there beats the login, loses to AT and HK."
AUTHORIZATION: Final[tuple[str, ...]] = ("auth_token", "api_key_helper", "custom:authorization", "oauth_token", "login")
X_API_KEY: Final[tuple[str, ...]] = ("custom:x-api-key", "api_key", "api_key_helper", "console_key")
PROGRAMMATIC: Final = ("auth_token", "api_key", "api_key_helper")

# "Bedrock > Foundry > Claude on AWS > Mantle > Vertex"
CLOUDS: Final = (cloud.BEDROCK, cloud.FOUNDRY, cloud.AWS, cloud.MANTLE, cloud.VERTEX)
_KEYED: Final = {"foundry": "ANTHROPIC_FOUNDRY_API_KEY", "aws": "ANTHROPIC_AWS_API_KEY"}
"""Clouds that take a key of their own, which goes into ``x-api-key``; everything else goes into ``Authorization``."""
_BEARERS: Final = {"bedrock": "AWS_BEARER_TOKEN_BEDROCK", "mantle": "AWS_BEARER_TOKEN_BEDROCK"}
"""Clouds that take a token of their own instead of a signature."""


@dataclass(frozen=True, slots=True)
class Leak:
    """What an old release sends to one cloud besides, or instead of, its own credential.

    Attributes:
        token: AT takes the place of the signature.
        key: AK goes along as ``x-api-key``.
        seen: it was observed with the SDK of that cloud too (bedrock-sdk 0.26, vertex-sdk 0.14, foundry-sdk 0.2).
    """

    token: bool
    key: bool
    seen: bool = True


# "Old versions leak AK to the cloud's address or replace SigV4 by AT": their SDKs read the variables themselves.
LEAKS: Final = {
    "bedrock": Leak(token=True, key=True),
    "foundry": Leak(token=False, key=False),
    "aws": Leak(token=True, key=True, seen=False),
    "mantle": Leak(token=True, key=True, seen=False),
    "vertex": Leak(token=False, key=True),
}

_NOT_LOGGED_IN: Final = "it exits with 1, not logged in, and sends no request"
_HELPER_NOTE: Final = "the helper is not run here; if it fails or prints nothing, its headers go out empty"


def clients() -> Iterator[KnownClient]:
    """Yield the observed releases, newest first."""
    for release in reversed(RELEASES):
        yield KnownClient("claude-code", release.version, True, partial(wire, release=release))


def wire(sight: Sight, release: Release) -> Wire:
    """Return what this release sends, given what it sees."""
    found = dict(_seen(sight, release))
    sent = _gateway(sight) or _cloud(sight, found, release) or _forced(sight, found) or _direct(found)
    notes = (*sent.notes, *_general_notes(sight, found))
    return replace(sent, notes=notes, doubts=tuple(dict.fromkeys((*sent.doubts, *_general_doubts(sight)))))


def _general_notes(sight: Sight, found: dict[str, Found]) -> Iterator[str]:
    if sight.bare and "api_key_helper" not in found and sight.setting("apiKeyHelper") is not None:
        yield "in bare mode a helper counts only when the command line gives it"
    base = sight.variable(base_url.VARIABLE)
    if base is None:
        return
    if base.text.rstrip("/").endswith("/v1"):  # "A /v1 at the end of the base URL is doubled by the client"
        yield f"{base.name} ends in /v1, which this client doubles"
    if sight.from_project(base):  # "its base URL receives the user's key without any trust check: this is R-07"
        yield f"a file of the project, {base.provenance}, says where the credential goes"


def _general_doubts(sight: Sight) -> Iterator[str]:
    if sight.unreadable is not None:
        yield f"{sight.unreadable.place} cannot be read, and what the client makes of it is not known"
    if _answer(sight) is None:
        yield "the person is asked about ANTHROPIC_API_KEY, and the default is No"


def _seen(sight: Sight, release: Release) -> Iterator[tuple[str, Found]]:
    """Yield every credential the client sees, by source id; a custom header by ``custom:`` and its name."""
    key = _variable(sight, release, "ANTHROPIC_API_KEY")
    if key is not None and _answer(sight):
        yield "api_key", key
    helper = sight.setting("apiKeyHelper")
    if helper is not None and (not sight.bare or sight.from_flag(helper)):
        blank = None if helper.text.strip() else "what becomes of a blank apiKeyHelper was not observed"
        yield "api_key_helper", Found(str(helper.provenance), doubt=blank or _trusting(sight, helper))
    yield from _custom(sight)
    if sight.bare:  # "Bare mode reads AK, or a helper given by flag."
        return
    for source, name in (("auth_token", "ANTHROPIC_AUTH_TOKEN"), ("oauth_token", vendor.VARIABLE)):
        token = _variable(sight, release, name)
        if token is not None:
            yield source, token
    if sight.stored_login is not None:
        yield "login", Found(sight.stored_login)
    if sight.console_key is not None:
        yield "console_key", Found(sight.console_key)


def _variable(sight: Sight, release: Release, name: str) -> Found | None:
    value = sight.variable(name)
    if value is None:
        return None
    text = value.text.rstrip("\r\n")  # "Trailing newlines are trimmed"
    if not text.strip():
        return Found(str(value.provenance), empty=True) if release.blank_counts else None
    doubt = _trusting(sight, value)
    if any(not " " <= character <= "~" for character in text):
        doubt = f"{name} holds a character that no header takes, and what the client does then was not observed"
    return Found(str(value.provenance), doubt=doubt)


def _trusting(sight: Sight, value: Value) -> str | None:
    """Doubt a project's file only with a person: "in -p […] without any trust check"."""
    if sight.interactive and sight.from_project(value):
        return "a file of the project decides, and a person is asked first whether they trust the directory"
    return None


def _answer(sight: Sight) -> bool | None:
    """Whether the API key may be used: "in -p without asking; interactive: asked once, default No"."""
    value = sight.variable("ANTHROPIC_API_KEY")
    return sight.approved(value.text) if sight.interactive and value is not None else True


def _custom(sight: Sight) -> Iterator[tuple[str, Found]]:
    value = sight.variable("ANTHROPIC_CUSTOM_HEADERS")
    if value is None:
        return
    doubt = "whether bare mode sends custom headers was not observed" if sight.bare else None
    for name, text in custom_headers(value.text):
        if name.lower() in tuple(Header):
            yield f"custom:{name.lower()}", Found(str(value.provenance), empty=not text, doubt=doubt)


def _pin(sight: Sight) -> Value | None:
    return sight.managed("forceLoginMethod") or sight.managed("forceLoginOrgUUID")


def _forced(sight: Sight, found: dict[str, Found]) -> Wire | None:
    """Return what a managed pin leaves.

    "A forced login method or organization refuses AT, AK and HK (exit 1, nothing sent); stored logins are checked
    and fail closed; a console-minted key and a custom header slip past an organization pin."
    """
    pin = _pin(sight)
    if pin is None:
        return None
    refused = next((found[source] for source in PROGRAMMATIC if source in found), None)
    if refused is not None:
        return nothing(f"{pin.provenance} forces a login, which refuses the credential from {refused.place}; exit 1")
    if pin.text == "gateway":
        return nothing(f"{pin.provenance} forces a gateway login, and there is none; exit 1")
    sent = _direct(found)
    checked = {"login", "oauth_token"} & {sent.authorization, sent.x_api_key}
    if not checked and pin.provenance.name == "forceLoginOrgUUID":
        return sent
    doubt = f"{pin.provenance} has the login checked; one that does not match sends nothing"
    return replace(sent, doubts=(*sent.doubts, doubt)) if sent.reason is None else sent


def _gateway(sight: Sight) -> Wire | None:
    """Return the gateway session: "it alone, whatever else is set"; its file is known, what is in it is not."""
    method = sight.managed("forceLoginMethod")
    place = sight.stored_login
    if method is None or method.text != "gateway" or place is None:
        return None
    doubt = f"{place} is not opened, so that the login in it is taken for a gateway session"
    return Wire(authorization="gateway_session", places={"gateway_session": place}, doubts=(doubt,))


def _cloud(sight: Sight, found: dict[str, Found], release: Release) -> Wire | None:
    """Return what goes to a cloud: its own credential, and in old releases something beside or instead of it."""
    chosen = next((one for one in CLOUDS if _is_on(sight, one.switch)), None)
    if chosen is None:
        return None
    source = f"cloud:{chosen.id}"
    switch = sight.variable(chosen.switch)
    keyed = chosen.id in _KEYED and sight.variable(_KEYED[chosen.id]) is not None
    place = {source: str(switch.provenance) if switch else chosen.switch}
    sent = Wire(x_api_key=source, places=place) if keyed else Wire(authorization=source, places=place)
    if _is_on(sight, chosen.skip):
        sent = Wire()
    if release.leaks:
        signed = not (chosen.id in _BEARERS and sight.variable(_BEARERS[chosen.id]) is not None)
        sent = _leaking(sent, chosen, found, signed=signed)
    doubts = (*sent.doubts, *_cloud_doubts(sight, chosen, found))
    if sent.authorization is None and sent.x_api_key is None:
        return nothing(f"{chosen.skip} leaves the credential to a proxy: the request goes without one", *doubts)
    return replace(sent, doubts=doubts)


def _cloud_doubts(sight: Sight, chosen: Cloud, found: dict[str, Found]) -> Iterator[str]:
    """Yield what was not observed of a cloud in this combination."""
    home = sight.configuration.environment.home
    if _is_on(sight, chosen.skip):
        yield f"what is sent with {chosen.skip} was not observed"
    elif not cloud.at_hand(chosen, lambda name: sight.variable(name) is not None, home):
        yield "no credential of that cloud was found; without one nothing is sent"
    if _pin(sight) is not None:
        yield "a forced login together with a cloud was not observed"
    if sight.bare:
        yield "bare mode together with a cloud was not observed"
    custom = found.get("custom:x-api-key") or found.get("custom:authorization")
    if custom is not None:
        yield f"what a cloud is sent of the headers in {custom.place} was not observed"


def _is_on(sight: Sight, switch: str) -> bool:
    """Whether a switch is on: "trimmed, any case: 1, true, yes, on; anything else is off"."""
    value = sight.variable(switch)
    return value is not None and value.text.strip().lower() in cloud.ON


def _leaking(sent: Wire, chosen: Cloud, found: dict[str, Found], *, signed: bool) -> Wire:
    """Add what an old release leaks to this cloud."""
    leak = LEAKS[chosen.id]
    found = {source: one for source, one in found.items() if not one.empty}  # a blank one is unset to an SDK
    places, doubts = dict(sent.places), sent.doubts
    if "auth_token" in found and leak.token and signed and sent.x_api_key is None:
        sent = replace(sent, authorization="auth_token")
        places["auth_token"] = found["auth_token"].place
    if "api_key" in found and leak.key and sent.x_api_key is None:
        sent = replace(sent, x_api_key="api_key")
        places["api_key"] = found["api_key"].place
    outline = "auth_token" in found or "api_key" in found
    if "api_key_helper" in found or (outline and not (leak.seen and (leak.token or "auth_token" not in found))):
        doubts = (*doubts, "what an old release leaks to this cloud was observed in outline only")
    return replace(sent, places=places, doubts=doubts)


def _direct(found: dict[str, Found]) -> Wire:
    """Fill the two headers, each for itself."""
    chosen = {
        Header.AUTHORIZATION: next((one for one in AUTHORIZATION if one in found and _may(one, found)), None),
        Header.X_API_KEY: next((one for one in X_API_KEY if one in found), None),
    }
    used = {header: source for header, source in chosen.items() if source is not None}
    if not used:
        return nothing(_NOT_LOGGED_IN)
    return Wire(
        authorization=_public(chosen[Header.AUTHORIZATION]),
        x_api_key=_public(chosen[Header.X_API_KEY]),
        places={_public(source) or "": found[source].place for source in used.values()},
        empty=frozenset(header for header, source in used.items() if found[source].empty),
        doubts=tuple(_doubts(used, found)),
        notes=(_HELPER_NOTE,) if "api_key_helper" in used.values() else (),
    )


def _may(source: str, found: dict[str, Found]) -> bool:
    """OT and the stored login count "only without AT, AK, HK"."""
    return source not in ("oauth_token", "login") or not any(one in found for one in PROGRAMMATIC)


def _public(source: str | None) -> str | None:
    return "custom_headers" if source is not None and source.startswith("custom:") else source


def _doubts(used: dict[Header, str], found: dict[str, Found]) -> Iterator[str]:
    for source in used.values():
        doubt = found[source].doubt
        if doubt is not None:
            yield doubt
    if used.get(Header.AUTHORIZATION) == "auth_token" and used.get(Header.X_API_KEY) == "api_key_helper":
        # The helper runs all the same, and "its value may go out as x-api-key (a race)".
        yield "with a token set the helper's value goes out only if it is there in time"
    if all(source.startswith("custom:") for source in used.values()):
        yield "whether custom headers alone count as being logged in was not observed"
    if used.get(Header.AUTHORIZATION) == "custom:authorization" and "oauth_token" in found:
        yield f"whether a custom Authorization beats {vendor.VARIABLE} as it beats the login was not observed"
    if used.get(Header.X_API_KEY) == "console_key" and used.get(Header.AUTHORIZATION) in ("oauth_token", "login"):
        yield "a login together with a console key was not observed"
