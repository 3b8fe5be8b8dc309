"""Identity providers that others wrote, as real servers: certified oidc-provider, nanoidp, samlp and pysaml2."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import ProxyHandler, build_opener

import pytest
from forged_openid import CLIENT_ID, CLIENT_SECRET, query
from forged_saml import key_pair
from local_server import Asked, local_server
from ports import free_port
from visitors import Visitor

from keystead.secret import Secret
from peers import serving

if TYPE_CHECKING:
    from django.test import Client

    from keystead.server.organizations.models import Membership
    from keystead.server.sso.models import Connection

HOME = "http://127.0.0.1:8420"
TYPED = {"login": "grace", "password": "pw", "username": "grace"}


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def browser(domain: str) -> "Client":
    from django.test import Client

    return Client(SERVER_NAME="127.0.0.1", SERVER_PORT="8420")


def empty_connection(member: "Membership", kind: str) -> "Connection":
    from keystead.server.sso import connections
    from keystead.server.sso.models import Kind

    return connections.create(member, Kind(kind), "Peer", {}, now())


def connect_oidc(member: "Membership", connection: "Connection", issuer: str, client: tuple[str, str]) -> None:
    from django.conf import settings

    from keystead.server.sso import connections, conversation
    from keystead.server.sso.network import sender
    from keystead.server.sso.oidc_settings import OidcSettings

    metadata = conversation.discover(issuer, sender(settings.KEYSTEAD))
    connection.settings = replace(OidcSettings(metadata), client_id=client[0], asks_consent=True).to_json()
    connection.save()
    connections.set_secret(member, connection, Secret(client[1]), now())
    connections.switch(member, connection, on=True, now=now())


def connect_saml(member: "Membership", connection: "Connection", metadata: bytes) -> None:
    from keystead.server.sso import connections, saml_settings

    connection.settings = saml_settings.from_metadata(metadata, now()).to_json()
    connection.save()
    connections.switch(member, connection, on=True, now=now())


def sign_in(browser: Any, connection: "Connection", typed: dict[str, str] = TYPED, **asked: str) -> Any:
    """There, through the peer's own pages, and back; returns the last answer of this server."""
    away = browser.get(f"/sso/{connection.wire_id}", {"next": "/keys", **asked})["Location"]
    door = Visitor(HOME, typed).walk(away)
    path = door.address.removeprefix(HOME)
    answer = browser.post(path, dict(door.form)) if door.form else browser.get(path)
    return browser.get(answer["Location"]) if answer.status_code == 303 else answer


def member_called(email: str) -> "Membership":
    from keystead.server.organizations.models import Membership

    return Membership.objects.select_related("person", "organization").get(person__email=email)


@pytest.mark.requirement("sso peers", "sso deprovisioning")
def test_oidc_provider_signs_somebody_in_and_its_refusal_ends_their_sign_in(
    browser: Any, administrator: "Membership"
) -> None:
    from django.conf import settings

    from keystead.server.sso import connections, standing
    from keystead.server.sso.network import sender

    connection = empty_connection(administrator, "oidc")
    told = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    with serving("oidc_provider", **told, redirect_uri=connections.redirect_uri(connection, HOME)) as peer:
        connect_oidc(administrator, connection, peer["issuer"], (CLIENT_ID, CLIENT_SECRET))
        answer = sign_in(browser, connection)
        assert (answer.status_code, answer["Location"]) == (302, "/keys"), answer.content.decode()
        member = member_called("grace@example.com")
        assert [group.name for group in member.groups.all()] == ["engineers"]
        again = sign_in(browser, connection, again="yes")
        assert (again.status_code, again["Location"]) == (302, "/keys"), "asked anew, and its auth_time says so"

        asking = standing.Asking(sender(settings.KEYSTEAD), HOME, now() + timedelta(minutes=6))
        standing.confirm(member, now(), asking)
        with build_opener(ProxyHandler({})).open(f"{peer['issuer']}/disable/grace") as done:
            assert done.read() == b"off"
        with pytest.raises(standing.Ended):
            standing.confirm(member, now(), replace(asking, now=now() + timedelta(minutes=12)))


@contextmanager
def nanoidp(directory: Path) -> Iterator[str]:
    """Run nanoidp as its own documentation says, on a free port."""
    port = free_port()
    program = str(Path(sys.executable).parent / "nanoidp")
    subprocess.run([program, "init"], cwd=directory, check=True, capture_output=True)
    settings = directory / "config" / "settings.yaml"
    settings.write_text(settings.read_text(encoding="utf-8").replace("8000", str(port)), encoding="utf-8")
    started = [program, "--config", "config", "--port", str(port)]
    with subprocess.Popen(
        started, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert any("Running on" in line for line in process.stdout)
            yield f"http://localhost:{port}"
        finally:
            process.kill()


@pytest.mark.requirement("sso peers")
def test_nanoidp_signs_somebody_in(browser: Any, administrator: "Membership", tmp_path: Path) -> None:
    from keystead.server.sso import domains

    domains.claim(administrator, "example.org", now())
    domains.attest("example.org", now())
    connection = empty_connection(administrator, "oidc")
    with nanoidp(tmp_path) as issuer:
        connect_oidc(administrator, connection, issuer, ("demo-client", "demo-secret"))
        answer = sign_in(browser, connection, {"username": "admin", "password": "admin"})

    assert (answer.status_code, answer["Location"]) == (302, "/keys"), answer.content.decode()
    assert [group.name for group in member_called("admin@example.org").groups.all()] == ["ADMINISTRATORS"]


@pytest.mark.requirement("sso peers")
def test_samlp_signs_somebody_in(browser: Any, administrator: "Membership") -> None:
    connection = empty_connection(administrator, "saml")
    key, certificate = key_pair()
    acs = f"{HOME}/saml/{connection.wire_id}/acs"
    with serving("samlp", key=key, certificate=certificate, acs_url=acs) as peer:
        with build_opener(ProxyHandler({})).open(f"{peer['base']}/metadata") as answer:
            connect_saml(administrator, connection, answer.read())
        done = sign_in(browser, connection)

    assert (done.status_code, done["Location"]) == (302, "/keys"), done.content.decode()
    assert member_called("grace@example.com").person.name == "Grace"


def pysaml2_server(directory: Path, base: str, sp_metadata: bytes) -> Any:
    """pysaml2's identity provider, which knows this server by the metadata that an administrator downloads."""
    from saml2.config import IdPConfig
    from saml2.server import Server

    key, certificate = key_pair()
    files = {"key.pem": key, "certificate.pem": certificate, "sp.xml": sp_metadata.decode()}
    for name, content in files.items():
        (directory / name).write_text(content, encoding="utf-8")
    redirect = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
    config = {
        "entityid": f"{base}/metadata",
        "service": {
            "idp": {
                "endpoints": {"single_sign_on_service": [(f"{base}/sso", redirect)]},
                "policy": {"default": {"lifetime": {"minutes": 5}, "attribute_restrictions": None}},
            }
        },
        "metadata": {"local": [str(directory / "sp.xml")]},
        "key_file": str(directory / "key.pem"),
        "cert_file": str(directory / "certificate.pem"),
        "xmlsec_binary": shutil.which("xmlsec1"),
    }
    return Server(config=IdPConfig().load(config))


def pysaml2_answer(server: Any, asked: Asked) -> str:
    """The page with the form that carries pysaml2's answer to a request."""
    from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT
    from saml2.saml import NAMEID_FORMAT_PERSISTENT, NameID
    from saml2.xmldsig import DIGEST_SHA256, SIG_RSA_SHA256

    request = server.parse_authn_request(query(asked.path)["SAMLRequest"], BINDING_HTTP_REDIRECT).message
    response = server.create_authn_response(
        identity={"mail": ["grace@example.com"], "displayName": ["Grace"]},
        in_response_to=request.id,
        destination=request.assertion_consumer_service_url,
        sp_entity_id=request.issuer.text,
        name_id=NameID(format=NAMEID_FORMAT_PERSISTENT, text="grace-1"),
        authn={"class_ref": "urn:oasis:names:tc:SAML:2.0:ac:classes:Password", "authn_auth": "https://idp.example"},
        sign_assertion=True,
        sign_response=False,
        sign_alg=SIG_RSA_SHA256,
        digest_alg=DIGEST_SHA256,
    )
    page: str = server.apply_binding(
        BINDING_HTTP_POST, str(response), request.assertion_consumer_service_url, "", response=True
    )["data"]
    return page


@pytest.mark.requirement("sso peers")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pysaml2 imports what cryptography has moved
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_pysaml2_signs_somebody_in(browser: Any, administrator: "Membership", tmp_path: Path) -> None:
    from saml2.metadata import entity_descriptor

    connection = empty_connection(administrator, "saml")
    ours = browser.get(f"/saml/{connection.wire_id}/metadata").content
    rows: dict[str, Any] = {}
    with local_server(rows) as place:
        server = pysaml2_server(tmp_path, place.url, ours)
        rows["GET /sso"] = lambda asked: (200, "text/html", pysaml2_answer(server, asked))
        connect_saml(administrator, connection, str(entity_descriptor(server.config)).encode())
        done = sign_in(browser, connection)

    assert (done.status_code, done["Location"]) == (302, "/keys"), done.content.decode()
    assert member_called("grace@example.com").person.name == "Grace"
