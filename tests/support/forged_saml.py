"""A SAML identity provider that says whatever a test wants, and signs it or not."""

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from lxml import etree

ENTITY_ID = "https://idp.example.com/metadata"
SSO_URL = "https://idp.example.com/sso"
NAMESPACES = {
    "saml": "urn:oasis:names:tc:SAML:2.0:assertion",
    "samlp": "urn:oasis:names:tc:SAML:2.0:protocol",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
}


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def key_pair() -> tuple[str, str]:
    """A private key and its own certificate, as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "idp.example.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private.decode(), certificate.public_bytes(pem).decode()


@dataclass
class Said:
    """One response; every field has the right value for :attr:`acs` until a test changes it."""

    acs: str
    audience: str
    in_response_to: str | None
    assertion_id: str = "_assertion-1"
    issuer: str = ENTITY_ID
    destination: str | None = None
    recipient: str | None = None
    confirmed_for: str | None = ""
    subject: str = "grace-1"
    name_format: str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
    status: str = "urn:oasis:names:tc:SAML:2.0:status:Success"
    not_before: timedelta = timedelta(seconds=-30)
    ends: timedelta = timedelta(minutes=5)
    confirmation_ends: timedelta | None = timedelta(minutes=5)
    session_ends: timedelta | None = None
    authenticated: str | timedelta = timedelta()
    attributes: dict[str, list[str]] = field(
        default_factory=lambda: {"email": ["grace@example.com"], "displayName": ["Grace"], "groups": ["engineers"]}
    )

    def xml(self, now: datetime) -> str:
        """The response, unsigned; ``%SIGNATURE%`` marks where the assertion's signature goes."""
        answers = "" if self.in_response_to is None else f' InResponseTo="{self.in_response_to}"'
        confirmed = self.in_response_to if self.confirmed_for == "" else self.confirmed_for
        for_request = "" if confirmed is None else f' InResponseTo="{confirmed}"'
        until = "" if self.confirmation_ends is None else f' NotOnOrAfter="{stamp(now + self.confirmation_ends)}"'
        session = "" if self.session_ends is None else f' SessionNotOnOrAfter="{stamp(now + self.session_ends)}"'
        instant = self.authenticated
        instant = stamp(now + instant) if isinstance(instant, timedelta) else instant
        audience = (
            f"<saml:AudienceRestriction><saml:Audience>{self.audience}</saml:Audience></saml:AudienceRestriction>"
        )
        attributes = "".join(
            f'<saml:Attribute Name="{name}">'
            + "".join(f"<saml:AttributeValue>{value}</saml:AttributeValue>" for value in values)
            + "</saml:Attribute>"
            for name, values in self.attributes.items()
        )
        return (
            f'<samlp:Response xmlns:samlp="{NAMESPACES["samlp"]}" xmlns:saml="{NAMESPACES["saml"]}" ID="_response-1"'
            f' Version="2.0" IssueInstant="{stamp(now)}" Destination="{self.destination or self.acs}"{answers}>'
            f"<saml:Issuer>{self.issuer}</saml:Issuer>"
            f'<samlp:Status><samlp:StatusCode Value="{self.status}"/></samlp:Status>'
            f'<saml:Assertion ID="{self.assertion_id}" Version="2.0" IssueInstant="{stamp(now)}">'
            f"<saml:Issuer>{self.issuer}</saml:Issuer>%SIGNATURE%"
            f'<saml:Subject><saml:NameID Format="{self.name_format}">{self.subject}</saml:NameID>'
            '<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData'
            f'{for_request}{until} Recipient="{self.recipient or self.acs}"/></saml:SubjectConfirmation></saml:Subject>'
            f'<saml:Conditions NotBefore="{stamp(now + self.not_before)}" NotOnOrAfter="{stamp(now + self.ends)}">'
            f"{audience if self.audience else ''}</saml:Conditions>"
            f'<saml:AuthnStatement AuthnInstant="{instant}"{session}><saml:AuthnContext><saml:AuthnContextClassRef>'
            "urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef></saml:AuthnContext>"
            f"</saml:AuthnStatement><saml:AttributeStatement>{attributes}</saml:AttributeStatement>"
            "</saml:Assertion></samlp:Response>"
        )


def template(target: str, method: str = "rsa-sha256", digest: str = "sha256") -> str:
    more = "http://www.w3.org/2001/04/xmldsig-more#"
    methods = {"rsa-sha256": f"{more}rsa-sha256", "rsa-sha1": "http://www.w3.org/2000/09/xmldsig#rsa-sha1"}
    digests = {
        "sha256": "http://www.w3.org/2001/04/xmlenc#sha256",
        "sha1": "http://www.w3.org/2000/09/xmldsig#sha1",
    }
    exclusive = "http://www.w3.org/2001/10/xml-exc-c14n#"
    return (
        f'<ds:Signature xmlns:ds="{NAMESPACES["ds"]}"><ds:SignedInfo>'
        f'<ds:CanonicalizationMethod Algorithm="{exclusive}"/><ds:SignatureMethod Algorithm="{methods[method]}"/>'
        f'<ds:Reference URI="#{target}"><ds:Transforms>'
        '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>'
        f'<ds:Transform Algorithm="{exclusive}"/></ds:Transforms>'
        f'<ds:DigestMethod Algorithm="{digests[digest]}"/><ds:DigestValue/></ds:Reference></ds:SignedInfo>'
        "<ds:SignatureValue/></ds:Signature>"
    )


@dataclass
class ForgedIdp:
    """Signs with its own key."""

    private: str
    certificate: str

    def metadata(self) -> str:
        """What an administrator uploads."""
        der = "".join(self.certificate.strip().splitlines()[1:-1])
        return (
            f'<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{ENTITY_ID}">'
            '<md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">'
            f'<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="{NAMESPACES["ds"]}"><ds:X509Data>'
            f"<ds:X509Certificate>{der}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
            '<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"'
            f' Location="{SSO_URL}"/></md:IDPSSODescriptor></md:EntityDescriptor>'
        )

    def signed(self, said: Said, now: datetime, **form: str) -> Any:
        """The response as a tree, with its assertion signed."""
        root = etree.fromstring(said.xml(now).replace("%SIGNATURE%", template(said.assertion_id, **form)))
        assertion = root.find("saml:Assertion", NAMESPACES)
        self._sign(assertion)
        return root

    def signed_outside(self, said: Said, now: datetime) -> Any:
        """The response with the envelope signed, and the assertion only by being in it."""
        bare = said.xml(now).replace("%SIGNATURE%", "")
        root = etree.fromstring(bare.replace("<samlp:Status>", template("_response-1") + "<samlp:Status>", 1))
        self._sign(root)
        return root

    def _sign(self, element: Any) -> None:
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_memory(self.private.encode(), xmlsec.constants.KeyDataFormatPem)
        context.register_id(element, "ID")
        context.sign(element.find("ds:Signature", NAMESPACES))


def encoded(root: Any) -> str:
    return base64.b64encode(etree.tostring(root)).decode()
