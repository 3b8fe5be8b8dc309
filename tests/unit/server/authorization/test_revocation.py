"""Ending a sign-in from the client's side (RFC 7009)."""

from typing import Any

import pytest


@pytest.fixture
def signed_in(administrator: Any, clock: Any) -> dict[str, str]:
    from keystead.server.authorization import access_tokens, clients, sign_ins
    from keystead.server.authorization.surroundings import now
    from keystead.server.identifiers import new_id
    from keystead.wire import ids

    client = clients.find("keystead-cli")
    redeemed = sign_ins.begin(sign_ins.Approval(client, administrator, "openid models:use"), "test", now())
    access_token = access_tokens.sign(redeemed.grant, redeemed.scope, new_id(), now())[0]
    wire_id = ids.dump("grant", redeemed.grant.id)
    assert redeemed.refresh_token is not None
    assert redeemed.ticket is not None
    return {
        "refresh_token": redeemed.refresh_token,
        "access_token": access_token,
        "revocation_ticket": redeemed.ticket,
        "grant": wire_id,
    }


@pytest.mark.requirement("rfc7009 2.1")
@pytest.mark.parametrize("kind", ["refresh_token", "access_token", "revocation_ticket"])
@pytest.mark.parametrize("hint", ["", "refresh_token", "access_token", "revocation_ticket"])
def test_any_of_them_ends_the_whole_sign_in(program: Any, signed_in: dict[str, str], kind: str, hint: str) -> None:
    from keystead.server.authorization import operations

    assert program.post("/oauth/revoke", token=signed_in[kind], token_type_hint=hint) == (200, {})
    assert not operations.grant_is_live(signed_in["grant"])
    assert program.post("/oauth/revoke", token=signed_in[kind]) == (200, {}), "again is no error"


@pytest.mark.requirement("rfc7009 2.1")
def test_another_client_ends_nothing(program: Any, signed_in: dict[str, str]) -> None:
    from keystead.server.authorization import operations

    program.post("/oauth/revoke", token=signed_in["refresh_token"], client_id="gateway-agent")
    program.post("/oauth/revoke", token=signed_in["revocation_ticket"], client_id="gateway-agent")
    assert operations.grant_is_live(signed_in["grant"])
    program.post("/oauth/revoke", token=signed_in["refresh_token"], client_id="keystead-cli")
    assert not operations.grant_is_live(signed_in["grant"])


def test_what_happened_is_written_down_without_secrets(program: Any, signed_in: dict[str, str]) -> None:
    from keystead.server.audit.models import AuditEvent

    program.post("/oauth/revoke", token=signed_in["refresh_token"])
    events = list(AuditEvent.objects.filter(target=signed_in["grant"]).order_by("id"))
    assert [event.action for event in events] == ["grant:create", "grant:revoke"]
    told = repr([event.__dict__ for event in events])
    assert not [one for one in ("refresh_token", "revocation_ticket") if signed_in[one] in told]


@pytest.mark.requirement("R-16 queued")
def test_a_ticket_is_kept_as_its_hash_and_is_good_for_nothing_else(program: Any, signed_in: dict[str, str]) -> None:
    from keystead.server.authorization import operations
    from keystead.server.authorization.models import Grant
    from keystead.wire import tokens

    ticket = signed_in["revocation_ticket"]
    (row,) = Grant.objects.values()
    assert ticket not in repr(row)
    assert Grant.objects.filter(ticket_digest=tokens.digest(ticket)).exists()
    status, answer = program.token(grant_type="refresh_token", refresh_token=ticket, client_id="keystead-cli")
    assert (status, answer["error"]) == (401, "invalid_grant")
    assert program.web.get("/oauth/userinfo", headers={"authorization": f"Bearer {ticket}"}).status_code == 401
    assert operations.grant_is_live(signed_in["grant"])
