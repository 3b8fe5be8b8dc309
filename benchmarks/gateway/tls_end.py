"""An upstream behind TLS, as every vendor's is: nginx in front of the fake one, with a certificate for this run."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.gateway.subjects import nginx_places
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "localhost"


def certificate(directory: Path) -> Path:
    """Write a certificate that is its own authority, with its key; returns where it is."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    names = [x509.DNSName(HOST), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    place = directory / "authority.pem"
    place.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (directory / "authority.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
    return place


def command(directory: Path, authority: Path, port: int, upstream: int) -> list[str]:
    """Return how to start what takes TLS off in front of ``upstream``."""
    configuration = directory / "tls.conf"
    configuration.write_text(f"""
daemon off; worker_processes 1; pid {directory}/tls.pid; error_log {directory}/tls.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_buffer_size 1m;
  {nginx_places(directory)}
  upstream api {{ server 127.0.0.1:{upstream}; keepalive 2048; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} ssl; ssl_certificate {authority}; ssl_certificate_key {authority.with_suffix(".key")};
    location / {{
      proxy_pass http://api; proxy_http_version 1.1; proxy_buffering off; proxy_set_header Connection "";
    }}
  }}
}}
""")
    return ["nginx", "-c", str(configuration), "-e", str(directory / "tls.log")]
