"""Each way to prove who asks an upstream, with the vendor's own check of it: one row each."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import clouds
import google.auth.jwt
import pytest
from clouds import AWS_KEYS, signed_by
from cryptography.hazmat.primitives import serialization
from local_server import Answer, Asked, LocalServer, local_server
from vendors import Vendor

from keystead.secret import Secret
from keystead.server import cloud_credentials
from keystead.server.fixed_credential import NO_CREDENTIAL, FixedCredential, Header
from keystead.server.gateway.ports import Kind, UpstreamCredential
from keystead.server.outbound import Reach
from keystead.server.upstreams.workload_identity import WorkloadCredential

REGION: Final = "eu-west-1"
KEY: Final = "vendor-key-canary"
IDENTITY: Final = "identity-token-canary"
_PLACES: Final = ("x-api-key", "api-key", "authorization", "x-goog-api-key", "x-amz-security-token", "cookie")
_ROLE: Final = "arn:aws:iam::123456789012:role/models"


@dataclass
class Site:
    """What a row may use while it is made: the vendor, a directory, variables, and an end to clean up at."""

    vendor: Vendor
    root: Path
    variables: pytest.MonkeyPatch
    stack: ExitStack


Made = tuple[UpstreamCredential, Callable[[Asked], bool]]
"""A credential, ready to be shown, and the vendor's check of a request that shows it."""


@dataclass(frozen=True)
class Row:
    """One kind and one way."""

    kind: Kind
    name: str
    make: Callable[[Site], Made]
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def ends(self) -> bool:
        """Whether another token or another key can be had before the end of one; AWS's chain keeps what it found."""
        return self.name not in ("key", "bearer", "none", "signed", "web-identity")

    @property
    def id(self) -> str:
        return f"{self.kind.value}-{self.name}"


def only(asked: Asked, shown: Mapping[str, str]) -> bool:
    """Return whether a request shows this credential, and in no other place another one."""
    return {name: asked.headers[name] for name in _PLACES if name in asked.headers} == shown


def _fixed(header: Header) -> Callable[[Site], Made]:
    sent = f"Bearer {KEY}" if header == "authorization" else KEY
    return lambda _: (FixedCredential(Secret(KEY), header), lambda asked: only(asked, {header: sent}))


def _nothing(_site: Site) -> Made:
    return NO_CREDENTIAL, lambda asked: only(asked, {})


def _workload(site: Site) -> Made:
    issued: list[str] = []

    def exchange(asked: Asked) -> tuple[int, object]:
        assert json.loads(asked.body)["assertion"] == IDENTITY
        issued.append(f"sk-ant-oat01-issued-{len(issued)}")
        return 200, {"access_token": issued[-1], "token_type": "Bearer", "expires_in": 3600}

    site.vendor.elsewhere["/v1/oauth/token"] = exchange
    values = {"federation_rule_id": Secret("fdrl_1"), "organization_id": Secret("org_1")}
    credential = WorkloadCredential(values, lambda: Secret(IDENTITY), site.vendor.url, Reach(loopback=True))
    return ready(credential), lambda asked: only(asked, {"authorization": f"Bearer {issued[-1]}"})


def ready(credential: Any) -> Any:
    """Return a credential that has got what it shows."""
    credential.refresh()
    return credential


# -- Amazon ----------------------------------------------------------------------------------------------------------

_SERVICES: Final = {Kind.BEDROCK: "bedrock", Kind.AWS: "aws-external-anthropic"}
_KEYS: Final = {name.lower().removeprefix("aws_"): Secret(value) for name, value in AWS_KEYS.items()}
del _KEYS["region"]


def _signed(kind: Kind, token: str | None = None) -> Callable[[Site], Made]:
    def make(_site: Site) -> Made:
        fields = _KEYS if token is None else {**_KEYS, "session_token": Secret(token)}
        credential = ready(cloud_credentials.of(kind, "access_keys", fields, REGION))
        return credential, lambda asked: _is_signed(asked, kind, AWS_KEYS["AWS_SECRET_ACCESS_KEY"], token)

    return make


def _is_signed(asked: Asked, kind: Kind, secret: str, token: str | None) -> bool:
    if asked.headers.get("x-amz-security-token") != token:
        return False
    try:
        return signed_by(asked, secret=secret)[1:] == (REGION, _SERVICES[kind])
    except (AssertionError, KeyError):
        return False


@contextmanager
def sts(variables: pytest.MonkeyPatch) -> Iterator[Callable[[], Any]]:
    """Run moto's STS; gives what returns the role that was assumed last, with its keys."""
    from moto.backends import get_backend
    from moto.server import ThreadedMotoServer

    backend = get_backend("sts")["123456789012"]["aws"]
    backend.assumed_roles.clear()
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        variables.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.get_host_and_port()[1]}")
        yield lambda: backend.assumed_roles[-1]
    finally:
        server.stop()


def _role(kind: Kind) -> Callable[[Site], Made]:
    def make(site: Site) -> Made:
        assumed = site.stack.enter_context(sts(site.variables))
        fields = {**_KEYS, "role_arn": Secret(_ROLE), "external_id": Secret("ours")}
        credential = ready(cloud_credentials.of(kind, "access_keys", fields, REGION))
        assert (assumed().external_id, assumed().session_name) == ("ours", "keystead")
        return credential, lambda asked: _is_signed(
            asked, kind, assumed().secret_access_key, assumed().session_token
        )  # fmt: skip

    return make


def _web_identity(kind: Kind) -> Callable[[Site], Made]:
    """The server's own chain finds what a cluster mounts: a role, and a token that proves who may have it."""

    def make(site: Site) -> Made:
        assumed = site.stack.enter_context(sts(site.variables))
        (site.root / "web-identity").write_text(IDENTITY)
        site.variables.setenv("AWS_ROLE_ARN", _ROLE)
        site.variables.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(site.root / "web-identity"))
        credential = ready(cloud_credentials.of(kind, "chain", {}, REGION))
        return credential, lambda asked: _is_signed(
            asked, kind, assumed().secret_access_key, assumed().session_token
        )  # fmt: skip

    return make


# -- Google ----------------------------------------------------------------------------------------------------------


@contextmanager
def google_issuer(root: Path) -> Iterator[tuple[LocalServer, str]]:
    """Run Google's token endpoint for one service account; gives it and the account's key file.

    The assertion is verified by google-auth, with the public half of the key.
    """

    def issue(asked: Asked) -> Answer:
        assertion = parse_qs(asked.body)["assertion"][0]
        public = private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        claims = google.auth.jwt.decode(assertion, certs=public, audience="https://oauth2.googleapis.com/token")
        assert claims["iss"] == key["client_email"]
        assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
        return 200, "application/json", {"access_token": f"ya29.issued-{len(server.asked)}", "expires_in": 3600}

    with local_server({"POST /token": issue}) as server:
        path = clouds.service_account(root, f"{server.url}/token")
        key = json.loads(Path(path).read_text())
        private: Any = serialization.load_pem_private_key(key["private_key"].encode(), None)
        yield server, path


def _account(site: Site) -> Made:
    server, path = site.stack.enter_context(google_issuer(site.root))
    fields = {"service_account_json": Secret(Path(path).read_text())}
    credential = ready(cloud_credentials.of(Kind.VERTEX, "service_account", fields, "global"))
    return credential, _newest_of_google(server)


def _newest_of_google(server: LocalServer) -> Callable[[Asked], bool]:
    return lambda asked: only(asked, {"authorization": f"Bearer ya29.issued-{len(server.asked)}"})


def _google_chain(site: Site) -> Made:
    server, path = site.stack.enter_context(google_issuer(site.root))
    site.variables.setenv("GOOGLE_APPLICATION_CREDENTIALS", path)
    credential = ready(cloud_credentials.of(Kind.VERTEX, "chain", {}, "global"))
    return credential, _newest_of_google(server)


def _google_federated(site: Site) -> Made:
    """Workload identity federation: a token of another issuer, exchanged at Google's STS (RFC 8693)."""

    def exchange(asked: Asked) -> Answer:
        form = {name: values[0] for name, values in parse_qs(asked.body).items()}
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:token-exchange"
        assert (form["subject_token"], form["audience"]) == (IDENTITY, "//iam.googleapis.com/pool")
        answer = {"access_token": "ya29.federated", "expires_in": 3600, "token_type": "Bearer"}
        return 200, "application/json", {**answer, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}

    server = site.stack.enter_context(local_server({"POST /sts": exchange}))
    (site.root / "identity").write_text(IDENTITY)
    document = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/pool",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{server.url}/sts",
        "credential_source": {"file": str(site.root / "identity")},
    }
    (site.root / "federated.json").write_text(json.dumps(document))
    site.variables.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(site.root / "federated.json"))
    credential = ready(cloud_credentials.of(Kind.VERTEX, "chain", {}, "global"))
    return credential, lambda asked: only(asked, {"authorization": "Bearer ya29.federated"})


def _google_machine(site: Site) -> Made:
    """A machine of Google's: its metadata server gives tokens of the service account that it runs as."""
    from google.auth.compute_engine import _metadata

    def token(asked: Asked) -> Answer:
        assert asked.headers["metadata-flavor"] == "Google"
        return 200, "application/json", {"access_token": "ya29.machine", "expires_in": 3600, "token_type": "Bearer"}

    account = {"email": "machine@p.iam.gserviceaccount.com", "scopes": [], "aliases": ["default"]}
    place = "GET /computeMetadata/v1/instance/service-accounts"
    answers: dict[str, Any] = {
        "GET /": (200, "text/plain", "computeMetadata/"),
        "GET /computeMetadata/v1/project/project-id": (200, "text/plain", "p-1"),
        f"{place}/default/": (200, "application/json", account),
        f"{place}/{account['email']}/": (200, "application/json", account),
        f"{place}/{account['email']}/token": token,
        f"{place}/default/token": token,
    }
    server = site.stack.enter_context(local_server(answers))
    site.variables.setenv("GCE_METADATA_IP", server.host)
    site.variables.setattr(_metadata, "_GCE_METADATA_HOST", server.host)
    credential = ready(cloud_credentials.of(Kind.VERTEX, "chain", {}, "global"))
    return credential, lambda asked: only(asked, {"authorization": "Bearer ya29.machine"})


# -- Microsoft -------------------------------------------------------------------------------------------------------

_TOKEN: Final = {"access_token": "entra.issued", "expires_in": 3600, "token_type": "Bearer"}
_FOUNDRY: Final = "https://cognitiveservices.azure.com/.default"


def _entra(site: Site, method: str, fields: Mapping[str, str], shown: Callable[[dict[str, str]], bool]) -> Made:
    server, variables = site.stack.enter_context(clouds.entra(site.root, 200, _TOKEN))
    for name, value in variables.items():
        site.variables.setenv(name, value)
    secret = {name: Secret(value) for name, value in fields.items()}
    credential = ready(cloud_credentials.of(Kind.FOUNDRY, method, secret, ""))
    form = {name: values[0] for name, values in parse_qs(server.asked[-1].body).items()}
    assert shown(form), sorted(form)
    assert _FOUNDRY in form["scope"].split()
    return credential, lambda asked: only(asked, {"authorization": "Bearer entra.issued"})


def _entra_secret(site: Site) -> Made:
    application = {"tenant_id": "tenant-1", "client_id": "c-1", "client_secret": "secret-canary"}
    return _entra(site, "entra", application, lambda form: form["client_secret"] == "secret-canary")


def _entra_federated(site: Site) -> Made:
    """A cluster mounts a token, which is the application's assertion (RFC 7523)."""
    (site.root / "federated").write_text(IDENTITY)
    site.variables.setenv("AZURE_TENANT_ID", "tenant-1")
    site.variables.setenv("AZURE_CLIENT_ID", "c-1")
    site.variables.setenv("AZURE_FEDERATED_TOKEN_FILE", str(site.root / "federated"))
    return _entra(site, "chain", {}, lambda form: form["client_assertion"] == IDENTITY)


def _entra_certificate(site: Site) -> Made:
    """An assertion that the application's certificate signs; google-auth verifies it as any other JWT."""
    from cryptography import x509

    pem = _rsa_certificate(site.root)
    site.variables.setenv("AZURE_TENANT_ID", "tenant-1")
    site.variables.setenv("AZURE_CLIENT_ID", "c-1")
    site.variables.setenv("AZURE_CLIENT_CERTIFICATE_PATH", str(pem))
    certificate = x509.load_pem_x509_certificate(pem.read_bytes())

    def shown(form: dict[str, str]) -> bool:
        import joserfc.jwk
        import joserfc.jwt

        public: Any = certificate.public_key()
        public = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        key = joserfc.jwk.RSAKey.import_key(public)
        claims = joserfc.jwt.decode(form["client_assertion"], key, algorithms=["PS256", "RS256"]).claims
        return bool(claims["iss"] == claims["sub"] == "c-1")

    return _entra(site, "chain", {}, shown)


def _rsa_certificate(root: Path) -> Path:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    key = rsa.generate_private_key(65537, 2048)
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "application")]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = root / "application.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


_WORKSPACE: Final = (("anthropic-workspace-id", "wrkspc_1"),)

ROWS: Final = (
    Row(Kind.ANTHROPIC, "key", _fixed("x-api-key")),
    Row(Kind.ANTHROPIC, "workload", _workload),
    Row(Kind.AWS, "key", _fixed("x-api-key"), _WORKSPACE),
    Row(Kind.AWS, "signed", _signed(Kind.AWS), _WORKSPACE),
    Row(Kind.BEDROCK, "key", _fixed("authorization")),
    Row(Kind.BEDROCK, "signed", _signed(Kind.BEDROCK, "session-token-canary")),
    Row(Kind.VERTEX, "account", _account),
    Row(Kind.FOUNDRY, "key", _fixed("api-key")),
    Row(Kind.FOUNDRY, "entra", _entra_secret),
    Row(Kind.MESSAGES, "key", _fixed("x-api-key")),
    Row(Kind.MESSAGES, "bearer", _fixed("authorization")),
    Row(Kind.MESSAGES, "none", _nothing),
    Row(Kind.OPENAI, "bearer", _fixed("authorization")),
    Row(Kind.OPENAI, "key", _fixed("x-api-key")),
)
"""Every kind, asked by what an administrator enters."""
MACHINES: Final = (
    Row(Kind.BEDROCK, "role", _role(Kind.BEDROCK)),
    Row(Kind.AWS, "web-identity", _web_identity(Kind.AWS), _WORKSPACE),
    Row(Kind.BEDROCK, "web-identity", _web_identity(Kind.BEDROCK)),
    Row(Kind.VERTEX, "chain", _google_chain),
    Row(Kind.VERTEX, "federated", _google_federated),
    Row(Kind.VERTEX, "machine", _google_machine),
    Row(Kind.FOUNDRY, "federated", _entra_federated),
    Row(Kind.FOUNDRY, "certificate", _entra_certificate),
)
"""Roles, and what the clouds' own chains find on a machine: another credential, for the same requests."""


def nowhere(variables: pytest.MonkeyPatch, root: Path) -> None:
    """Leave the SDKs no way off loopback, and nothing of this machine's own."""
    for name in os.environ:
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_", "GCE_")):
            variables.delenv(name)
    for name, value in clouds.NOWHERE.items():
        variables.setenv(name, value)
    variables.setenv("HOME", str(root))
