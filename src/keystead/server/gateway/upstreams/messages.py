"""Upstreams that speak the Messages API themselves: the body goes as it came."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from keystead.server.gateway.ports import Unsigned
from keystead.server.gateway.request_head import RequestHead
from keystead.server.gateway.upstreams import foreign
from keystead.wire import model_scan
from keystead.wire.model_scan import RequestFacts

if TYPE_CHECKING:
    from keystead.server.gateway.upstream import Pool

_SMALL: Final = 16_384


def prepare(pool: "Pool", head: RequestHead, facts: RequestFacts, body: bytes) -> Sequence[bytes]:
    """Return the request with the upstream's credential in place of the client's, and its name for the model."""
    model = facts.model if not pool.models and head.own is None else foreign.model_of(pool, head, facts)
    if model != facts.model:
        body = model_scan.renamed(body, model)
    lines, length = head.upstream_lines(pool), len(body)
    end = b"\r\n\r\n" if pool.credential.fixed is not None else _signature(pool, head, body)
    if length < _SMALL:  # one buffer costs less than a vector of two
        return (b"%b%d%b%b" % (lines, length, end, body),)
    return (b"%b%d%b" % (lines, length, end), body)


def _signature(pool: "Pool", head: RequestHead, body: bytes) -> bytes:
    """Return the end of the head where the credential's lines depend on the request."""
    unsigned = Unsigned(b"POST", pool.host, pool.prefix + head.target, head.headers_for(pool), body)
    return b"\r\n%b\r\n" % pool.credential.lines(unsigned)


def list_request(pool: "Pool", head: RequestHead, query: bytes) -> bytes:
    """Return the request for the upstream's list of models."""
    target = b"%b/v1/models%b" % (pool.prefix, b"?" + query if query else b"")
    passed = b"".join([b"%b: %b\r\n" % line for line in head.headers_for(pool, own=False)])
    unsigned = Unsigned(b"GET", pool.host, target, head.headers_for(pool), b"")
    credential = pool.credential.fixed
    if credential is None:
        credential = pool.credential.lines(unsigned)
    return b"GET %b HTTP/1.1\r\n%b%b%b\r\n" % (target, pool.head, credential, passed)
