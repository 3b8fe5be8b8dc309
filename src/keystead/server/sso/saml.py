"""SAML 2.0 as a service provider: what is asked, and what of the answer is believed. No input or output.

The Web Browser SSO profile (SAML Profiles 4.1) with the answer by POST. The assertion itself must be signed; every
condition of the profile must be there and hold, and is read from the bytes that were signed.
"""

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from xml.sax.saxutils import escape, quoteattr

from keystead.server.sso.asserted import NEVER, Asserted
from keystead.server.sso.faults import SignInFault, untrusted
from keystead.server.sso.saml_settings import SamlSettings
from keystead.server.sso.xml_signature import LARGEST, parse, signed_bytes

SAML: Final = "{urn:oasis:names:tc:SAML:2.0:assertion}"
SAMLP: Final = "{urn:oasis:names:tc:SAML:2.0:protocol}"
SUCCESS: Final = "urn:oasis:names:tc:SAML:2.0:status:Success"
BEARER: Final = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
TRANSIENT: Final = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
EMAIL_FORMAT: Final = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
SKEW: Final = timedelta(seconds=60)
"""By how much two clocks may differ."""
LONGEST: Final = timedelta(hours=1)
"""An assertion that lives longer would have to be remembered longer; it comes straight from the identity provider."""

EMAIL_NAMES: Final = (
    "email",
    "mail",
    "emailAddress",
    "urn:oid:0.9.2342.19200300.100.1.3",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
)
PERSON_NAMES: Final = (
    "displayName",
    "name",
    "cn",
    "urn:oid:2.16.840.1.113730.3.1.241",
    "http://schemas.microsoft.com/identity/claims/displayname",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
)
"""Under which names attributes come unless the administrator says otherwise."""


@dataclass(frozen=True, slots=True)
class Here:
    """This server as one connection's identity provider knows it."""

    entity_id: str
    acs_url: str

    @classmethod
    def of(cls, base_url: str, connection_id: str) -> "Here":
        """Return the names of the connection ``con_…`` on the server at ``base_url``."""
        return cls(f"{base_url}/saml/{connection_id}/metadata", f"{base_url}/saml/{connection_id}/acs")

    def metadata(self) -> bytes:
        """Return the document to give to the identity provider (SAML Metadata 2.4.4)."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata"'
            f" entityID={quoteattr(self.entity_id)}>"
            '<md:SPSSODescriptor AuthnRequestsSigned="false" WantAssertionsSigned="true"'
            ' protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">'
            "<md:NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:persistent</md:NameIDFormat>"
            '<md:AssertionConsumerService index="0" isDefault="true"'
            ' Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"'
            f" Location={quoteattr(self.acs_url)}/>"
            "</md:SPSSODescriptor></md:EntityDescriptor>\n"
        ).encode()


_ANEW: Final = ' ForceAuthn="true"'


def request_url(here: Here, settings: SamlSettings, request_id: str, now: datetime, *, again: bool = False) -> str:
    """Return where the browser is sent (SAML Bindings 3.4); ``again`` asks whoever is there to sign in anew."""
    request = (
        '<samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"'
        ' xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"'
        f' ID={quoteattr(request_id)} Version="2.0" IssueInstant="{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"'
        f" Destination={quoteattr(settings.sso_url)}"
        f" AssertionConsumerServiceURL={quoteattr(here.acs_url)}{_ANEW if again else ''}"
        ' ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST">'
        f"<saml:Issuer>{escape(here.entity_id)}</saml:Issuer>"
        "</samlp:AuthnRequest>"
    )
    deflate = zlib.compressobj(wbits=-15)
    packed = base64.b64encode(deflate.compress(request.encode()) + deflate.flush()).decode()
    there = settings.sso_url
    return f"{there}{'&' if '?' in there else '?'}{urlencode({'SAMLRequest': packed})}"


@dataclass(frozen=True, slots=True)
class Arrived:
    """A response that holds.

    Attributes:
        assertion_id: to be taken once.
        in_response_to: which request it answers; None when the identity provider began.
        ends: until when the assertion could be taken.
    """

    assertion_id: str
    in_response_to: str | None
    ends: datetime
    said: Asserted


def read(encoded: str, here: Here, settings: SamlSettings, now: datetime) -> Arrived:
    """Return what a response says, if it holds.

    Raises:
        SignInFault: it does not; the reason is for the audit record, the sentence for the person.
    """
    response = parse(_decoded(encoded))
    _check_response(response, here, settings)
    assertion = parse(signed_bytes(_only_assertion(response), settings.certificates))
    issuers = assertion.findall(f"{SAML}Issuer")
    if len(issuers) != 1 or _text(issuers[0]) != settings.entity_id:
        raise untrusted("issuer", "The assertion was issued by somebody else than this connection's identity provider.")
    _check_conditions(assertion, here, now)
    confirmation = _confirmation(assertion, here, now)
    in_response_to = confirmation.get("InResponseTo")
    if response.get("InResponseTo") != in_response_to:
        raise untrusted("in_response_to", "The response and its assertion answer different questions.")
    ends = _time(confirmation, "NotOnOrAfter")
    return Arrived(assertion.get("ID"), in_response_to, ends + SKEW, _asserted(assertion, settings, now))


def _decoded(encoded: str) -> bytes:
    if len(encoded) > 2 * LARGEST:
        raise untrusted("xml_too_large", "The response is too large.")
    try:
        return base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise untrusted("base64", "The response is not base64.") from error


def _check_response(response: Any, here: Here, settings: SamlSettings) -> None:
    """Check the envelope. It may be unsigned, so nothing here lets anybody in; it can only refuse."""
    if response.tag != f"{SAMLP}Response" or response.get("Version") != "2.0":
        raise untrusted("not_a_response", "This is not a SAML 2.0 response.")
    status = [one.get("Value") for one in response.findall(f"{SAMLP}Status/{SAMLP}StatusCode")]
    if status != [SUCCESS]:
        raise SignInFault("provider_refused", "The identity provider did not sign you in.", hint="Start again.")
    if response.get("Destination") not in {None, here.acs_url}:
        raise untrusted("destination", "The response was meant for another address.")
    if any(_text(one) != settings.entity_id for one in response.findall(f"{SAML}Issuer")):
        raise untrusted("issuer", "The response is from somebody else than this connection's identity provider.")


def _only_assertion(response: Any) -> Any:
    if next(response.iter(f"{SAML}EncryptedAssertion"), None) is not None:
        raise SignInFault(
            "encrypted", "The assertion is encrypted.", hint="Switch encryption off there: TLS protects it already."
        )
    found = list(response.iter(f"{SAML}Assertion"))
    if len(found) != 1 or found[0].getparent() is not response:
        raise untrusted("assertion_count", "The response must hold exactly one assertion.")
    return found[0]


def _check_conditions(assertion: Any, here: Here, now: datetime) -> None:
    found = assertion.findall(f"{SAML}Conditions")
    if len(found) != 1 or assertion.get("Version") != "2.0" or not assertion.get("ID"):
        raise untrusted("conditions", "The assertion does not say under which conditions it holds.")
    conditions = found[0]
    if _has(conditions, "NotBefore") and now + SKEW < _time(conditions, "NotBefore"):
        raise untrusted("not_yet", "The assertion holds only later; the two clocks differ by more than a minute.")
    if _has(conditions, "NotOnOrAfter") and _time(conditions, "NotOnOrAfter") + SKEW <= now:
        raise untrusted("expired", "The assertion has expired.")
    audiences = [
        [_text(one) for one in restriction.findall(f"{SAML}Audience")]
        for restriction in conditions.findall(f"{SAML}AudienceRestriction")
    ]
    if not audiences or not all(here.entity_id in named for named in audiences):
        raise untrusted("audience", "The assertion was made for another application.")


def _confirmation(assertion: Any, here: Here, now: datetime) -> Any:
    """Return the bearer confirmation that holds (SAML Profiles 4.1.4.2)."""
    for one in assertion.findall(f"{SAML}Subject/{SAML}SubjectConfirmation"):
        data = one.find(f"{SAML}SubjectConfirmationData")
        if one.get("Method") != BEARER or data is None or data.get("Recipient") != here.acs_url:
            continue
        if _has(data, "NotBefore") or not _has(data, "NotOnOrAfter"):
            continue
        if now < _time(data, "NotOnOrAfter") + SKEW and _time(data, "NotOnOrAfter") <= now + LONGEST:
            return data
    raise untrusted("confirmation", "The assertion was not made for this sign-in, or it has expired.")


def _asserted(assertion: Any, settings: SamlSettings, now: datetime) -> Asserted:
    names = assertion.findall(f"{SAML}Subject/{SAML}NameID")
    subject = _text(names[0]) if len(names) == 1 else ""
    if not subject or len(subject) > 512:
        raise untrusted("subject", "The assertion names nobody.")
    if names[0].get("Format") == TRANSIENT:
        raise SignInFault(
            "subject_transient",
            "The identity provider gives you a new name each time.",
            hint="It must send a persistent name identifier.",
        )
    said = _attributes(assertion)
    by_name = subject if names[0].get("Format") == EMAIL_FORMAT else ""
    return Asserted(
        subject=subject,
        email=_first(said, (settings.email_attribute,) if settings.email_attribute else EMAIL_NAMES) or by_name,
        email_verified=True,
        name=_first(said, (settings.name_attribute,) if settings.name_attribute else PERSON_NAMES),
        groups=tuple(said.get(settings.groups_attribute, ())),
        said={"NameID": subject, **said},
        valid_until=_session_end(assertion, now),
        authenticated_at=max(_instant(one) for one in assertion.findall(f"{SAML}AuthnStatement")),
    )


def _instant(statement: Any) -> datetime:
    """Return the ``AuthnInstant`` of a statement (SAML Core 2.7.2); only a sign-in that needs it minds its absence."""
    try:
        return _time(statement, "AuthnInstant")
    except SignInFault:
        return NEVER


def _session_end(assertion: Any, now: datetime) -> datetime | None:
    statements = assertion.findall(f"{SAML}AuthnStatement")
    if not statements:
        raise untrusted("authn_statement", "The assertion does not say that somebody signed in.")
    ends = [_time(one, "SessionNotOnOrAfter") for one in statements if _has(one, "SessionNotOnOrAfter")]
    if any(one <= now for one in ends):
        raise untrusted("session_ended", "The session at the identity provider has ended.")
    return min(ends, default=None)


def _attributes(assertion: Any) -> dict[str, list[str]]:
    said: dict[str, list[str]] = {}
    for attribute in assertion.findall(f"{SAML}AttributeStatement/{SAML}Attribute"):
        values = [_text(value) for value in attribute.findall(f"{SAML}AttributeValue")]
        said.setdefault(attribute.get("Name", ""), []).extend(value for value in values if value)
    return said


def _first(said: Mapping[str, list[str]], names: tuple[str, ...]) -> str:
    return next((said[name][0][:320] for name in names if said.get(name)), "")


def _text(element: Any) -> str:
    return "".join(element.itertext()).strip()


def _has(element: Any, name: str) -> bool:
    return element.get(name) is not None


def _time(element: Any, name: str) -> datetime:
    """Return an xs:dateTime with its time zone."""
    try:
        found = datetime.fromisoformat(element.get(name, ""))
    except ValueError:
        found = datetime.min  # noqa: DTZ901 - refused below
    if found.tzinfo is None:
        raise untrusted("time", "A time in the assertion cannot be read.")
    return found
