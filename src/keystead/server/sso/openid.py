"""OpenID Connect as a relying party: what is asked, and what of the answer is believed. No input or output.

The code flow with PKCE, ``state`` and ``nonce`` (OpenID Connect Core 3.1, RFC 9700). An answer is believed when the
issuer that signed it is the one that was asked, by an algorithm that was agreed when the connection was set up.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, quote_plus, urlencode

from keystead.secret import Secret
from keystead.server import assertions
from keystead.server.assertions import NotVerified, SignedClaims, UnknownKey
from keystead.server.sso.faults import untrusted
from keystead.wire.fields import Fields, Malformed
from keystead.wire.http import Request

DISCOVERY_PATH: Final = "/.well-known/openid-configuration"
OLDEST: Final = 600
"""Seconds since an ID token was issued: it comes straight from the token endpoint."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What discovery said, as it is kept with the connection."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    token_auth: str
    algorithms: tuple[str, ...]
    scopes: tuple[str, ...]
    names_itself: bool

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a row."""
        return {**asdict(self), "algorithms": list(self.algorithms), "scopes": list(self.scopes)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Metadata":
        """Read what :meth:`to_json` gave."""
        known = {name: values[name] for name in cls.__dataclass_fields__}
        return cls(**{**known, "algorithms": tuple(known["algorithms"]), "scopes": tuple(known["scopes"])})


def discovery_request(issuer: str) -> Request:
    """Return the question for the metadata of ``issuer`` (OpenID Connect Discovery 4)."""
    address = issuer.strip().removesuffix(DISCOVERY_PATH).rstrip("/") + DISCOVERY_PATH
    return Request("GET", address, {"accept": "application/json"})


def parse_metadata(body: bytes, asked: str) -> Metadata:
    """Return the metadata, if it is that of the issuer that was asked.

    Raises:
        Malformed: it is not the document, lacks what is needed, or is another issuer's.
    """
    found = Fields.parse(body, "discovery document")
    issuer = found.text("issuer")
    if issuer.rstrip("/") != asked.strip().removesuffix(DISCOVERY_PATH).rstrip("/"):
        raise Malformed("the discovery document names another issuer than the one that was asked")
    if "code" not in found.texts("response_types_supported"):
        raise Malformed("the identity provider does not offer the code flow")
    offered = found.texts("id_token_signing_alg_values_supported")
    algorithms = tuple(one for one in offered if one in assertions.ALGORITHMS)
    if not algorithms:
        raise Malformed("the identity provider signs with no algorithm that can be trusted")
    return Metadata(
        issuer=issuer,
        authorization_endpoint=found.text("authorization_endpoint"),
        token_endpoint=found.text("token_endpoint"),
        jwks_uri=found.text("jwks_uri"),
        userinfo_endpoint=found.optional_text("userinfo_endpoint") or "",
        token_auth=_token_auth(found.texts("token_endpoint_auth_methods_supported")),
        algorithms=algorithms,
        scopes=found.texts("scopes_supported"),
        names_itself=found.flag("authorization_response_iss_parameter_supported"),
    )


def _token_auth(offered: Iterable[str]) -> str:
    """Return how the client authenticates; without a word about it, ``client_secret_basic`` is meant."""
    known = [
        one for one in ("client_secret_basic", "client_secret_post") if one in (offered or ("client_secret_basic",))
    ]
    return known[0] if known else "client_secret_basic"


@dataclass(frozen=True, slots=True)
class Registration:
    """How the identity provider knows this server."""

    client_id: str
    client_secret: Secret | None
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What ties an answer to the browser and the question: all three are derived for one attempt."""

    state: str
    nonce: str
    code_challenge: str


def authorization_url(
    metadata: Metadata, registration: Registration, scope: str, proof: Proof, prompt: str, *, again: bool = False
) -> str:
    """Return where the browser is sent.

    ``again`` asks whoever is there to sign in anew, and with ``max_age=0`` to be told when they did: with it the ID
    token must have ``auth_time`` (OpenID Connect Core 3.1.2.1).
    """
    prompts = dict.fromkeys([*prompt.split(), *(["login"] if again else [])])
    parameters = {
        "response_type": "code",
        "client_id": registration.client_id,
        "redirect_uri": registration.redirect_uri,
        "scope": scope,
        "state": proof.state,
        "nonce": proof.nonce,
        "code_challenge": proof.code_challenge,
        "code_challenge_method": "S256",
        **({"prompt": " ".join(prompts)} if prompts else {}),
        **({"max_age": "0"} if again else {}),
    }
    there = metadata.authorization_endpoint
    return f"{there}{'&' if '?' in there else '?'}{urlencode(parameters, quote_via=quote)}"


def check_issuer(metadata: Metadata, named: str | None) -> None:
    """Check who says that the answer is theirs (RFC 9207): two connections must not be mixed up.

    Raises:
        SignInFault: it is another one, or one that promised to name itself does not.
    """
    if named is None and metadata.names_itself:
        raise untrusted("issuer_missing", "The answer does not say which identity provider it is from.")
    if named is not None and named != metadata.issuer:
        raise untrusted("issuer_mixed_up", "The answer is from another identity provider than the one that was asked.")


def code_request(metadata: Metadata, registration: Registration, code: str, verifier: Secret) -> Request:
    """Return the exchange of the code (RFC 6749 section 4.1.3)."""
    form: dict[str, str | Secret] = {
        "grant_type": "authorization_code",
        "code": Secret(code),
        "redirect_uri": registration.redirect_uri,
        "code_verifier": verifier,
    }
    return _token_request(metadata, registration, form)


def refresh_request(metadata: Metadata, registration: Registration, refresh_token: Secret) -> Request:
    """Return the question whether the person is still welcome (RFC 6749 section 6)."""
    return _token_request(metadata, registration, {"grant_type": "refresh_token", "refresh_token": refresh_token})


def _token_request(metadata: Metadata, registration: Registration, form: dict[str, str | Secret]) -> Request:
    headers: dict[str, str | Secret] = {"accept": "application/json"}
    secret = registration.client_secret
    if secret is None or metadata.token_auth == "client_secret_post":
        form = {**form, "client_id": registration.client_id, **({"client_secret": secret} if secret else {})}
    else:
        pair = f"{quote_plus(registration.client_id)}:{quote_plus(secret.reveal())}"
        headers["authorization"] = Secret("Basic " + base64.b64encode(pair.encode()).decode())
    return Request("POST", metadata.token_endpoint, headers, form)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the token endpoint gave; the access token is used for userinfo only."""

    id_token: str
    access_token: Secret
    refresh_token: Secret | None


def parse_tokens(body: bytes) -> Tokens:
    """Read a token response.

    Raises:
        Malformed: it is not one.
    """
    found = Fields.parse(body, "token response")
    refresh = found.optional_text("refresh_token")
    return Tokens(
        id_token=found.optional_text("id_token") or "",
        access_token=Secret(found.text("access_token")),
        refresh_token=Secret(refresh) if refresh else None,
    )


def verify(
    id_token: str, keys: Mapping[str, Any], metadata: Metadata, client_id: str, nonce: str, now: datetime
) -> SignedClaims:
    """Return the claims of an ID token (OpenID Connect Core 3.1.3.7).

    Raises:
        UnknownKey: ``keys`` has no key of that name; perhaps the set is old.
        SignInFault: signature, algorithm, issuer, audience, time or nonce is not what it must be.
    """
    claims = _signed(id_token, keys, metadata, now.timestamp())
    faults = {
        "id_token_issuer": claims.get("iss") != metadata.issuer,
        "id_token_audience": not _is_for(claims, client_id),
        "id_token_old": not now.timestamp() - OLDEST <= _issued(claims),
        "id_token_nonce": claims.get("nonce") != nonce,
        "id_token_subject": not isinstance(claims.get("sub"), str) or not 0 < len(claims["sub"]) <= 255,
    }
    for reason, is_so in faults.items():
        if is_so:
            raise untrusted(reason, _SENTENCES[reason])
    return claims


_SENTENCES: Final = {
    "id_token_issuer": "The ID token was issued by somebody else than this connection's identity provider.",
    "id_token_audience": "The ID token was made for another application.",
    "id_token_old": "The ID token was issued too long ago.",
    "id_token_nonce": "The ID token belongs to another sign-in.",
    "id_token_subject": "The ID token names nobody.",
}


def _signed(id_token: str, keys: Mapping[str, Any], metadata: Metadata, now: float) -> SignedClaims:
    """Return what was signed, by an algorithm that discovery named when the connection was set up."""
    stated = assertions.read(id_token)
    if stated is None or stated.header.get("alg") not in metadata.algorithms:
        raise untrusted("id_token_algorithm", "The ID token is not signed as this connection's identity provider does.")
    try:
        return assertions.verify(id_token, keys, now)
    except UnknownKey:
        raise
    except NotVerified as error:
        raise untrusted("id_token_signature", f"The ID token does not hold. {error}") from error


def _is_for(claims: Mapping[str, Any], client_id: str) -> bool:
    audience = claims.get("aud")
    if audience in (client_id, [client_id]):
        return bool(claims.get("azp", client_id) == client_id)
    return isinstance(audience, list) and client_id in audience and bool(claims.get("azp") == client_id)


def _issued(claims: Mapping[str, Any]) -> float:
    """Return when the token was issued; without a word about it, never. That it is a time was checked."""
    issued = claims.get("iat")
    return float(issued) if issued is not None else float("-inf")
