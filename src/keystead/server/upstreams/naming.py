"""What an upstream is sent for a model's name, and why: for pages and commands."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from keystead.server import cloud_names
from keystead.server.upstream_shape import Kind
from keystead.server.upstreams.models import Upstream

AS_IT_IS = "as it is"


class Named(NamedTuple):
    """One name.

    Attributes:
        name: that a client asks for.
        sent: that the upstream is sent.
        why: a part of a sentence.
    """

    name: str
    sent: str
    why: str


def of(upstream: Upstream, name: str) -> Named:
    """Return what becomes of one name; any text is one."""
    if name in upstream.model_names:
        return Named(name, upstream.model_names[name], "by your own names for models")
    known = _known(upstream).get(name)
    return Named(name, name, AS_IT_IS) if known is None else Named(name, known.name, known.why)


def all_of(upstream: Upstream) -> list[Named]:
    """Return every name that does not go as it is: the administrator's, then those that are known of its cloud."""
    return [of(upstream, name) for name in dict.fromkeys((*upstream.model_names, *_known(upstream)))]


def together(named: Iterable[Named]) -> list[tuple[list[str], str, str]]:
    """Return names that become the same for the same reason as one: a model's date and its alias."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in named:
        found.setdefault((one.sent, one.why), []).append(one.name)
    return [(names, sent, why) for (sent, why), names in found.items()]


def _known(upstream: Upstream) -> Mapping[str, cloud_names.Sent]:
    return cloud_names.at(Kind(upstream.kind), upstream.region, upstream.profile)
