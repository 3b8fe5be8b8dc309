"""Passkeys: WebAuthn credentials that an authenticator keeps and unlocks by PIN, finger or face: two factors in one.

The relying party is the host of ``base_url``, never what a request says its host is. Browsers take a host name with
TLS, or ``localhost``; an address such as 127.0.0.1 they do not take at all (WebAuthn Level 3 section 5.1.2).
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from django.db.models import Q
from fido2.server import Fido2Server
from fido2.utils import websafe_decode
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from keystead.server.factors.models import Passkey
from keystead.server.identity.models import Person

MOST: Final = 20
"""Passkeys of one person."""
State = dict[str, str]
"""What the browser's session keeps between a question and its answer: the challenge."""
Options = dict[str, Any]
"""What ``navigator.credentials`` is called with, as JSON."""


class NotAccepted(ValueError):
    """What the browser sent is no answer to the question, or of no known passkey; the message is for the log."""


def are_possible(base_url: str) -> bool:
    """Return whether browsers offer passkeys for this address at all."""
    origin = urlsplit(base_url)
    host = origin.hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return origin.scheme == "https" or host == "localhost" or host.endswith(".localhost")
    return False


def ask_for_new(person: Person, base_url: str) -> tuple[Options, State]:
    """Return what makes the person's authenticator create a passkey that it does not have yet."""
    user = PublicKeyCredentialUserEntity(id=person.id.bytes, name=person.email, display_name=str(person))
    options, state = _server(base_url).register_begin(
        user,
        [_credential(one) for one in person.passkeys.all()],
        ResidentKeyRequirement.REQUIRED,
        UserVerificationRequirement.REQUIRED,
    )
    return dict(options), _plain(state)


def add(person: Person, state: Mapping[str, str], response: Any, name: str, now: datetime, base_url: str) -> Passkey:
    """Store the passkey that the browser created.

    Raises:
        NotAccepted: it is no answer to the question, or the passkey is somebody's already.
    """
    try:
        made = _server(base_url).register_complete(state, response)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NotAccepted(str(error)) from error
    credential = made.credential_data
    if credential is None or Passkey.objects.filter(credential_id=credential.credential_id).exists():
        raise NotAccepted("a passkey that is known already")
    return Passkey.objects.create(
        person=person,
        credential_id=credential.credential_id,
        credential=bytes(credential),
        sign_count=made.counter,
        name=name,
        created_at=now,
    )


def ask(base_url: str, person: Person | None = None) -> tuple[Options, State]:
    """Return what makes an authenticator sign: one of this person's passkeys, or any for this server."""
    credentials = None if person is None else [_credential(one) for one in person.passkeys.all()]
    options, state = _server(base_url).authenticate_begin(credentials, UserVerificationRequirement.REQUIRED)
    return dict(options), _plain(state)


def use(state: Mapping[str, str], response: Any, now: datetime, base_url: str, person: Person | None = None) -> Passkey:
    """Return the passkey whose answer this is; an answer is taken once, and a counter that goes back never.

    Args:
        state: as :func:`ask` gave it; the caller forgets it at the first answer.
        response: what the browser sent.
        now: when.
        base_url: this server's.
        person: whose it must be; None for whoever the answer says.

    Raises:
        NotAccepted: it is no answer to the question, or the passkey is unknown, another's or was copied.
    """
    try:
        answer = AuthenticationResponse.from_dict(response)
        named = answer.response.user_handle
        found = Passkey.objects.select_related("person").filter(credential_id=answer.raw_id).first()
        if found is None or (person is not None and found.person_id != person.pk):
            raise NotAccepted("an unknown passkey")
        if named and bytes(named) != found.person.id.bytes:
            raise NotAccepted("a passkey of somebody else than it says")
        _server(base_url).authenticate_complete(state, [_credential(found)], answer)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NotAccepted(str(error)) from error
    count, challenge = answer.response.authenticator_data.counter, _digest(state)
    forward = Q(sign_count__lt=count) if count else Q(sign_count=0)
    fresh = Passkey.objects.filter(forward, pk=found.pk).exclude(last_challenge=challenge)
    if fresh.update(sign_count=count, last_challenge=challenge, last_used_at=now) != 1:
        raise NotAccepted("an answer that was used before, or a counter that went back")
    return found


def _server(base_url: str) -> Fido2Server:
    origin = urlsplit(base_url)
    party = PublicKeyCredentialRpEntity(id=origin.hostname, name="Keystead")
    return Fido2Server(party, verify_origin=lambda said: said == f"{origin.scheme}://{origin.netloc}")


def _credential(passkey: Passkey) -> AttestedCredentialData:
    return AttestedCredentialData(bytes(passkey.credential))


def _plain(state: Mapping[str, Any]) -> State:
    return {name: str(value) for name, value in state.items()}


def _digest(state: Mapping[str, str]) -> bytes:
    return hashlib.sha256(websafe_decode(state["challenge"])).digest()
