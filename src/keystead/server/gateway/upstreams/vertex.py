"""Google Cloud (Vertex): model, project and region in the path; the answer is in Messages form but for errors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from keystead.errors import ConfigurationError
from keystead.server.gateway.request_head import RequestHead
from keystead.server.gateway.upstreams import foreign
from keystead.server.gateway.upstreams.foreign import Errors
from keystead.wire.model_scan import RequestFacts, renamed

if TYPE_CHECKING:
    from keystead.server.gateway.upstream import Listener, Pool

VERSION: Final = "vertex-2023-10-16"
_COUNTER: Final = "count-tokens"
"""The "model" that counts tokens; the one that they are counted for stays in the body."""
_DROPPED: Final = frozenset({b"anthropic-version"})
_REPLACED: Final = frozenset({"anthropic_version"})


def prepare(pool: "Pool", head: RequestHead, facts: RequestFacts, body: bytes) -> Sequence[bytes]:
    """Return the request as Google takes it; raises like :data:`~.adapter.Prepare`.

    Raises:
        ConfigurationError: the upstream has no project or region.
    """
    upstream, model = pool.upstream, foreign.model_in_path(pool, head, facts)
    if not upstream.project or not upstream.region:
        raise ConfigurationError(
            f"The upstream {upstream.name!r} has no {'region' if upstream.project else 'project'}.",
            hint="Enter it on its page.",
            move="administrator",
        )
    first = {"anthropic_version": foreign.version_of(pool, head) or VERSION}
    if head.metered:
        action = "streamRawPredict" if facts.stream else "rawPredict"
        called, body = quote(model, safe="@"), foreign.body_with(body, _REPLACED | {"model"}, first)
    else:
        called, action = _COUNTER, "rawPredict"
        body = foreign.body_with(renamed(body, model) if model != facts.model else body, _REPLACED, first)
    place = f"/projects/{quote(upstream.project, safe=':')}/locations/{upstream.region}"
    return foreign.request(pool, head, f"{place}/publishers/anthropic/models/{called}:{action}", body, _DROPPED)


class Answer(Errors):
    """Passes the answer on; Google's own errors are put into the envelope."""

    __slots__ = ()

    def __init__(self, asked: "Listener", _head: RequestHead, _facts: RequestFacts) -> None:
        super().__init__(asked)
