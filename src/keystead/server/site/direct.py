"""The direct way to the endpoints that programs call most, past Django's own stack and to the same code.

Sessions, messages, forms and accounts mean nothing to these endpoints, and going through them cost as much as the
answer. What is not quite ordinary goes Django's way as before, so that there is one place for every odd case.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port, validate_host
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware

from keystead.server.authorization.metadata import FEDERATION_PATH, PATHS
from keystead.server.authorization.parameters import MAX_BYTES
from keystead.server.authorization.views import endpoints
from keystead.server.authorization.views.posted import Asked, Endpoint, Reply
from keystead.server.client_address import Proxies, Scope, of_scope, seen_from
from keystead.server.gateway.ports import Answered, Ask, Headers
from keystead.server.site.gathered import ASGIApp, Receive, Send, whole
from keystead.server.site.lanes import Lanes
from keystead.server.site.middleware import security_headers

_ROUTES: Final[Mapping[str, Endpoint]] = {
    f"/{PATHS['token_endpoint']}": endpoints.token,
    f"/{FEDERATION_PATH}": endpoints.token,
    f"/{PATHS['introspection_endpoint']}": endpoints.introspect,
    f"/{PATHS['revocation_endpoint']}": endpoints.revoke,
}
_TARGETS: Final = {path.encode(): (path, endpoint) for path, endpoint in _ROUTES.items()}
_READ: Final = frozenset(
    {b"authorization", b"content-length", b"content-type", b"dpop", b"expect", b"host", b"user-agent"}
)
_ODD: Final = frozenset({b"transfer-encoding", b"content-encoding", b"upgrade"})
_DIGITS: Final = len(str(MAX_BYTES))


class Direct:
    """The ASGI application: its own routes, and ``otherwise`` for everything else.

    Whole small requests to its routes come without ASGI (:meth:`quick`), to the same end.

    Args:
        otherwise: Django's whole stack.
        lanes: where the requests are answered.
        proxies: who may say where a request came from.
    """

    def __init__(self, otherwise: ASGIApp, lanes: Lanes, proxies: Proxies) -> None:
        self._otherwise = otherwise
        self._lanes = lanes
        self._proxies = proxies
        self._headers = _of_every_answer()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = _ROUTES.get(scope["path"])
        known = None if endpoint is None or scope["method"] != "POST" else _ordinary(scope["headers"])
        if endpoint is None or known is None:
            await self._otherwise(scope, receive, send)
            return
        body = await whole(receive, MAX_BYTES)
        if body is None:
            return  # whoever asked has gone
        reply = await self._lanes.reply(endpoint, _asked(scope["path"], known, of_scope(scope, self._proxies), body))
        await send({"type": "http.response.start", "status": reply.status, "headers": self._head(reply)})
        await send({"type": "http.response.body", "body": reply.body})

    def quick(self, target: bytes, headers: Headers, peer: str | None, size: int, /) -> Ask | None:
        """Return what answers this request without ASGI, as :class:`keystead.server.gateway.ports.Quick` says."""
        found = _TARGETS.get(target)
        known = None if found is None else _ordinary(headers)
        if found is None or known is None or int(known[b"content-length"]) != size or b"expect" in known:
            return None
        path, endpoint = found
        address = seen_from(peer, headers, self._proxies)

        def ask(body: bytes, tell: Callable[[Answered], None]) -> None:
            self._lanes.ask(endpoint, _asked(path, known, address, body), lambda reply: tell(self._answered(reply)))

        return ask

    def _answered(self, reply: Reply) -> Answered:
        lines = b"".join([b"%b: %b\r\n" % line for line in self._head(reply)])
        return Answered(reply.status, lines, reply.body)

    def _head(self, reply: Reply) -> list[tuple[bytes, bytes]]:
        own = {name.lower(): value for name, value in reply.headers.items()}
        every = {**self._headers, **own, "content-length": str(len(reply.body))}
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in every.items()]


def _of_every_answer() -> dict[str, str]:
    """Return the headers that Django's middleware gives every answer, as it gives them to an empty one."""
    chain = security_headers(cast("Any", SecurityMiddleware(XFrameOptionsMiddleware(lambda _: HttpResponse()))))
    return {name.lower(): value for name, value in chain(HttpRequest()).items()}


def _ordinary(headers: Headers) -> dict[bytes, str] | None:
    """Return the headers that count, or None when anything about the request's head is not ordinary.

    Each may stand once, the length must be said and be no more than an endpoint takes, and the host one of ours.
    """
    known: dict[bytes, str] = {}
    for name, value in headers:
        if name in _ODD or name in known:
            return None
        if name in _READ:
            known[name] = value.decode("latin-1")
    length = known.get(b"content-length", "")
    if not (length.isascii() and length.isdigit()) or len(length) > _DIGITS or int(length) > MAX_BYTES:
        return None
    return known if _is_ours(known.get(b"host", "")) else None


@lru_cache(maxsize=64)
def _is_ours(host: str) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def _asked(path: str, known: Mapping[bytes, str], address: str | None, body: bytes) -> Asked:
    return Asked(
        path=path,
        content_type=known.get(b"content-type", ""),
        authorization=known.get(b"authorization"),
        proof=known.get(b"dpop"),
        agent=known.get(b"user-agent", ""),
        address=address or "",
        body=body,
    )
