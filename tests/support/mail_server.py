"""A mail server on loopback, as far as a client of RFC 5321 can tell: STARTTLS, TLS, a password, and refusals."""

import base64
import datetime as dt
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.x509 import GeneralName

USER: Final = "keystead"
PASSWORD: Final = "canary-mail-password"


@dataclass
class MailServer:
    """What it offers and refuses, and what it was handed.

    Attributes:
        tls: the context for STARTTLS, or from the beginning when ``implicit``.
        refuse: answers by the command's word, such as ``{"RCPT": "550 no such person"}``.
        times: how often each refusal is given before the command works; for ever without one.
        taken: sender, recipient and text of each message.
        heard: every line a client sent, to see what it never says.
    """

    tls: ssl.SSLContext | None = None
    implicit: bool = False
    offers_starttls: bool = True
    refuse: dict[str, str] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    taken: list[tuple[str, str, str]] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    was_encrypted: list[bool] = field(default_factory=list)
    port: int = 0


class Conversation:
    """One client, from the greeting to its leaving."""

    def __init__(self, server: MailServer, client: socket.socket) -> None:
        self.server = server
        self.client = client
        self.encrypted = False
        self.sender = self.recipient = ""
        if server.implicit:
            self._encrypt()
        self.lines = self.client.makefile("rb")

    def run(self) -> None:
        self.say("220 loopback ready")
        while line := self.lines.readline():
            said = line.decode("ascii", "replace").rstrip("\r\n")
            self.server.heard.append(said)
            word = said.split(" ")[0].upper()
            if not self._refused(word):
                getattr(self, f"on_{word.lower()}", self.on_anything_else)(said)

    def close(self) -> None:
        self.lines.close()
        self.client.close()

    def say(self, text: str) -> None:
        self.client.sendall(text.encode() + b"\r\n")

    def on_ehlo(self, _said: str) -> None:
        more = ["250-STARTTLS"] if self.server.offers_starttls and not self.encrypted else []
        for line in ["250-loopback", *more, "250 AUTH PLAIN"]:
            self.say(line)

    def on_starttls(self, _said: str) -> None:
        self.say("220 go ahead")
        self.lines.close()
        self._encrypt()
        self.lines = self.client.makefile("rb")

    def on_auth(self, said: str) -> None:
        given = base64.b64decode(said.split(" ")[2]).decode().split("\0")
        self.say("235 welcome" if given[1:] == [USER, PASSWORD] else "535 no")

    def on_mail(self, said: str) -> None:
        self.sender = said.partition(":")[2]
        self.say("250 ok")

    def on_rcpt(self, said: str) -> None:
        self.recipient = said.partition(":")[2]
        self.say("250 ok")

    def on_data(self, _said: str) -> None:
        self.say("354 go on")
        text = b"".join(iter(self.lines.readline, b".\r\n")).decode()
        self.server.taken.append((self.sender, self.recipient, text))
        self.server.was_encrypted.append(self.encrypted)
        self.say("250 taken")

    def on_quit(self, _said: str) -> None:
        self.say("221 bye")

    def on_anything_else(self, _said: str) -> None:
        self.say("502 what?")

    def _encrypt(self) -> None:
        assert self.server.tls is not None
        self.client = self.server.tls.wrap_socket(self.client, server_side=True)
        self.encrypted = True

    def _refused(self, word: str) -> bool:
        server = self.server
        if word not in server.refuse or server.times.get(word, 1) == 0:
            return False
        if word in server.times:
            server.times[word] -= 1
        self.say(server.refuse[word])
        return True


@contextmanager
def serving(server: MailServer) -> Iterator[MailServer]:
    """Listen for the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.port = listener.getsockname()[1]
        thread = threading.Thread(target=_accept, args=(listener, server), daemon=True)
        thread.start()
        yield server
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def _accept(listener: socket.socket, server: MailServer) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        client.settimeout(10)
        with client, suppress(OSError), closing(Conversation(server, client)) as conversation:
            conversation.run()


def certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, Path]:
    """Return a server's context with a certificate of its own authority for ``names``, and that authority's file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    begin = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin.replace(year=2090))
        .add_extension(x509.SubjectAlternativeName([_name(one) for one in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "mail.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    authority = folder / "authority.pem"
    authority.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    return context, authority


def _name(text: str) -> "GeneralName":
    from cryptography import x509

    return x509.IPAddress(ip_address(text)) if text[0].isdigit() else x509.DNSName(text)
