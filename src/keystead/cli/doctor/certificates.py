"""Whether the certificate variables name files that hold certificates (R-13)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from keystead.cli.doctor.finding import Finding, Ground, Weight
from keystead.drivers.certificates import BESIDE, CLIENT

FILES: Final = ("SSL_CERT_FILE", *BESIDE)


def look(ground: Ground) -> Iterator[Finding]:
    """Load each file as a client would."""
    variables = ground.environment.variables
    named = {name: value for name in FILES if (value := variables.get(name))}
    for name, value in named.items():
        yield from _file(name, ground.environment.cwd / value)
    directory = variables.get("SSL_CERT_DIR")
    if directory and not (ground.environment.cwd / directory).is_dir():
        yield Finding(
            Weight.PROBLEM, "SSL_CERT_DIR names no directory", "SSL_CERT_DIR", "Correct it, or unset SSL_CERT_DIR."
        )
    yield from _own(ground)


def _own(ground: Ground) -> Iterator[Finding]:
    """Load what this machine shows to a server that asks for a certificate (mutual TLS)."""
    import ssl

    certificate, key, passphrase = (ground.environment.variables.get(name) or None for name in CLIENT)
    if certificate is None:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, passphrase or "")
    except OSError:  # ssl.SSLError is one; its text may name the passphrase's file, so it is not shown
        yield Finding(
            Weight.PROBLEM, "certificate and key cannot be loaded together", CLIENT[0],
            f"Point {CLIENT[0]} and {CLIENT[1]} at a matching pair of PEM files.",
        )  # fmt: skip


def _file(name: str, path: Path) -> Iterator[Finding]:
    import ssl

    fix = f"Point {name} at a PEM file of certificates, or unset it."
    try:
        path.read_bytes()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        yield Finding(Weight.PROBLEM, f"{name} names {path}, which holds no certificates", name, fix)
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        yield Finding(Weight.PROBLEM, f"{name} names {path}, which cannot be read: {reason}", name, fix)
    else:
        if not context.get_ca_certs():
            yield Finding(Weight.PROBLEM, f"{name} names {path}, which holds no certificates", name, fix)
