"""Proxies, private authorities and client certificates, on real sockets with real TLS (R-13)."""

import base64
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from keystead.drivers.transport import HttpTransport
from keystead.errors import ConfigurationError, KeysteadError, ServerUnreachable
from keystead.secret import Secret
from keystead.wire.http import Request, Response

HOST = "keys.example.com"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@pytest.fixture(scope="session")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of a company's own authority, valid for the host and for loopback, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example Ltd"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Inspection"),
        ]
    )
    names = [x509.DNSName(HOST), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("authority") / "authority.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@dataclass
class Hop:
    """Something on the way that speaks TLS: a server, or a proxy that inspects.

    Attributes:
        heads: every request head it could read, the one to the proxy included.
    """

    url: str
    heads: list[str] = field(default_factory=list)


def read_head(connection: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data and (chunk := connection.recv(65536)):
        data += chunk
    return data.decode()


def converse(connection: socket.socket, hop: Hop, context: ssl.SSLContext | None, login: str | None) -> None:
    if login is not None:
        head = read_head(connection)
        hop.heads.append(head)
        if login and f"Basic {base64.b64encode(login.encode()).decode()}" not in head:
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    with context.wrap_socket(connection, server_side=True) if context else connection as secured:
        hop.heads.append(read_head(secured))
        secured.sendall(ANSWER)


@contextmanager
def hop(context: ssl.SSLContext, login: str | None = None) -> Iterator[Hop]:
    """Serve TLS; with ``login`` as a proxy, which asks for that name and password unless it is empty."""
    listener = socket.create_server(("127.0.0.1", 0))
    scheme = "https" if login is None else "http"
    state = Hop(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):  # the client may hang up when it does not trust us
                converse(connection, state, context, login)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.fixture
def context(pem: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def send(url: str, **variables: str) -> Response:
    return HttpTransport(variables=variables).send(Request("GET", url, {"x-api-key": Secret("canary")}))


def failure(kind: type[KeysteadError], url: str, **variables: str) -> KeysteadError:
    with pytest.raises(kind) as caught:
        send(url, **variables)
    assert caught.value.hint
    assert "canary" not in caught.value.message + caught.value.hint
    return caught.value


@pytest.mark.requirement("R-13 authorities")
@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"])
def test_a_private_authority_is_trusted_by_any_of_the_variables(name: str, pem: Path, context: ssl.SSLContext) -> None:
    with hop(context) as server:
        assert send(server.url, **{name: str(pem)}).body == b"ok"


@pytest.mark.requirement("R-13 authorities")
def test_an_authority_that_is_not_trusted_is_named_and_gets_nothing(context: ssl.SSLContext) -> None:
    with hop(context) as server:
        error = failure(ServerUnreachable, server.url)

    assert "issued by Example Ltd, Inspection" in error.message
    assert "self-signed" in error.message
    assert "NODE_EXTRA_CA_CERTS" in (error.hint or "")
    assert "canary" not in str(server.heads)


@pytest.mark.requirement("R-13 proxies")
def test_an_inspecting_proxy_is_gone_through_and_its_authority_trusted(pem: Path, context: ssl.SSLContext) -> None:
    with hop(context, login="") as proxy:
        answer = send(f"https://{HOST}/", HTTPS_PROXY=proxy.url, NODE_EXTRA_CA_CERTS=str(pem))

    assert answer.body == b"ok"
    assert proxy.heads[0].startswith(f"CONNECT {HOST}:443 ")
    assert "canary" not in proxy.heads[0], "the credential is inside the TLS, not in the request to the proxy"
    assert "canary" in proxy.heads[1]


@pytest.mark.requirement("R-13 proxies")
def test_an_inspecting_proxy_that_is_not_trusted_is_the_hop_that_is_named(context: ssl.SSLContext) -> None:
    with hop(context, login="") as proxy:
        error = failure(ServerUnreachable, f"https://{HOST}/", HTTPS_PROXY=proxy.url)

    assert f"{proxy.url} (HTTPS_PROXY)" in error.message
    assert "canary" not in str(proxy.heads)


@pytest.mark.requirement("R-13 proxies")
def test_a_proxy_that_wants_a_password(pem: Path, context: ssl.SSLContext) -> None:
    with hop(context, login="ada:secret") as proxy:
        address = proxy.url.replace("://", "://ada:secret@")
        assert send(f"https://{HOST}/", HTTPS_PROXY=address, SSL_CERT_FILE=str(pem)).body == b"ok"
        error = failure(ServerUnreachable, f"https://{HOST}/", HTTPS_PROXY=proxy.url, SSL_CERT_FILE=str(pem))

    assert "407" in error.message
    assert error.move == "you"


@pytest.mark.requirement("R-13 proxies")
def test_a_proxy_that_is_down_is_the_hop_that_is_named() -> None:
    error = failure(ServerUnreachable, f"https://{HOST}/", ALL_PROXY="http://ada:canary@127.0.0.1:1")

    assert "The proxy http://127.0.0.1:1 (ALL_PROXY)" in error.message


@pytest.mark.requirement("R-13 proxies")
def test_a_proxy_address_that_is_none_is_named() -> None:
    assert "HTTPS_PROXY" in failure(ConfigurationError, f"https://{HOST}/", HTTPS_PROXY="ftp://x").message


@pytest.mark.requirement("R-13 proxies")
def test_a_socks_proxy_without_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    error = failure(ConfigurationError, f"https://{HOST}/", ALL_PROXY="socks5://127.0.0.1:1")

    assert "ALL_PROXY names a SOCKS proxy" in error.message


@pytest.mark.requirement("R-13 authorities")
@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "CLAUDE_CODE_CLIENT_CERT"])
@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_a_certificate_file_that_cannot_be_used_is_named(name: str, content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "file.pem"
    if content is not None:
        path.write_text(content)

    assert name in failure(ConfigurationError, "https://127.0.0.1:1/", **{name: str(path)}).message


@pytest.mark.requirement("R-13 authorities")
def test_a_server_that_asks_for_a_certificate_gets_this_machines(pem: Path, context: ssl.SSLContext) -> None:
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(pem)
    with hop(context) as server:
        assert send(server.url, SSL_CERT_FILE=str(pem), CLAUDE_CODE_CLIENT_CERT=str(pem)).body == b"ok"
        failure(KeysteadError, server.url, SSL_CERT_FILE=str(pem))
