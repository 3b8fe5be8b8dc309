"""What the clouds call the vendor's models: a dated table, and which of its names an upstream is sent.

Agents ask for a model by its name of the Messages API. Google Cloud writes the date of a release otherwise, Foundry
leaves it out, and Amazon Bedrock has an identifier of its own, before which the geography stands in which a request
may be processed (an *inference profile*). A name that is not in the table goes as it is, so a new model whose name has
no date, which is what they look like now, needs a row for Bedrock alone.

Where a request is processed is not for a table to widen: without an administrator's choice, a Bedrock upstream is sent
the profile of the geography that its region lies in, and otherwise the model's own identifier, which leaves no region.

Sources, all read 2026-11-26 in stored copies of the pages, some of which were mirrors or quotations of them; every name
is in one of the first four:

- [M] platform.claude.com/docs/en/models/overview, rows "Amazon Bedrock ID", "Google Cloud ID", "Microsoft Foundry ID",
  as published on 2026-10-08; for models before 4.6 its editions of 2025 and 2026, which have the aliases.
- [V] platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai, "API model IDs", September 2026; older models
  in docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude too.
- [F] platform.claude.com/docs/en/build-with-claude/claude-in-microsoft-foundry, "Default deployment name".
- [B] docs.aws.amazon.com/bedrock/latest/userguide/model-card-anthropic-MODEL.html, "Geo inference ID", as of
  2026-09-09; Opus 4 and Haiku 3.5: platform.claude.com/docs/en/build-with-claude/claude-on-amazon-bedrock.
- [L] the public list of LiteLLM 1.110.2, which takes Bedrock's from Amazon's price list: a second witness for every
  name, and the only one for the geographies of the 5.5 models, whose model cards could not be read.
"""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

from keystead.server.upstream_shape import Kind

VERSION: Final = "2026-11-26"
"""When the sources were read; changed with every row."""

REGION_ALONE: Final = "region"
GLOBAL: Final = "global"
PROFILES: Final[Mapping[str, str]] = {
    "": "the geography of the region",
    REGION_ALONE: "the region alone",
    "us": "the United States",
    "eu": "the European Union",
    "jp": "Japan",
    "au": "Australia",
    "apac": "Asia and the Pacific",
    "us-gov": "GovCloud (US)",
    GLOBAL: "every commercial region",
}
"""Where a Bedrock upstream's requests may be processed, and in words: an inference profile's prefix, or a rule."""

_GEOGRAPHIES: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("us-gov-", ()),
    ("us-", ("us",)),
    ("eu-", ("eu",)),
    ("ap-northeast-1", ("jp", "apac")),
    ("ap-northeast-3", ("jp", "apac")),
    ("ap-southeast-2", ("au", "apac")),
    ("ap-southeast-4", ("au", "apac")),
    ("ap-", ("apac",)),
)
"""How a region begins, and the profiles that stay within its geography, narrowest first; the first that fits counts.

Canada is in none: Amazon's ``us`` profiles take its requests, and may process them in the United States. Of GovCloud's
profiles the sources do not agree."""


class Sent(NamedTuple):
    """What a name becomes.

    Attributes:
        name: the cloud's.
        why: a part of a sentence, for an administrator.
    """

    name: str
    why: str


class _Model(NamedTuple):
    """One model.

    Attributes:
        names: of the Messages API, the one with its release first.
        bedrock: Amazon's identifier, without a profile's prefix.
        profiles: the prefixes that Amazon has for it, but for ``global``.
        vertex: Google's name.
        foundry: how Foundry names a deployment of it; empty where it has none.
    """

    names: tuple[str, ...]
    bedrock: str
    profiles: frozenset[str]
    vertex: str
    foundry: str


def _plain(name: str, profiles: str, bedrock: str = "") -> _Model:
    """Return a model whose name is its release."""
    return _Model((name,), f"anthropic.{bedrock or name}", frozenset(profiles.split()), name, name)


def _dated(model: str, date: str, profiles: str, alias: str = "", foundry: str = "") -> _Model:
    """Return a model from before 4.6, whose name ends in the date of its release."""
    names = (f"{model}-{date}", alias or model)
    return _Model(names, f"anthropic.{model}-{date}-v1:0", frozenset(profiles.split()), f"{model}@{date}", foundry)


_MODELS: Final = (
    _plain("claude-fable-5-1", "us"),  # [M] [V] [F] [B]
    _plain("claude-fable-5", "us"),  # [M] [V] [F] [B]
    _plain("claude-opus-5-5", "us eu au jp"),  # [M] [V] [F]; profiles [L]
    _plain("claude-opus-5", "us eu au"),  # [V] [F] [B]
    _plain("claude-opus-4-8", "us eu au jp"),  # [M] [V] [F] [B]
    _plain("claude-opus-4-7", "us eu au jp"),  # [M] [V] [F] [B]
    _plain("claude-opus-4-6", "us eu au", "claude-opus-4-6-v1"),  # [M] [V] [F] [B]
    _dated("claude-opus-4-5", "20251101", "us eu", foundry="claude-opus-4-5"),  # [M] [V] [F] [B]
    _dated("claude-opus-4-1", "20250805", "us", foundry="claude-opus-4-1"),  # [M] [V] [F] [B]
    _dated("claude-opus-4", "20250514", "us", alias="claude-opus-4-0"),  # [M] [V] [B]
    _plain("claude-sonnet-5-5", "us eu au jp"),  # [M] [F]; profiles [L]
    _plain("claude-sonnet-5", "us eu au"),  # [V] [F] [B]
    _plain("claude-sonnet-4-6", "us eu au jp"),  # [M] [V] [F] [B]
    _dated("claude-sonnet-4-5", "20250929", "us eu au jp", foundry="claude-sonnet-4-5"),  # [M] [V] [F] [B]
    _dated("claude-sonnet-4", "20250514", "us eu apac", alias="claude-sonnet-4-0"),  # [M] [V] [B]
    _plain("claude-haiku-5-5", "us eu au jp"),  # [M] [F]; profiles [L]
    _dated("claude-haiku-4-5", "20251001", "us eu au jp", foundry="claude-haiku-4-5"),  # [M] [V] [F] [B]
    _dated("claude-3-5-haiku", "20241022", "us", alias="claude-3-5-haiku-latest"),  # [V] [B]
)
"""The newest of a family first. Models that no cloud offers any more are left out."""


@lru_cache(maxsize=256)
def at(kind: Kind, region: str, profile: str) -> Mapping[str, Sent]:
    """Return what each name becomes that an upstream calls otherwise; any other name goes as it is.

    Args:
        kind: of the upstream.
        region: of it, as its cloud writes it.
        profile: a key of :data:`PROFILES`; Bedrock's alone.
    """
    found: dict[str, Sent] = {}
    for model in _MODELS:
        sent = _at(model, kind, region, profile)
        found |= {name: sent for name in model.names if sent.name not in ("", name)}
    return MappingProxyType(found)


@lru_cache(maxsize=256)
def names(kind: Kind, region: str, profile: str) -> Mapping[str, str]:
    """Return :func:`at` without its reasons."""
    return MappingProxyType({name: sent.name for name, sent in at(kind, region, profile).items()})


def _at(model: _Model, kind: Kind, region: str, profile: str) -> Sent:
    match kind:
        case Kind.BEDROCK:
            return _at_bedrock(model, region, profile)
        case Kind.VERTEX:
            return Sent(model.vertex, "Google Cloud's name")
        case Kind.FOUNDRY:
            return Sent(model.foundry, "Foundry's usual name of a deployment")
        case _:
            return Sent("", "")


def _at_bedrock(model: _Model, region: str, profile: str) -> Sent:
    if profile == REGION_ALONE:
        return Sent(model.bedrock, "the region alone, as chosen")
    if profile:
        return Sent(f"{profile}.{model.bedrock}", f"the profile of {PROFILES[profile]}, as chosen")
    within = next((profiles for beginning, profiles in _GEOGRAPHIES if region.startswith(beginning)), ())
    there = next((one for one in within if one in model.profiles), "")
    if there:
        return Sent(f"{there}.{model.bedrock}", f"the profile of {PROFILES[there]}, by the region")
    return Sent(model.bedrock, f"the region alone: no profile within the geography of {region} is known")
