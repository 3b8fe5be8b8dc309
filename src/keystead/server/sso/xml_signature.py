"""XML signatures, and only what they cover: the defence against wrapping.

A SAML response is a tree in which one part is signed. Whoever verifies one part and reads another is deceived by a
document that has both. So this module takes one narrow form (one signature, as a child of the element it signs, over
that element's own identifier, by two known transforms), verifies it with xmlsec under a key that was configured, and
gives back the *bytes* whose hash was signed. Whatever is read is read from these.
"""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any, Final

import xmlsec
from lxml import etree

from keystead.server.sso.faults import SignInFault, untrusted

DS: Final = "{http://www.w3.org/2000/09/xmldsig#}"
EXCLUSIVE: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED: Final = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
_MORE: Final = "http://www.w3.org/2001/04/xmldsig-more#"
METHODS: Final = frozenset(f"{_MORE}{key}-sha{size}" for key in ("rsa", "ecdsa") for size in (256, 384, 512))
DIGESTS: Final = {
    "http://www.w3.org/2001/04/xmlenc#sha256": hashlib.sha256,
    f"{_MORE}sha384": hashlib.sha384,
    "http://www.w3.org/2001/04/xmlenc#sha512": hashlib.sha512,
}
"""No SHA-1: collisions in it can be bought."""
LARGEST: Final = 512 * 1024


def parse(document: bytes) -> Any:
    """Return the root element of a document without entities, comments or instructions.

    Raises:
        SignInFault: it is none.
    """
    if len(document) > LARGEST:
        raise untrusted("xml_too_large", "The document is too large.")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(document, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise untrusted("xml_malformed", "The document is not XML.") from error
    has_more = root.getroottree().docinfo.internalDTD is not None
    if has_more or any(not isinstance(node.tag, str) for node in root.getroottree().iter()):
        raise untrusted("xml_unusual", "The document has a DTD, an entity, a comment or an instruction.")
    return root


def signed_bytes(element: Any, certificates: Iterable[str]) -> bytes:
    """Return the canonical form of ``element`` that one of ``certificates`` (PEM) signed.

    The element's tree is changed: its signature is taken out.

    Raises:
        SignInFault: it is not signed, or not in the one form that is taken, or by somebody else.
    """
    signature = _only(element.findall(f"{DS}Signature"), "signature_missing", "The assertion is not signed.")
    reference = _reference(element, signature)
    if not any(_verifies(element, signature, certificate) for certificate in certificates):
        raise untrusted("signature", "The assertion is not signed by this connection's identity provider.")
    canonical = _canonical_without(element, signature, reference)
    digest = DIGESTS[reference.find(f"{DS}DigestMethod").get("Algorithm")]
    stated = "".join((reference.findtext(f"{DS}DigestValue") or "").split())
    if not hmac.compare_digest(_base64(digest(canonical).digest()), stated):
        raise untrusted("signature", "The signature does not cover the assertion.")
    return canonical


def _reference(element: Any, signature: Any) -> Any:
    """Return the signature's only reference, once its form is the one that is taken."""
    info = _only(signature.findall(f"{DS}SignedInfo"), *_FORM)
    reference = _only(info.findall(f"{DS}Reference"), *_FORM)
    transforms = [one.get("Algorithm") for one in reference.findall(f"{DS}Transforms/{DS}Transform")]
    holds = (
        element.get("ID")
        and reference.get("URI") == f"#{element.get('ID')}"
        and _identifiers_differ(element)
        and _algorithm(info, "CanonicalizationMethod") == EXCLUSIVE
        and _algorithm(info, "SignatureMethod") in METHODS
        and _algorithm(reference, "DigestMethod") in DIGESTS
        and transforms == [ENVELOPED, EXCLUSIVE]
        and not signature.findall(f"{DS}Object")
    )
    if not holds:
        raise SignInFault(*_FORM, hint="The identity provider must sign the assertion with SHA-256 or better.")
    return reference


_FORM: Final = ("signature_form", "The assertion is signed in a form that is not taken.")


def _only(found: list[Any], reason: str, message: str) -> Any:
    if len(found) != 1:
        raise untrusted(reason, message)
    return found[0]


def _algorithm(parent: Any, name: str) -> str | None:
    found = parent.findall(f"{DS}{name}")
    return found[0].get("Algorithm") if len(found) == 1 else None


def _identifiers_differ(element: Any) -> bool:
    names = [node.get("ID") for node in element.getroottree().iter() if node.get("ID") is not None]
    return len(names) == len(set(names))


def _verifies(element: Any, signature: Any, certificate: str) -> bool:
    """Ask xmlsec, with the key that was configured; what the signature says about its own key is not used."""
    context = xmlsec.SignatureContext()
    try:
        context.key = xmlsec.Key.from_memory(certificate.encode(), xmlsec.constants.KeyDataFormatCertPem)
        context.register_id(element, "ID")
        context.verify(signature)
    except (xmlsec.Error, TypeError, ValueError):
        return False
    return True


def _canonical_without(element: Any, signature: Any, reference: Any) -> bytes:
    prefixes = reference.find(f"{DS}Transforms/{DS}Transform/{{{EXCLUSIVE}}}InclusiveNamespaces")
    inclusive = (prefixes.get("PrefixList") or "").split() if prefixes is not None else []
    before, tail = signature.getprevious(), signature.tail or ""
    if before is None:
        element.text = (element.text or "") + tail
    else:
        before.tail = (before.tail or "") + tail
    element.remove(signature)
    canonical: bytes = etree.tostring(
        element, method="c14n", exclusive=True, with_comments=False, inclusive_ns_prefixes=inclusive or None
    )
    return canonical


def _base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()
