"""Everything of the gateway that is not relayed raw: one table of paths, as a small ASGI application."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from keystead.server.gateway import listing, otlp, request_head, standing
from keystead.server.gateway.caller import Caller, of_request, unavailable
from keystead.server.gateway.ports import DirectoryUnavailable
from keystead.server.gateway.refusals import JSON, Refusal, envelope, response_headers
from keystead.server.gateway.request_head import RequestHead
from keystead.server.gateway.routes import ROUTES
from keystead.wire import limits

if TYPE_CHECKING:
    from keystead.server.gateway import Gateway

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_PLAIN: Final = "text/plain; charset=utf-8"


class Page:
    """What to send: status, headers, body."""

    def __init__(self, body: bytes, content_type: str, *headers: tuple[str, str], status: int = 200) -> None:
        self.status = status
        self.body = body
        self.headers = [("content-type", content_type), ("content-length", str(len(body))), *headers]

    def unchanged(self) -> "Page":
        """Return the answer to a client that has this one already (RFC 9110 section 15.4.5)."""
        self.status, self.body = 304, b""
        self.headers = [header for header in self.headers if not header[0].startswith("content-")]
        return self


_OTHERWISE: Final = ("/v1/oauth/token", "/v1/organizations/spend_limits")
"""Addresses among the gateway's that are the control plane's, with all below: workload identities, and limits."""


Handler = Callable[[Scope, Receive], Awaitable[Page]]


class Pages:
    """The ASGI application; ``otherwise`` answers what is not the gateway's."""

    def __init__(self, gateway: "Gateway", otherwise: ASGIApp | None) -> None:
        self._gateway = gateway
        self._otherwise = otherwise
        self._table: dict[tuple[str, str], Handler] = {
            ("GET", "/healthz"): self._healthz,
            ("GET", "/readyz"): self._readyz,
            ("GET", "/protocol"): self._protocol,
            ("GET", "/v1/models"): self._models,
            ("GET", limits.PATH): self._limits,
            ("GET", "/managed/settings"): self._settings,
            **{("POST", path): self._telemetry for path in otlp.SIGNALS},
            ("HEAD", "/"): self._hello,
            ("HEAD", "/api/hello"): self._hello,
        }

    @property
    def addresses(self) -> frozenset[tuple[str, str]]:
        """What is answered here: methods and paths."""
        return frozenset(self._table)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._find(scope) if scope["type"] == "http" else None
        if handler is None:
            if self._otherwise is not None:
                await self._otherwise(scope, receive, send)
            return
        request_id = self._gateway.request_id()
        try:
            page = await handler(scope, receive)
        except Refusal as refusal:
            self._gateway.note(request_id, refusal)
            page = _refused(refusal, request_id)
        headers = page.headers if page.status >= 400 else [*page.headers, ("x-request-id", request_id)]
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": page.status, "headers": encoded})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else page.body})

    def _find(self, scope: Scope) -> Handler | None:
        """Return the handler, or None when somebody else answers."""
        method, path = scope["method"], scope["path"]
        handler = self._table.get((method, path))
        if handler is None and method == "HEAD" and path != "/":
            handler = self._table.get(("GET", path))
        if handler is None and any(path == known and path != "/" for _, known in self._table):
            return self._wrong_method
        if handler is None and (
            (path.startswith("/v1/") and not path.startswith(_OTHERWISE)) or self._otherwise is None
        ):
            return self._unknown
        return handler

    async def _healthz(self, _scope: Scope, _receive: Receive) -> Page:
        return Page(b"ok", _PLAIN, ("cache-control", "no-store"))

    async def _readyz(self, _scope: Scope, _receive: Receive) -> Page:
        missing = await self._gateway.ready()
        if missing is not None:
            return Page(missing.encode(), _PLAIN, ("cache-control", "no-store"), ("retry-after", "5"), status=503)
        return Page(b"ready" + self._gateway.remark().encode(), _PLAIN, ("cache-control", "no-store"))

    async def _protocol(self, _scope: Scope, _receive: Receive) -> Page:
        return Page(files(__package__).joinpath("protocol.md").read_bytes(), "text/markdown; charset=utf-8")

    async def _hello(self, _scope: Scope, _receive: Receive) -> Page:
        return Page(b"", _PLAIN)

    async def _settings(self, scope: Scope, _receive: Receive) -> Page:
        """Deliver the caller's policy (S-19); no policy is 404, an empty one is 200."""
        caller, _ = self._authenticate(scope)
        try:
            delivery = await self._gateway.managed_settings(caller.principal)
        except DirectoryUnavailable as error:
            raise unavailable(str(error)) from error
        if delivery is None:
            raise Refusal(404, "No managed settings apply to you: no policy of your organization is for you.")
        page = Page(delivery.body, JSON, ("etag", f'"{delivery.checksum}"'), ("cache-control", "private, no-cache"))
        known = (value.decode("latin-1") for name, value in scope["headers"] if name == b"if-none-match")
        return page.unchanged() if any(_names(one, delivery.checksum) for one in known) else page

    async def _models(self, scope: Scope, _receive: Receive) -> Page:
        """Give the models of the caller's upstreams, narrowed to the caller's."""
        caller, head = self._authenticate(scope)
        request_head.check_address(scope["query_string"])  # it goes to the upstream
        status, body = await listing.of_caller(self._gateway, caller.principal, head, scope["query_string"])
        return Page(body, JSON, status=status)

    async def _limits(self, scope: Scope, _receive: Receive) -> Page:
        """Say what is left of the caller's limits; every request changes it, so nobody keeps it."""
        caller, _ = self._authenticate(scope)
        warning = (("x-keystead-warning", caller.warning),) if caller.warning else ()
        body = standing.of_caller(self._gateway, caller.principal)
        return Page(body, JSON, ("cache-control", "no-store"), *warning)

    async def _telemetry(self, scope: Scope, receive: Receive) -> Page:
        """Take telemetry of a caller who is known, and say that it was taken."""
        headers = scope["headers"]
        caller, _ = self._authenticate({**scope, "headers": otlp.without_encoding(headers)})
        telemetry = await otlp.telemetry(scope["path"], headers, receive)
        if telemetry is not None:
            self._gateway.collectors(caller.principal, telemetry)
        return Page(b"", otlp.PROTOBUF) if otlp.is_protobuf(headers) else Page(b"{}", JSON)

    async def _wrong_method(self, scope: Scope, _receive: Receive) -> Page:
        allowed = [method for method, path in self._table if path == scope["path"]]
        raise Refusal(405, f"Only {', '.join(allowed)} is supported at this address.", ("allow", ", ".join(allowed)))

    async def _unknown(self, _scope: Scope, _receive: Receive) -> Page:
        known = sorted({path for _, path in self._table if path.startswith("/v1/")} | {p.decode() for p in ROUTES})
        raise Refusal(404, f"The gateway does not know this address. It has {', '.join(known)}.")

    def _authenticate(self, scope: Scope) -> tuple[Caller, RequestHead]:
        """Return who calls, and the request's headers."""
        head = request_head.sort(scope["headers"])
        line = (scope["method"].encode(), scope["path"].encode())
        return of_request(self._gateway, head.read, line, self._gateway.clock.now()), head


def _names(if_none_match: str, checksum: str) -> bool:
    """Return whether the header names this version (RFC 9110 section 13.1.2); a bare checksum is understood too."""
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in if_none_match.split(",")}
    return bool(tags & {checksum, "*"})


def _refused(refusal: Refusal, request_id: str) -> Page:
    body = json.dumps(envelope(refusal, request_id)).encode()
    page = Page(body, JSON, status=refusal.status)
    page.headers = response_headers(refusal, request_id, len(body))
    return page
