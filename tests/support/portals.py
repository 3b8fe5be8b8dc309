"""A program that signs people in at this server, and hears at its relying party when that has ended."""

import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field, replace
from secrets import token_bytes
from typing import Any

import relying_party
from relying_party import RelyingParty, Session

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Portal:
    """The program, its server, and its relying party."""

    base: str
    member: Any
    party: RelyingParty
    clock: Any
    proof: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def post(self, path: str, **form: str) -> dict[str, Any]:
        body = urllib.parse.urlencode({**self.proof, **form}).encode()
        try:
            with OPENER.open(self.base + path, body, timeout=60) as answer:
                return dict(json.loads(answer.read()))
        except urllib.error.HTTPError as error:
            with error:
                return dict(json.loads(error.read()))

    def sign_in(self, member: Any = None, **form: str) -> tuple[Session, dict[str, Any]]:
        """Sign a person in with a device code; the session is what the ID token says."""
        from keystead.server.authorization import device_codes
        from keystead.server.authorization.surroundings import now

        given = self.post("/oauth/device_authorization", **form)
        waiting = device_codes.waiting(given["user_code"], now())
        assert waiting is not None
        assert device_codes.decide(waiting, device_codes.Answer(True, member or self.member), now())
        tokens = self.post("/oauth/token", grant_type=DEVICE, device_code=given["device_code"])
        said = claims(tokens.get("id_token", tokens["access_token"]))
        return Session(self.base, self.proof["client_id"], said["sub"], said["sid"]), tokens

    def is_told(self, session: Session, token: str | None = None) -> dict[str, Any]:
        """Check the next token that came, by what this server publishes."""
        with OPENER.open(f"{self.base}/oauth/jwks", timeout=60) as answer:
            jwks = json.loads(answer.read())
        return relying_party.check(token or self.party.next(), jwks, session, self.clock.now(), self.seen)


def claims(token: str) -> dict[str, Any]:
    """Return what a token says, unchecked."""
    from joserfc import jws

    return dict(json.loads(jws.extract_compact(token.encode()).payload))


def register(member: Any, address: str, **more: Any) -> dict[str, str]:
    """Register the program with that logout address, and return what it proves itself by."""
    from keystead.server.authorization import registry
    from keystead.server.authorization.models import AuthMethod
    from keystead.server.authorization.surroundings import now

    usual = {"grant_types": [DEVICE, "refresh_token"], "backchannel_logout_session_required": bool(address)}
    wanted = registry.Registration("Portal", AuthMethod.CLIENT_SECRET_POST, **{**usual, **more})
    wanted = replace(wanted, backchannel_logout_uri=address)
    client, secret = registry.register(member, wanted, now(), token_bytes)
    assert secret is not None
    return {"client_id": client.client_id, "client_secret": secret.reveal()}


def tell() -> bool:
    """Do one round of the server's housekeeping."""
    from keystead.server.authorization import logout_delivery
    from keystead.server.authorization.surroundings import now

    return logout_delivery.tell(now())


def outcomes() -> list[tuple[str, dict[str, Any]]]:
    """Return what the audit record says of logout tokens."""
    from keystead.server.audit.models import AuditEvent

    events = AuditEvent.objects.filter(action__startswith="logout:").order_by("id")
    return [(event.action, event.details) for event in events]


def at_the_revocation_endpoint(portal: Portal, _: Session, tokens: dict[str, Any]) -> None:
    assert portal.post("/oauth/revoke", token=tokens["refresh_token"]) == {}


def a_member_is_removed(_: Portal, member: Any) -> None:
    from keystead.server.authorization.surroundings import now
    from keystead.server.organizations import memberships

    assert memberships.deactivate(member, "system", "scim_deleted", now())
