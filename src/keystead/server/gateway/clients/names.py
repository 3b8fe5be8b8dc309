"""Which model is meant by a cloud's name for it."""

import re
from collections.abc import Sequence
from typing import Final

from keystead.server.gateway.ports import Kind, Upstream
from keystead.server.policy.model_versions import ARN, families_of

_ARN_OF_MODEL: Final = re.compile(r"arn:[^/]*:(?:inference-profile|foundation-model)/([^/]+)")
"""An ARN that ends in the id of a model that Amazon offers; other ARNs say nothing about the model behind them."""
_AMAZONS: Final = re.compile(r"(?:[a-z][a-z-]{1,9}\.)?anthropic\.(claude-[a-z0-9.-]*?)(?:-v[0-9]+(?::[0-9]+)?)?")
"""``us.anthropic.claude-sonnet-4-5-20250929-v1:0``: where it may run, the vendor, the model, Amazon's revision."""
_GOOGLES: Final = re.compile(r"(claude-[a-z0-9.-]+)@(?:([0-9]{8})|default|latest)")
"""``claude-sonnet-4-5@20250929``: the model and its release."""


def in_messages_form(own: str, kind: Kind, upstreams: Sequence[Upstream]) -> str:
    """Return what clients of the Messages API call the model that a client of a cloud calls ``own``.

    What an administrator wrote down about it comes first: that name itself, or the one that stands for it at an
    upstream of this cloud. After that it is what the cloud made of the vendor's name, taken back. A name that says
    nothing stays as it is.

    Args:
        own: the cloud's name.
        kind: which cloud's.
        upstreams: the caller's.
    """
    if any(own in upstream.models for upstream in upstreams):
        return own
    for upstream in upstreams:
        if upstream.kind is kind:
            for name, there in upstream.models.items():
                if there == own:
                    return name
    return vendors(own)


def is_opaque(own: str) -> bool:
    """Return whether a name is an ARN that does not say which model it stands for."""
    return own.startswith(ARN) and not families_of(own.lower())


def vendors(own: str) -> str:
    """Return the vendor's name in a cloud's name for a model, or that name when it is in none of the clouds' forms."""
    arn = _ARN_OF_MODEL.fullmatch(own)
    amazons = _AMAZONS.fullmatch(arn[1] if arn is not None else own)
    if amazons is not None:
        return amazons[1]
    googles = _GOOGLES.fullmatch(own)
    if googles is not None:
        return f"{googles[1]}-{googles[2]}" if googles[2] else googles[1]
    return own
