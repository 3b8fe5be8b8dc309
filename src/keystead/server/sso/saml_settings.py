"""What a SAML connection keeps in its row, and how it is read from an identity provider's metadata."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from keystead.errors import ConfigurationError
from keystead.server.sso.faults import SignInFault
from keystead.server.sso.network import check_url
from keystead.server.sso.xml_signature import DS, parse

MD: Final = "{urn:oasis:names:tc:SAML:2.0:metadata}"
REDIRECT: Final = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
SMALLEST_RSA: Final = 2048


@dataclass(frozen=True, slots=True)
class SamlSettings:
    """The settings of one connection.

    Attributes:
        entity_id: the identity provider's name.
        sso_url: where the browser is sent.
        certificates: PEM; any of them may have signed, so that the identity provider can change its key.
        email_attribute: under which name the address comes; empty for the usual ones.
        takes_unasked: whether the identity provider may begin a sign-in.
    """

    entity_id: str
    sso_url: str
    certificates: tuple[str, ...]
    email_attribute: str = ""
    name_attribute: str = ""
    groups_attribute: str = "groups"
    takes_unasked: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a row."""
        return {**asdict(self), "certificates": list(self.certificates)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "SamlSettings":
        """Read what :meth:`to_json` gave."""
        return cls(**{**values, "certificates": tuple(values["certificates"])})

    @property
    def keys(self) -> list[dict[str, Any]]:
        """The certificates as an administrator reads them."""
        found = [x509.load_pem_x509_certificate(one.encode()) for one in self.certificates]
        return [{"subject": one.subject.rfc4514_string(), "until": one.not_valid_after_utc} for one in found]


def from_metadata(document: bytes, now: datetime) -> SamlSettings:
    """Return the settings that an identity provider's metadata describe (SAML Metadata 2.4.3).

    Raises:
        ConfigurationError: they cannot be used; the message says why.
    """
    try:
        root = parse(document)
    except SignInFault as error:
        raise _unusable(error.message) from error
    entities = [one for one in root.iter(f"{MD}EntityDescriptor") if one.find(f"{MD}IDPSSODescriptor") is not None]
    if len(entities) != 1 or not entities[0].get("entityID"):
        raise _unusable("It must describe exactly one identity provider.")
    _check_age(entities[0], now)
    role = entities[0].find(f"{MD}IDPSSODescriptor")
    urls = [
        one.get("Location", "") for one in role.findall(f"{MD}SingleSignOnService") if one.get("Binding") == REDIRECT
    ]
    if not urls:
        raise _unusable("It offers no sign-in by redirect (HTTP-Redirect).")
    check_url(urls[0])
    return SamlSettings(entities[0].get("entityID"), urls[0], _certificates(role))


def _check_age(entity: Any, now: datetime) -> None:
    until = entity.get("validUntil")
    if until is None:
        return
    try:
        is_old = datetime.fromisoformat(until) <= now
    except (ValueError, TypeError):
        is_old = True
    if is_old:
        raise _unusable("Its time of validity has passed; fetch it again.")


def _certificates(role: Any) -> tuple[str, ...]:
    keys = [one for one in role.findall(f"{MD}KeyDescriptor") if one.get("use") in {None, "signing"}]
    texts = [text.text or "" for key in keys for text in key.iter(f"{DS}X509Certificate")]
    found = tuple(dict.fromkeys(_pem(text) for text in texts))
    if not found:
        raise _unusable("It holds no certificate to verify signatures with.")
    return found


def _pem(text: str) -> str:
    try:
        certificate = x509.load_der_x509_certificate(base64.b64decode("".join(text.split()), validate=True))
        key = certificate.public_key()
    except (ValueError, binascii.Error, TypeError) as error:
        raise _unusable("One of its certificates cannot be read.") from error
    large_enough = isinstance(key, ec.EllipticCurvePublicKey) or (
        isinstance(key, rsa.RSAPublicKey) and key.key_size >= SMALLEST_RSA
    )
    if not large_enough:
        raise _unusable("One of its certificates has a key that is too weak.")
    return certificate.public_bytes(Encoding.PEM).decode()


def _unusable(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"These metadata cannot be used. {why}",
        hint="Take them from your identity provider once more.",
        move="administrator",
    )
