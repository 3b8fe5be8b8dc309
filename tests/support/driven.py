"""What clients of others asked of the server: by which library, which grant at which endpoint, and what came of it.

:data:`GRANTS` and :data:`ENDPOINTS` say which peer (``tests/peers/NAME.mjs``) drives what, with both libraries. Each
peer's test holds its rows against what really arrived; one test holds the tables against the server's own.
"""

import json
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

LIBRARIES: Final = ("oauth4webapi", "openid-client")

GRANTS: Final = {
    "authorization_code": "person",
    "refresh_token": "person",
    "client_credentials": "grants",
    "urn:ietf:params:oauth:grant-type:jwt-bearer": "grants",
    "urn:ietf:params:oauth:grant-type:token-exchange": "grants",
    "urn:ietf:params:oauth:grant-type:device_code": "device",
}
"""By ``grant_type``; each of them is also driven with a signed request and a nonce (DPoP, RFC 9449)."""

ENDPOINTS: Final = {
    "pushed_authorization_request_endpoint": "person",
    "userinfo_endpoint": "person",
    "revocation_endpoint": "grants",
    "introspection_endpoint": "grants",
    "device_authorization_endpoint": "device",
    "registration_endpoint": "registration",
}
"""By their names in the metadata; those of grants, and those that a browser or a key reader asks, are left out."""


class Asked(NamedTuple):
    """One request; ``grant`` is its ``grant_type`` or empty, ``signed`` whether it brought a DPoP proof."""

    library: str
    path: str
    grant: str
    signed: bool
    status: int
    error: str


class Recorder:
    """Stands between a WSGI server and its application, and keeps what went through."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def around(self, application: Callable[..., Any]) -> Callable[..., Iterable[bytes]]:
        """Return the application with the recorder before it."""

        def recorded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = BytesIO(body)
            lines: list[str] = []

            def start(line: str, *more: Any) -> Any:
                lines.append(line)
                return start_response(line, *more)

            answer = application(environ, start)
            try:
                parts = list(answer)
            finally:
                answer.close()
            self._keep(environ, body, lines[-1], b"".join(parts))
            return parts

        return recorded

    def _keep(self, environ: dict[str, Any], body: bytes, line: str, said: bytes) -> None:
        library = environ.get("HTTP_USER_AGENT", "").partition("/")[0]
        grant = parse_qs(body.decode("latin-1")).get("grant_type", [""])[0]
        error = json.loads(said).get("error", "") if said.startswith(b"{") else ""
        self.asked.append(Asked(library, environ["PATH_INFO"], grant, "HTTP_DPOP" in environ, int(line[:3]), error))

    def grants(self, *, signed: bool) -> set[tuple[str, str]]:
        """Return which library was given tokens for which grant."""
        return {
            (one.library, one.grant) for one in self.asked if one.grant and one.status == 200 and one.signed is signed
        }

    def asked_for_nonce(self) -> set[tuple[str, str]]:
        """Return which library was told which nonce to sign, for which grant."""
        return {(one.library, one.grant) for one in self.asked if one.error == "use_dpop_nonce"}

    def paths(self) -> set[tuple[str, str]]:
        """Return which library was answered well at which path."""
        return {(one.library, one.path) for one in self.asked if one.status in {200, 201}}


def check(recorder: Recorder, peer: str, libraries: Iterable[str] = LIBRARIES) -> None:
    """Hold the rows of ``peer`` against what it asked: every grant, signed with a nonce, and every endpoint."""
    from keystead.server.authorization.metadata import document

    wanted = {(library, grant) for library in libraries for grant, by in GRANTS.items() if by == peer}
    assert wanted <= recorder.grants(signed=True), "each grant with a signed request"
    named = document("", registration=True)
    paths = {(library, named[name]) for library in libraries for name, by in ENDPOINTS.items() if by == peer}
    assert paths <= recorder.paths()
