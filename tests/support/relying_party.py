"""A relying party on loopback that takes logout tokens and checks them as its specification says."""

import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs

from joserfc import jws, jwt
from joserfc.jwk import KeySet

EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
PATIENCE: Final = 60


@dataclass
class RelyingParty:
    """Keeps every token that came, in order.

    Attributes:
        status: what it answers, and ``location`` where that would lead.
        go_on: requests wait for it before they are answered.
        asked: every request, as method, path and header names in lower case.
    """

    port: int = 0
    status: int = 204
    location: str = ""
    go_on: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str, frozenset[str]]] = field(default_factory=list)
    tokens: "queue.Queue[str]" = field(default_factory=queue.Queue)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/logout?tenant=1"

    def next(self) -> str:
        """Return the next token, which may still be under way."""
        return self.tokens.get(timeout=PATIENCE)

    def all(self) -> list[str]:
        """Return the tokens that have come and were not looked at."""
        return [self.tokens.get() for _ in range(self.tokens.qsize())]


@contextmanager
def running(port: int = 0) -> Iterator[RelyingParty]:
    """Take tokens for the block; ``port`` is one that was used before, or any."""
    party = RelyingParty()
    party.go_on.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = parse_qs(body, strict_parsing=True)
            party.asked.append(("POST", self.path, frozenset(name.lower() for name in self.headers)))
            assert self.headers["content-type"] == "application/x-www-form-urlencoded"
            assert form.keys() == {"logout_token"}
            party.tokens.put(form["logout_token"][0])
            party.go_on.wait()
            try:
                self.send_response(party.status)
                if party.location:
                    self.send_header("location", party.location)
                self.send_header("cache-control", "no-store")
                self.end_headers()
            except OSError:
                pass  # who asked has gone

        def do_GET(self) -> None:
            party.asked.append(("GET", self.path, frozenset()))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    party.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield party
    finally:
        party.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True, slots=True)
class Session:
    """What a relying party knows of a sign-in of its own: the claims of the ID token that began it."""

    issuer: str
    client_id: str
    subject: str
    sid: str


def check(token: str, jwks: Mapping[str, Any], session: Session, now: float, seen: set[str]) -> dict[str, Any]:
    """Return the claims of a token that passes OpenID Connect Back-Channel Logout 1.0 section 2.6, step by step.

    Args:
        token: what came.
        jwks: the keys the issuer publishes.
        session: whose sign-in it should end.
        now: Unix seconds.
        seen: every ``jti`` so far; this one is added.
    """
    assert token.count(".") == 2, "1: it is signed and not encrypted"
    header = jws.extract_compact(token.encode()).headers()
    assert (header["alg"], header["typ"]) == ("ES256", "logout+jwt"), "2: as the client's ID tokens; never none"
    published = {key["kid"] for key in jwks["keys"]}
    assert header["kid"] in published
    claims = jwt.decode(token, KeySet.import_key_set({"keys": list(jwks["keys"])}), ["ES256"]).claims
    assert (claims["iss"], claims["aud"]) == (session.issuer, session.client_id), "3: as for an ID token"
    assert type(claims["iat"]) is int
    assert claims["iat"] <= now < claims["exp"] <= claims["iat"] + 120, "3: in time, and short"
    assert {"sub", "sid"} & claims.keys(), "4: it says who or which"
    assert claims["events"] == {EVENT: {}}, "5: it is a logout"
    assert "nonce" not in claims, "6: it is no ID token"
    assert claims["jti"] not in seen, "7: it was not seen before"
    seen.add(claims["jti"])
    assert (claims["sub"], claims["sid"]) == (session.subject, session.sid), "8, 9, 10: it is this sign-in"
    return dict(claims)
