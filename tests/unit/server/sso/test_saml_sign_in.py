"""Signing in through a SAML identity provider, and every way in which its answer must not be believed."""

import copy
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from forged_openid import query
from forged_saml import ENTITY_ID, NAMESPACES, SSO_URL, ForgedIdp, Said, encoded, key_pair
from lxml import etree

if TYPE_CHECKING:
    from django.test import Client

    from keystead.server.organizations.models import Membership
    from keystead.server.sso.models import Connection

BASE = "http://127.0.0.1:8420"
KEYS = key_pair()
OTHER_KEYS = key_pair()


def now() -> datetime:
    return datetime.now(UTC)


def reasons() -> list[Any]:
    from keystead.server.audit.models import AuditEvent

    refused = AuditEvent.objects.filter(action="connection:refuse").order_by("at", "id")
    return [event.details["reason"] for event in refused]


def new_browser() -> "Client":
    from django.test import Client

    return Client(SERVER_NAME="127.0.0.1", SERVER_PORT="8420")


@dataclass
class Visit:
    """One browser on its way through the connection; the response comes without its cookies, as from another site."""

    connection: "Connection"
    browser: "Client" = field(default_factory=new_browser)
    idp: ForgedIdp = field(default_factory=lambda: ForgedIdp(*KEYS))

    def leave(self, **parameters: str) -> Any:
        """Start, and return the request that the identity provider gets."""
        page = self.browser.get(f"/sso/{self.connection.wire_id}", parameters)
        assert page["Location"].startswith(SSO_URL)
        packed = b64decode(query(page["Location"])["SAMLRequest"])
        return etree.fromstring(zlib.decompress(packed, -15))

    def said(self, request_id: str | None) -> Said:
        place = f"{BASE}/saml/{self.connection.wire_id}"
        return Said(f"{place}/acs", f"{place}/metadata", request_id)

    def post(self, response: str, relay_state: str = "") -> Any:
        form = {"SAMLResponse": response, "RelayState": relay_state}
        return new_browser().post(f"/saml/{self.connection.wire_id}/acs", form)

    def come_back(self, root: Any, relay_state: str = "") -> Any:
        arrived = self.post(encoded(root), relay_state)
        return self.browser.get(arrived["Location"]) if arrived.status_code == 303 else arrived

    @property
    def is_signed_in(self) -> bool:
        return "_auth_user_id" in self.browser.session


@pytest.fixture
def visit(administrator: "Membership", domain: str) -> Visit:
    from keystead.server.sso import connections, saml_settings
    from keystead.server.sso.models import Kind

    settings = saml_settings.from_metadata(ForgedIdp(*KEYS).metadata().encode(), now())
    connection = connections.create(administrator, Kind.SAML, "Example SAML", settings.to_json(), now())
    connections.switch(administrator, connection, on=True, now=now())
    return Visit(connection)


def test_a_newcomer_becomes_a_member_and_is_led_back_to_where_they_were(visit: Visit) -> None:
    from keystead.server.organizations.models import Membership

    request = visit.leave(next="/device?user_code=BCDF-GHJK")
    said = replace(visit.said(request.get("ID")), session_ends=timedelta(hours=2))
    response = visit.come_back(visit.idp.signed(said, now()), relay_state="https://evil.example/")

    assert (response.status_code, reasons()) == (302, [])
    assert response["Location"] == "/device?user_code=BCDF-GHJK"
    assert visit.is_signed_in
    assert visit.browser.session.get_expiry_age() <= 7200
    member = Membership.objects.get(person__email="grace@example.com")
    assert (member.role, member.person.name) == ("agent_user", "Grace")


def test_the_request_says_who_asks_and_where_the_answer_goes(visit: Visit) -> None:
    request = visit.leave()
    metadata = etree.fromstring(new_browser().get(f"/saml/{visit.connection.wire_id}/metadata").content)

    assert request.get("Destination") == SSO_URL
    assert request.findtext("saml:Issuer", namespaces=NAMESPACES) == metadata.get("entityID")
    consumer = metadata.find(".//{urn:oasis:names:tc:SAML:2.0:metadata}AssertionConsumerService")
    assert request.get("AssertionConsumerServiceURL") == consumer.get("Location")


@pytest.mark.requirement("saml core 3.4.1 ForceAuthn")
@pytest.mark.parametrize(
    ("authenticated", "again", "taken"),
    [
        (timedelta(), "yes", True),
        (timedelta(seconds=-30), "yes", True),
        (timedelta(seconds=-90), "yes", False),
        (timedelta(days=-1), "yes", False),
        ("yesterday", "yes", False),
        (timedelta(days=-1), "", True),
        ("yesterday", "", True),
    ],
)
def test_where_somebody_was_to_be_asked_anew_an_older_answer_is_none(
    visit: Visit, authenticated: str | timedelta, again: str, taken: bool
) -> None:
    request = visit.leave(**({"again": again} if again else {}))
    assert request.get("ForceAuthn") == ("true" if again else None)
    said = replace(visit.said(request.get("ID")), authenticated=authenticated)
    response = visit.come_back(visit.idp.signed(said, now()))
    assert (response.status_code, visit.is_signed_in) == ((302, True) if taken else (403, False))
    assert reasons() == ([] if taken else ["not_asked_anew"])


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({"issuer": "https://evil.example"}, "issuer"),
    "another audience": ({"audience": f"{BASE}/saml/other/metadata"}, "audience"),
    "no audience": ({"audience": ""}, "audience"),
    "another destination": ({"destination": f"{BASE}/saml/other/acs"}, "destination"),
    "a destination that only begins alike": ({"destination": f"{BASE}/saml/"}, "destination"),
    "another recipient": ({"recipient": f"{BASE}/saml/other/acs"}, "confirmation"),
    "expired": ({"ends": timedelta(minutes=-2), "confirmation_ends": timedelta(minutes=-2)}, "expired"),
    "expired confirmation": ({"confirmation_ends": timedelta(minutes=-2)}, "confirmation"),
    "confirmation without an end": ({"confirmation_ends": None}, "confirmation"),
    "confirmation for a year": ({"confirmation_ends": timedelta(days=365)}, "confirmation"),
    "not yet": ({"not_before": timedelta(minutes=2)}, "not_yet"),
    "session over": ({"session_ends": timedelta(minutes=-1)}, "session_ended"),
    "unknown request": ({"in_response_to": "_0123", "confirmed_for": "_0123"}, "state_unknown"),
    "confirmation for another request": ({"confirmed_for": "_0123"}, "in_response_to"),
    "an answer to nothing in the envelope of a request": ({"confirmed_for": None}, "in_response_to"),
    "a failure": ({"status": "urn:oasis:names:tc:SAML:2.0:status:Responder"}, "provider_refused"),
    "a passing name": ({"name_format": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"}, "subject_transient"),
    "nobody": ({"subject": " "}, "subject"),
}


@pytest.mark.requirement("saml profiles 4.1.4.3")
@pytest.mark.parametrize("what", WRONG)
def test_an_assertion_is_refused_for(visit: Visit, what: str) -> None:
    changes, reason = WRONG[what]
    said = replace(visit.said(visit.leave().get("ID")), **changes)

    assert visit.come_back(visit.idp.signed(said, now())).status_code == 403
    assert not visit.is_signed_in
    assert reasons() == [reason]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"email": ["grace@elsewhere.example"]}, "domain_not_proven"),
        ({"displayName": ["Grace"]}, "email_missing"),
    ],
)
def test_an_address_that_is_not_the_organizations_is_refused(
    visit: Visit, attributes: dict[str, list[str]], reason: str
) -> None:
    said = replace(visit.said(visit.leave().get("ID")), attributes=attributes)

    assert visit.come_back(visit.idp.signed(said, now())).status_code == 403
    assert reasons() == [reason]


def unsigned(root: Any) -> Any:
    assertion = root.find("saml:Assertion", NAMESPACES)
    assertion.remove(assertion.find("ds:Signature", NAMESPACES))
    return root


def evil(root: Any, assertion_id: str) -> Any:
    """A copy of the assertion that speaks of somebody else."""
    forged = copy.deepcopy(root.find("saml:Assertion", NAMESPACES))
    forged.set("ID", assertion_id)
    forged.find("saml:Subject/saml:NameID", NAMESPACES).text = "ada-1"
    forged.find(".//saml:AttributeValue", NAMESPACES).text = "ada@example.com"
    return forged


def changed(root: Any) -> Any:
    root.find(".//saml:AttributeValue", NAMESPACES).text = "ada@example.com"
    return root


def beside(root: Any) -> Any:
    """The signed assertion stays, and an unsigned one comes first."""
    forged = evil(root, "_evil")
    forged.remove(forged.find("ds:Signature", NAMESPACES))
    root.insert(2, forged)
    return root


def inside_the_signature(root: Any) -> Any:
    """The forged assertion carries the signature, and the signed one is hidden in an Object of it."""
    original = root.find("saml:Assertion", NAMESPACES)
    forged = evil(root, "_evil")
    signature = forged.find("ds:Signature", NAMESPACES)
    hidden = etree.SubElement(signature, f"{{{NAMESPACES['ds']}}}Object")
    stripped = copy.deepcopy(original)
    stripped.remove(stripped.find("ds:Signature", NAMESPACES))
    hidden.append(stripped)
    root.replace(original, forged)
    return root


def inside_an_extension(root: Any) -> Any:
    """The signed assertion moves into an extension, and the forged one takes its place with its signature."""
    original = root.find("saml:Assertion", NAMESPACES)
    root.replace(original, evil(root, "_evil"))
    extensions = etree.SubElement(root, f"{{{NAMESPACES['samlp']}}}Extensions")
    extensions.append(original)
    return root


def same_identifier(root: Any) -> Any:
    """Another element has the identifier that the signature names."""
    original = root.find("saml:Assertion", NAMESPACES)
    extensions = etree.SubElement(root, f"{{{NAMESPACES['samlp']}}}Extensions")
    etree.SubElement(extensions, "decoy").set("ID", original.get("ID"))
    return root


def commented(root: Any) -> Any:
    """A comment that canonical form leaves out splits the address."""
    value = root.find(".//saml:AttributeValue", NAMESPACES)
    value.text = "ada@example.com"
    comment = etree.Comment("x")
    comment.tail = ".evil.example"
    value.append(comment)
    return root


ATTACKS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no signature": (unsigned, "signature_missing"),
    "a changed address": (changed, "signature"),
    "a second assertion beside": (beside, "assertion_count"),
    "the signed assertion inside the signature": (inside_the_signature, "assertion_count"),
    "the signed assertion in an extension": (inside_an_extension, "assertion_count"),
    "an identifier that is there twice": (same_identifier, "signature_form"),
    "a comment in the address": (commented, "xml_unusual"),
}


@pytest.mark.requirement("saml core 5")
@pytest.mark.parametrize("what", ATTACKS)
def test_a_wrapped_or_altered_assertion_is_refused(visit: Visit, what: str) -> None:
    attack, reason = ATTACKS[what]
    root = visit.idp.signed(visit.said(visit.leave().get("ID")), now())

    assert visit.come_back(attack(root)).status_code == 403
    assert not visit.is_signed_in
    assert reasons() == [reason]


def test_another_key_is_refused_even_when_the_response_brings_it_along(visit: Visit) -> None:
    said = visit.said(visit.leave().get("ID"))

    assert visit.come_back(ForgedIdp(*OTHER_KEYS).signed(said, now())).status_code == 403
    assert reasons() == ["signature"]


def test_a_signature_around_the_response_is_not_one_of_the_assertion(visit: Visit) -> None:
    said = visit.said(visit.leave().get("ID"))

    assert visit.come_back(visit.idp.signed_outside(said, now())).status_code == 403
    assert reasons() == ["signature_missing"]


@pytest.mark.parametrize("form", [{"method": "rsa-sha1"}, {"digest": "sha1"}])
def test_a_weak_hash_is_refused(visit: Visit, form: dict[str, str]) -> None:
    said = visit.said(visit.leave().get("ID"))

    assert visit.come_back(visit.idp.signed(said, now(), **form)).status_code == 403
    assert reasons() == ["signature_form"]


@pytest.mark.parametrize(
    "document",
    [
        b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
        b"<?xml-stylesheet href='x'?><a/>",
        b"<a",
        b"",
        b"\x00\xff",
        b"<a xmlns='x'/>",
    ],
)
def test_what_is_no_plain_response_is_refused(visit: Visit, document: bytes) -> None:
    assert visit.post(b64encode(document).decode()).status_code == 403


def test_what_is_not_base64_is_refused(visit: Visit) -> None:
    assert visit.post("%%%").status_code == 403
    assert reasons() == ["base64"]


@pytest.mark.requirement("saml profiles 4.1.4.5")
def test_an_assertion_is_taken_once(visit: Visit) -> None:
    root = visit.idp.signed(visit.said(visit.leave().get("ID")), now())
    visit.come_back(root)
    visit.browser = new_browser()

    assert visit.come_back(root).status_code == 403
    assert not visit.is_signed_in
    assert reasons() == ["replay"]


def test_an_answer_in_another_browser_is_refused(visit: Visit) -> None:
    root = visit.idp.signed(visit.said(visit.leave().get("ID")), now())
    visit.browser = new_browser()

    assert visit.come_back(root).status_code == 403
    assert reasons() == ["other_browser"]


def test_two_answers_to_one_request_sign_in_once(visit: Visit) -> None:
    said = visit.said(visit.leave().get("ID"))
    visit.come_back(visit.idp.signed(said, now()))

    assert visit.come_back(visit.idp.signed(replace(said, assertion_id="_other"), now())).status_code == 403
    assert reasons() == ["state_used"]


@pytest.mark.requirement("saml profiles 4.1.5")
def test_an_unasked_response_is_refused_unless_it_was_allowed(visit: Visit) -> None:
    assert visit.come_back(visit.idp.signed(visit.said(None), now())).status_code == 403
    assert reasons() == ["unasked"]


@pytest.mark.requirement("saml bindings 3.4.3")
@pytest.mark.parametrize(
    ("relay_state", "there"),
    [("/keys", "/keys"), ("https://evil.example/", "/"), ("//evil.example", "/"), ("javascript:alert(1)", "/")],
)
def test_an_unasked_response_asks_first_and_leads_to_a_page_of_ours(visit: Visit, relay_state: str, there: str) -> None:
    visit.connection.settings["takes_unasked"] = True
    visit.connection.save()
    arrived = visit.post(encoded(visit.idp.signed(visit.said(None), now())), relay_state)
    asked = visit.browser.get(arrived["Location"])
    assert "Sign in as grace@example.com?" in asked.content.decode()
    assert not visit.is_signed_in

    assert visit.browser.post(arrived["Location"])["Location"] == there
    assert visit.is_signed_in
    assert visit.browser.post(arrived["Location"]).status_code == 403


def test_an_unasked_response_is_not_taken_twice_either(visit: Visit) -> None:
    visit.connection.settings["takes_unasked"] = True
    visit.connection.save()
    response = encoded(visit.idp.signed(visit.said(None), now()))

    assert visit.post(response).status_code == 303
    assert visit.post(response).status_code == 403


def test_an_administrator_sees_the_attributes_in_a_trial(visit: Visit, administrator: "Membership") -> None:
    visit.browser.force_login(administrator.person)
    away = visit.browser.get(f"/connections/{visit.connection.wire_id}/try")["Location"]
    request = etree.fromstring(zlib.decompress(b64decode(query(away)["SAMLRequest"]), -15))
    back = visit.come_back(visit.idp.signed(visit.said(request.get("ID")), now()))
    page = visit.browser.get(back["Location"]).content.decode()

    assert "would come in" in page
    assert "displayName" in page


def test_metadata_are_read_from_text_a_file_or_an_address(administrator: "Membership") -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile
    from local_server import local_server

    from keystead.server.sso.models import Connection

    browser = new_browser()
    browser.force_login(administrator.person)
    text = ForgedIdp(*KEYS).metadata()
    with local_server({"GET /metadata": (200, "application/samlmetadata+xml", text)}) as server:
        for source in (
            {"text": text},
            {"url": f"{server.url}/metadata"},
            {"file": SimpleUploadedFile("idp.xml", text.encode())},
        ):
            made: Any = browser.post("/connections/new/saml", {"name": "Example SAML", **source}, follow=True)
            assert ENTITY_ID in made.content.decode(), made.content

    assert Connection.objects.count() == 3


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("X509Certificate>M", "X509Certificate>?"), "cannot be read"),
        (('use="signing"', 'use="encryption"'), "no certificate"),
        (("HTTP-Redirect", "SOAP"), "no sign-in by redirect"),
        (("https://idp.example.com/sso", "http://idp.example.com/sso"), "is not https"),
        ((' entityID="', ' validUntil="2020-01-01T00:00:00Z" entityID="'), "validity has passed"),
        (("IDPSSODescriptor", "SPSSODescriptor"), "exactly one identity provider"),
    ],
)
def test_metadata_that_cannot_be_used_are_named(change: tuple[str, str], sentence: str) -> None:
    from keystead.errors import ConfigurationError
    from keystead.server.sso import saml_settings

    with pytest.raises(ConfigurationError, match=sentence):
        saml_settings.from_metadata(ForgedIdp(*KEYS).metadata().replace(*change).encode(), now())


def test_the_settings_are_kept_and_newer_metadata_must_be_the_same_providers(
    visit: Visit, administrator: "Membership"
) -> None:
    visit.browser.force_login(administrator.person)
    form = {"email_attribute": "mail", "groups_attribute": "g", "admits": "on", "default_role": "developer"}
    address = f"/connections/{visit.connection.wire_id}"
    newer = ForgedIdp(*OTHER_KEYS).metadata()
    visit.browser.post(address, {**form, "metadata": newer})
    visit.connection.refresh_from_db()
    kept = visit.connection.settings

    assert (kept["email_attribute"], kept["groups_attribute"], kept["certificates"]) == ("mail", "g", [OTHER_KEYS[1]])
    refused = visit.browser.post(address, {**form, "metadata": newer.replace(ENTITY_ID, "https://evil.example")})
    assert "another identity provider" in refused.content.decode()
