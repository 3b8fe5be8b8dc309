"""Variables that keep a cloud's SDK on loopback, whatever it looks for; and what clouds answer and check."""

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from local_server import Answer, Asked, LocalServer, local_server, make_certificate

from keystead.wire import event_stream, messages, sse
from keystead.wire.messages import Finished, Stopped, TextDelta

NOWHERE = {
    "PATH": os.defpath,
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "GCE_METADATA_HOST": "127.0.0.1:9",
    "GCE_METADATA_IP": "127.0.0.1:9",
    "AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://127.0.0.1:9",
}
"""Nothing listens on the discard port."""
AWS_KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "made-up-secret", "AWS_REGION": "eu-west-1"}


@contextmanager
def blackhole() -> Iterator[str]:
    """Give an address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def keystead(home: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run the client as a process of its own, with no way off loopback."""
    environment = {"HOME": str(home), **NOWHERE, **variables}
    program = "from keystead.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment, cwd=home, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


_CALLER = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    "<Arn>arn:aws:iam::111122223333:user/ada</Arn><UserId>AIDA</UserId><Account>111122223333</Account>"
    "</GetCallerIdentityResult></GetCallerIdentityResponse>"
)
CALLER = (200, "text/xml", _CALLER)
"""What STS answers about a caller."""

_EVENTS = [
    messages.dump_event(one) for one in (TextDelta("Hello"), TextDelta(" there."), Stopped("end_turn"), Finished())
]
STREAM = (200, "text/event-stream", b"".join(map(sse.dump, _EVENTS)))
"""What the Messages API streams, also on Vertex AI and Foundry."""
AMAZON_STREAM = (200, event_stream.CONTENT_TYPE, b"".join(map(event_stream.dump_event, _EVENTS)))
"""The same from Bedrock."""
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\w+)/\d{8}/([\w-]+)/([\w-]+)/aws4_request, "
    r"SignedHeaders=([\w;-]+), Signature=(\w{64})"
)


def signed_by(
    asked: Asked, scheme: str = "http", secret: str = AWS_KEYS["AWS_SECRET_ACCESS_KEY"], now: datetime | None = None
) -> tuple[str, str, str]:
    """Return access key, region and service of a request whose signature is right and new; everything else fails.

    The signature is made again by botocore from what arrived.

    Args:
        asked: what arrived.
        scheme: by which it did.
        secret: of whoever is to have signed it.
        now: when it arrived; Amazon takes what was signed at most five minutes before or after that.
    """
    found = _AUTHORIZATION.fullmatch(asked.headers["authorization"])
    assert found is not None, "not signed"
    access_key, region, service, names, signature = found.groups()
    assert asked.headers["x-amz-content-sha256"] == hashlib.sha256(asked.body.encode()).hexdigest()
    headers = {name: asked.headers[name] for name in names.split(";")}
    assert {"host", "x-amz-content-sha256", "x-amz-date"} <= headers.keys()
    request = AWSRequest(method=asked.method, url=f"{scheme}://{headers['host']}{asked.path}", headers=headers)
    request.context["timestamp"] = headers["x-amz-date"]
    signed_at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs((now or datetime.now(UTC)) - signed_at) < timedelta(minutes=5), "signed at another time"
    token = asked.headers.get("x-amz-security-token")
    assert (token is None) == ("x-amz-security-token" not in headers), "the session token is not signed"
    signer = SigV4Auth(Credentials(access_key, secret, token), service, region)
    canonical = signer.canonical_request(request)
    assert signer.signature(signer.string_to_sign(request, canonical), request) == signature, "another signature"
    return access_key, region, service


def service_account(root: Path, token_uri: str, project: str | None = "key-project") -> str:
    """Write the key of a Google service account whose tokens come from ``token_uri``; return its path."""
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    document = {
        "type": "service_account", "project_id": project, "private_key_id": "1", "private_key": key.decode(),
        "client_email": "agent@key-project.iam.gserviceaccount.com", "client_id": "1", "token_uri": token_uri,
    }  # fmt: skip
    path = root / "service-account.json"
    path.write_text(json.dumps(document))
    return str(path)


@contextmanager
def entra(root: Path, status: int, answer: object) -> Iterator[tuple[LocalServer, dict[str, str]]]:
    """Serve Entra ID of ``tenant-1`` by TLS that verifies; give the server and the variables that lead to it."""
    certificate = make_certificate(root)

    def about_itself(asked: Asked) -> Answer:
        base = f"https://{asked.headers['host']}/tenant-1"
        document = {"issuer": f"{base}/v2.0", "authorization_endpoint": base, "token_endpoint": f"{base}/token"}
        return 200, "application/json", document

    answers: dict[str, Answer | Callable[[Asked], Answer]] = {
        "GET /tenant-1/v2.0/.well-known/openid-configuration": about_itself,
        "POST /tenant-1/token": (status, "application/json", answer),
        "POST /tenant-1/oauth2/v2.0/token": (status, "application/json", answer),
    }
    with local_server(answers, certificate) as server:
        yield server, {"AZURE_AUTHORITY_HOST": server.url, "REQUESTS_CA_BUNDLE": str(certificate)}
