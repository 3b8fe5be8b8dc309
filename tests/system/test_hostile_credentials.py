"""Credentials that nobody would issue, at the port of the real server over each real database (G-09).

Whatever stands where a credential belongs is refused as one that is not known: nothing of it reaches a statement as
anything but a value, nothing of it is repeated, and nobody else notices.
"""

import base64
import contextlib
import json
import re
import secrets
import socket
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from people import PATIENCE, Person
from postgres import cluster
from running import RunningServer

from keystead.wire.tokens import TokenKind, digest, mint

QUESTION: Final = json.dumps({"model": "keystead-test-1", "max_tokens": 9, "messages": []}).encode()
FORM: Final = "application/x-www-form-urlencoded"
JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
KNOWN: Final = mint(TokenKind.API_KEY, lambda size: b"\5" * size)
"""Well-formed, and of no server."""
CORPUS: Final = [
    *("' OR '1'='1", "' OR 1=1 --", '" OR ""="', "') OR ('1'='1", "'; DROP TABLE keys_apikey; --", "\\' OR 1=1 #"),
    *("' UNION SELECT digest, id FROM keys_apikey --", "' AND pg_sleep(60) --", "x'; SELECT randomblob(1e9); --"),
    *("1; ATTACH DATABASE '/tmp/x' AS x; --", "%' OR digest LIKE '%", "%s", "%(digest)s", "?", ":digest", "$1", "{0}"),
    *("${jndi:ldap://127.0.0.1/x}", "{{7*7}}", "<script>alert(1)</script>", "../../../../etc/passwd", "\\x00", "%00"),
    *("null", "None", "true", "undefined", "NaN", "-1", "0", "[]", "{}", '{"$ne": null}', "*", "(|(uid=*))"),
    *("ksk_", "ksk_" + "0" * 49, "ksk_" + "0" * 5_000, "ksk_' OR '1'='1", "ksk_%", "KSK_" + KNOWN[4:], KNOWN[:-1]),
    *(f"{KNOWN}' --", f"{KNOWN} {KNOWN}", f"{KNOWN},{KNOWN}", KNOWN, KNOWN.swapcase(), KNOWN[::-1]),
    *("ключ", "鍵", "🔑" * 50, "\u202eyek", "\ufeffksk_", "ksk_\u0130\u0131", "İ" * 60, "ÿ"),
    *("a" * 6_000, "eyJ" + "a" * 2_000 + ".e30.", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJrZXlfMSJ9.", "a.b.c", "..", "."),
]  # fmt: skip
RAW: Final = [
    b"a\0b",
    b"ksk_\0",
    b"\x7f",
    b"\x01\x02",
    b"\x1b[2J",
    b"\xff\xfe\xfd",
    b"a\rb",
    b"a\nx-api-key: b",
    b"\x80" * 60,
]


@dataclass
class Site:
    """A server, where its database rests, and a key that works."""

    server: RunningServer
    places: tuple[Path, ...]
    key: str
    person: Person

    @property
    def port(self) -> int:
        return urllib.parse.urlsplit(self.server.base).port or 0

    def send(self, method: str, path: str, lines: list[bytes], body: bytes = b"") -> tuple[int, bytes]:
        """Return the status and everything of the answer to one request of these bytes; 0 where there is none."""
        head = [f"{method} {path} HTTP/1.1".encode(), f"host: 127.0.0.1:{self.port}".encode(), b"connection: close"]
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            lines = [*head, *lines, b"content-length: %d" % len(body), b"", b""]
            connection.sendall(b"\r\n".join(lines) + body)
            raw = b""
            with contextlib.suppress(ConnectionResetError):
                while data := connection.recv(65_536):
                    raw += data
        return (int(raw.split(b" ", 2)[1]) if raw else 0), raw

    def works(self, key: str = "") -> bool:
        """Return whether a key, or the real one, is let in."""
        lines = [b"x-api-key: " + (key or self.key).encode(), b"content-type: application/json"]
        return self.send("POST", "/v1/messages", lines, QUESTION)[0] == 200


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home: Path = tmp_path_factory.mktemp("server")
    places: tuple[Path, ...] = (home,)
    with ExitStack() as stack:
        shared = {}
        if request.param == "postgresql":
            address = stack.enter_context(cluster()).create()
            shared = {"KEYSTEAD_SERVER_DATABASE_URL": address, "KEYSTEAD_SERVER_SECRET_KEY": secrets.token_hex(32)}
            places = (home, Path(address.rpartition("host=")[2]) / "data")
        server = stack.enter_context(RunningServer(home, shared))
        person = server.administrator()
        yield Site(server, places, person.create_key(), person)


GATEWAY: Final = [
    ("POST", "/v1/messages", QUESTION),
    ("POST", "/v1/messages/count_tokens", QUESTION),
    ("GET", "/v1/models", b""),
]
IN_THE_DATABASE: Final = [("GET", "/v1/organizations/spend_limits", b""), ("GET", "/scim/v2/Users", b"")]
"""Addresses whose credentials are looked up in the database at every request, not in the gateway's memory."""


def shown(credential: bytes) -> Iterator[list[bytes]]:
    """Yield the header lines in which a credential may come."""
    yield [b"x-api-key: " + credential]
    yield [b"authorization: Bearer " + credential]
    yield [b"authorization: Bearer " + credential, b"x-api-key: " + credential]


def refused(site: Site, method: str, path: str, lines: list[bytes], body: bytes = b"") -> None:
    """Check that a request is refused as a caller's mistake, without an echo and without a word of the database's."""
    status, raw = site.send(method, path, lines, body)
    assert 400 <= status < 500, (path, lines, raw[:500])
    for word in (b"sqlite", b"psycopg", b"syntax error", b"traceback", b"unterminated", b"operationalerror"):
        assert word not in raw.lower(), (path, lines)


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@pytest.mark.requirement("G-09 parameters")
def test_hostile_keys_are_not_known_and_harm_nobody(site: Site) -> None:
    for credential in [*map(as_bytes, CORPUS), *RAW]:
        for lines in shown(credential):
            for method, path, body in [*GATEWAY, *IN_THE_DATABASE]:
                refused(site, method, path, [*lines, b"content-type: application/json"], body)
    assert site.works()
    for word in ("Traceback", "OperationalError", "DataError", "ProgrammingError", "syntax error"):
        assert word not in site.server.output


@pytest.mark.requirement("G-09 parameters")
def test_hostile_secrets_are_not_known_to_the_token_endpoint_either(site: Site) -> None:
    for text in [*CORPUS, "a\0b", "ksr_\0"]:
        for path, form in [
            ("token", {"grant_type": "refresh_token", "refresh_token": text}),
            ("token", {"grant_type": "client_credentials", "client_id": text, "client_secret": text}),
            ("introspect", {"token": text, "client_id": "nobody", "client_secret": text}),
        ]:
            body = urllib.parse.urlencode(form).encode()
            refused(site, "POST", f"/oauth/{path}", [f"content-type: {FORM}".encode()], body)
        pair = base64.b64encode(as_bytes(f"{text}:{text}"))
        lines = [b"authorization: Basic " + pair, f"content-type: {FORM}".encode()]
        refused(site, "POST", "/oauth/token", lines, b"grant_type=client_credentials")
    for text in [*CORPUS, "a\0b", "\ud800", "\udfff"]:
        unsigned = ".".join(encoded({"alg": "ES256"}) + encoded(dict.fromkeys(("iss", "sub", "jti"), text)) + ["AAAA"])
        for form in [
            {"grant_type": "client_credentials", "client_assertion": unsigned, "client_assertion_type": ASSERTION_TYPE},
            {"grant_type": JWT_BEARER, "assertion": unsigned, "organization_id": str(UUID(int=1))},
        ]:
            body = urllib.parse.urlencode(form).encode()
            refused(site, "POST", "/oauth/token", [f"content-type: {FORM}".encode()], body)
    assert site.works()
    assert "Traceback" not in site.server.output


def encoded(part: dict[str, str]) -> list[str]:
    """Return a part of a JWT, in a list so that several can be put together."""
    return [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")]


@st.composite
def near_keys(draw: st.DrawFn) -> bytes:
    """Strategy for what looks like a key: one that is well-formed, changed in a few places."""
    text = bytearray(mint(TokenKind.API_KEY, lambda size: draw(st.binary(min_size=size, max_size=size))).encode())
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text) - 1))
        text[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    return bytes(text)


ANY_BYTES: Final = (
    st.binary(max_size=300) | near_keys() | st.text(max_size=100).map(lambda one: one.encode("utf-8", "replace"))
)


@pytest.mark.requirement("G-09 parameters")
@given(credential=ANY_BYTES, method_path_body=st.sampled_from([*GATEWAY, *IN_THE_DATABASE]), form=st.integers(0, 2))
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_where_a_key_belongs_let_anybody_in(
    site: Site, credential: bytes, method_path_body: tuple[str, str, bytes], form: int
) -> None:
    method, path, body = method_path_body
    lines = list(shown(credential.replace(b"\r\n", b"\n")))[form]
    refused(site, method, path, [*lines, b"content-type: application/json"], body)


def written(secret: str) -> Iterator[bytes]:
    """Yield the ways in which a secret could have been written down."""
    raw = secret.encode()
    yield raw
    yield raw[4:]  # without its prefix
    yield raw[8:-6]  # what is neither shown as its hint nor computed from the rest
    yield raw.hex().encode()
    yield base64.b64encode(raw)[:-4]
    yield "".join(reversed(secret)).encode()


@pytest.mark.requirement("G-09 hashes", "G-05 overlap")
def test_no_file_of_the_database_has_a_key(site: Site) -> None:
    """Neither one that was issued nor either secret of one that was rotated, nor what was refused."""
    old = site.person.create_key("rotated")
    new, refused_one = rotated(site.person), mint(TokenKind.API_KEY, secrets.token_bytes)
    assert all(site.works(key) for key in (site.key, old, new))
    for path in ("/v1/models", "/v1/organizations/spend_limits"):
        refused(site, "GET", path, [b"x-api-key: " + refused_one.encode()])
    files = [path for place in site.places for path in place.rglob("*") if path.is_file() and not path.is_socket()]
    content = {path: path.read_bytes() for path in files}
    for key in (site.key, old, new):
        assert any(digest(key) in data for data in content.values()), "what is stored instead was seen"
    for secret in (site.key, old, new, refused_one):
        found = [path.name for path, data in content.items() if any(form in data for form in written(secret))]
        assert found == []
        assert not [form for form in written(secret) if form.decode() in site.server.output]


def rotated(person: Person) -> str:
    """Return the new secret of the one key that is called so; the old one goes on for a day."""
    _, page = person.open(person.base + "/keys")
    link = re.search(r'href="(/keys/key_[0-9a-f]+/rotate)">Rotate<span class="hidden"> rotated<', page)
    assert link
    _, page = person.fill(*person.open(person.base + link[1]), {"overlap": "86400"})
    found = re.search(r"ksk_[0-9A-Za-z]{40,}", page)
    assert found
    return found[0]
