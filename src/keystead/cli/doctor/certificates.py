"""Whether the certificate variables name files that hold certificates (R-13)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from keystead.cli.doctor.finding import Finding, Ground, Weight

FILES: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE")


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
    if named and "SSL_CERT_FILE" not in named:
        yield Finding(
            Weight.WARNING,
            f"{', '.join(named)} is set and SSL_CERT_FILE, which Keystead reads, is not",
            next(iter(named)),
            f'Run: export SSL_CERT_FILE="${next(iter(named))}"',
        )


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
