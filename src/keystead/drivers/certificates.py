"""Which authorities are trusted, and which certificate this machine shows: from the variables everybody uses (R-13)."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from keystead.errors import ConfigurationError
from keystead.wire import x509

if TYPE_CHECKING:
    import ssl

INSTEAD: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Trusted in place of the system's authorities, as OpenSSL has it."""
BESIDE: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""Trusted beside them, so that one company certificate is set up once for all programs."""
CLIENT: Final = ("CLAUDE_CODE_CLIENT_CERT", "CLAUDE_CODE_CLIENT_KEY", "CLAUDE_CODE_CLIENT_KEY_PASSPHRASE")
"""What this machine shows to a server that asks (mutual TLS), as files of PEM."""
_PATIENCE: Final = 5.0


def replacement(variables: Mapping[str, str]) -> "ssl.SSLContext | None":
    """Return a context that trusts what the variables say instead of the system, or None when they say nothing.

    Raises:
        ConfigurationError: what they name cannot be used.
    """
    name = next((name for name in INSTEAD if variables.get(name)), None)
    if name is None:
        return None
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load(context, name, variables[name])
    return context


def extend(context: "ssl.SSLContext", variables: Mapping[str, str]) -> None:
    """Trust further authorities in ``context``, and give it this machine's own certificate.

    Raises:
        ConfigurationError: what a variable names cannot be used.
    """
    for name in BESIDE:
        if variables.get(name):
            _load(context, name, variables[name])
    certificate, key, passphrase = (variables.get(name) or None for name in CLIENT)
    if certificate is None:
        return
    try:
        context.load_cert_chain(certificate, key, passphrase or "")
    except OSError as error:  # ssl.SSLError is one
        raise _unusable(CLIENT[0] if key is None else f"{CLIENT[0]} with {CLIENT[1]}", error) from None


def _load(context: "ssl.SSLContext", name: str, value: str) -> None:
    path = Path(value)
    try:
        if path.is_dir():
            context.load_verify_locations(capath=value)
            return
        context.load_verify_locations(cafile=value)
    except OSError as error:  # ssl.SSLError is one
        raise _unusable(name, error) from None


def _unusable(name: str, error: OSError) -> ConfigurationError:
    import ssl

    reason = "it holds no usable certificates" if isinstance(error, ssl.SSLError) else (error.strerror or "").lower()
    return ConfigurationError(
        f"The file that {name} names cannot be used: {reason or 'it cannot be read'}.",
        hint="Point it at a PEM file, or unset it; keystead doctor --only certificates checks it.",
    )


def issuer(host: str, port: int) -> str | None:
    """Return who issued the certificate that ``host`` shows, without trusting it; None when that cannot be told."""
    import ssl

    try:
        pem = ssl.get_server_certificate((host, port), timeout=_PATIENCE)
        return x509.issuer(ssl.PEM_cert_to_DER_cert(pem))
    except (OSError, ValueError):
        return None
