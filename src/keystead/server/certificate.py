"""The server's own TLS: a certificate from files, taken anew when they change, without a restart.

A new handshake gets the context that was loaded last; connections that are open keep theirs. Files that do not fit are
refused at the start, and later leave the one before in force.
"""

import logging
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from keystead.errors import ConfigurationError
from keystead.server.settings import ServerSettings

EXPIRES_SOON: Final = timedelta(days=14)
_AGAIN: Final = 86400.0
"""Seconds between two warnings of the same certificate."""
_LOG: Final = logging.getLogger("keystead.server")
_Seen = tuple[tuple[int, int, int], ...]


class Certificate:
    """What TLS connections are opened with.

    Attributes:
        context: for the listener; it asks for the newest one at each handshake.

    Raises:
        ConfigurationError: the files cannot be read, do not belong together, or the certificate has ended.
    """

    def __init__(self, certificate: Path, key: Path, now: float) -> None:
        self._certificate = certificate
        self._key = key
        self._seen = self._stamp()
        self._newest, self._ends = self._load(now)
        self._warned = 0.0
        self.context = _context()
        self.context.load_cert_chain(certificate, key)
        self.context.sni_callback = self._choose

    def refresh(self, now: float) -> None:
        """Take the files anew when they have changed, and warn once a day of a certificate that ends soon."""
        seen = self._stamp()
        if seen != self._seen:
            self._seen = seen
            try:
                self._newest, self._ends = self._load(now)
            except ConfigurationError as error:
                _LOG.error("the certificate of before stays in force: %s", error.message)
            else:
                _LOG.info("a new certificate is in force, until %s", self._ends.date())
        self._warn(now)

    def _warn(self, now: float) -> None:
        if self._ends - datetime.fromtimestamp(now, UTC) < EXPIRES_SOON and now - self._warned >= _AGAIN:
            self._warned = now
            _LOG.warning("the certificate %s ends on %s; renew it", self._certificate, self._ends.date())

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._newest

    def _load(self, now: float) -> tuple[ssl.SSLContext, datetime]:
        context = _context()
        try:
            context.load_cert_chain(self._certificate, self._key, password=lambda: "")
            ends = x509.load_pem_x509_certificate(self._certificate.read_bytes()).not_valid_after_utc
        except ssl.SSLError as error:
            why = "the key does not belong to the certificate" if "MISMATCH" in str(error) else "it is not a PEM file"
            raise _unusable(f"{self._certificate} with {self._key}: {why}, or the key has a passphrase") from error
        except (OSError, ValueError) as error:
            raise _unusable(f"{self._certificate} with {self._key}: {getattr(error, 'strerror', error)}") from error
        if ends <= datetime.fromtimestamp(now, UTC):
            raise _unusable(f"the certificate {self._certificate} ended on {ends.date()}")
        return context, ends

    def _stamp(self) -> _Seen:
        """Return what tells whether the files have changed; a file that is gone changes too."""
        stamps = []
        for path in (self._certificate, self._key):
            try:
                status = path.stat()
                stamps.append((status.st_ino, status.st_mtime_ns, status.st_size))
            except OSError:
                stamps.append((0, 0, 0))
        return tuple(stamps)


def of(settings: ServerSettings, now: float) -> Certificate | None:
    """Return the certificate that the settings name; None where TLS is somebody else's.

    Raises:
        ConfigurationError: one of the two settings is missing, or as :class:`Certificate`.
    """
    given = {"KEYSTEAD_SERVER_TLS_CERTIFICATE": settings.tls_certificate, "KEYSTEAD_SERVER_TLS_KEY": settings.tls_key}
    missing = [name for name, value in given.items() if not value]
    if len(missing) == len(given):
        return None
    if missing:
        raise _unusable(f"{missing[0]} is not set, and TLS needs both")
    return Certificate(Path(settings.tls_certificate), Path(settings.tls_key), now)


def _context() -> ssl.SSLContext:
    """Return TLS 1.2 and newer, with Python's choice of ciphers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _unusable(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"TLS cannot begin: {why}.",
        hint="Correct KEYSTEAD_SERVER_TLS_CERTIFICATE and KEYSTEAD_SERVER_TLS_KEY; they name PEM files.",
        move="operator",
    )
