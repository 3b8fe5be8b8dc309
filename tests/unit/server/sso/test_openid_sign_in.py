"""Signing in through an OpenID provider, and every way in which its answer must not be believed."""

from typing import TYPE_CHECKING, Any

import pytest
from forged_openid import CLIENT_ID, CLIENT_SECRET, ForgedProvider, forged_provider, now, query
from joserfc.jwk import ECKey

if TYPE_CHECKING:
    from keystead.server.organizations.models import Membership
    from keystead.server.sso.models import Connection


def reasons() -> list[Any]:
    from keystead.server.audit.models import AuditEvent

    refused = AuditEvent.objects.filter(action="connection:refuse").order_by("at", "id")
    return [event.details["reason"] for event in refused]


def test_a_newcomer_becomes_a_member_and_is_led_back_to_where_they_were(visit: Any) -> None:
    from keystead.server.organizations.models import Membership

    response = visit.sign_in(next="/device?user_code=BCDF-GHJK")

    assert (response.status_code, response["Location"]) == (302, "/device?user_code=BCDF-GHJK")
    assert visit.is_signed_in
    member = Membership.objects.get(person__email="grace@example.com")
    assert (member.role, member.person.name) == ("agent_user", "Grace")
    assert not member.person.has_usable_password()


@pytest.mark.requirement("oidc core 3.1.2.1")
def test_the_question_is_bound_to_the_browser_by_pkce_state_and_nonce(visit: Any) -> None:
    asked = visit.leave()
    again = visit.leave()

    assert asked["response_type"] == "code"
    assert asked["scope"].split() == ["openid", "email", "profile", "offline_access"]
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == f"http://127.0.0.1:8420/oauth/callback/{visit.connection.wire_id}"
    assert len({asked[name] for name in ("state", "nonce", "code_challenge")}) == 3
    assert not {asked[name] for name in ("state", "nonce", "code_challenge")} & set(again.values())


def test_the_code_is_exchanged_with_the_verifier_and_the_secret(visit: Any, forged: ForgedProvider) -> None:
    import base64
    import hashlib
    from urllib.parse import parse_qs

    challenge = visit.leave()["code_challenge"]
    visit.come_back(visit.leave()["state"])
    exchange = next(asked for asked in forged.server.asked if asked.path == "/token")
    form = parse_qs(exchange.body)

    digest = hashlib.sha256(form["code_verifier"][0].encode()).digest()
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != challenge
    name, _, secret = base64.b64decode(exchange.headers["authorization"].removeprefix("Basic ")).decode().partition(":")
    assert (name, secret.replace("+", " ")) == (CLIENT_ID, CLIENT_SECRET)


CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({"iss": "https://elsewhere.example"}, "id_token_issuer"),
    "another audience": ({"aud": "another-client"}, "id_token_audience"),
    "another party among several": ({"aud": [CLIENT_ID, "another"], "azp": "another"}, "id_token_audience"),
    "several audiences and no party": ({"aud": [CLIENT_ID, "another"]}, "id_token_audience"),
    "expired": ({"iat": now() - 400, "exp": now() - 120}, "id_token_signature"),
    "issued long ago": ({"iat": now() - 7200}, "id_token_old"),
    "issued in the future": ({"iat": now() + 600}, "id_token_signature"),
    "no expiry": ({"exp": None}, "id_token_signature"),
    "another sign-in's nonce": ({"nonce": "another"}, "id_token_nonce"),
    "no nonce": ({"nonce": None}, "id_token_nonce"),
    "no subject": ({"sub": None}, "id_token_subject"),
    "an unverified address": ({"email_verified": False}, "email_unverified"),
    "an address that only looks verified": ({"email_verified": "true"}, "email_unverified"),
    "no address": ({"email": ""}, "email_missing"),
    "a foreign domain": ({"email": "grace@elsewhere.example"}, "domain_not_proven"),
    "a domain that only ends alike": ({"email": "grace@notexample.com"}, "domain_not_proven"),
    "an address with two ats": ({"email": "grace@elsewhere.example@example.com"}, "email_malformed"),
}


@pytest.mark.requirement("oidc core 3.1.3.7 issuer and audience", "oidc core 3.1.3.7 time", "oidc core 3.1.3.7 nonce")
@pytest.mark.parametrize("what", CLAIMS)
def test_an_id_token_is_refused_for(visit: Any, forged: ForgedProvider, what: str) -> None:
    forged.said, reason = CLAIMS[what]

    response = visit.sign_in()

    assert response.status_code == 403
    assert not visit.is_signed_in
    assert reasons() == [reason]


@pytest.mark.requirement("oidc core 3.1.3.7 signature")
@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_an_algorithm_that_anybody_can_use_is_refused(visit: Any, forged: ForgedProvider, algorithm: str) -> None:
    forged.header = {"alg": algorithm}

    assert visit.sign_in().status_code == 403
    assert reasons() == ["id_token_algorithm"]


def test_a_signature_by_another_key_is_refused(visit: Any, forged: ForgedProvider) -> None:
    asked = visit.leave()
    forged.key = ECKey.generate_key("P-256", parameters={"kid": "k1"})

    assert visit.come_back(asked["state"]).status_code == 403
    assert reasons() == ["id_token_signature"]


def test_a_key_that_is_published_later_is_found(visit: Any, forged: ForgedProvider) -> None:
    visit.sign_in()
    forged.key = ECKey.generate_key("P-256", parameters={"kid": "k2"})
    forged.header = {"kid": "k2"}
    public = {"keys": [forged.key.as_dict(private=False, use="sig")]}
    forged.server.answers["GET /jwks"] = (200, "application/json", public)  # type: ignore[index]

    assert visit.sign_in().status_code == 302


def test_an_answer_is_taken_once(visit: Any) -> None:
    asked = visit.leave()
    visit.come_back(asked["state"])

    assert visit.come_back(asked["state"]).status_code == 403
    assert reasons() == ["state_used"]


def test_an_answer_in_another_browser_is_refused(visit: Any) -> None:
    """Somebody sends a victim their own answer, so that the victim works in the attacker's account."""
    from django.test import Client

    asked = visit.leave()
    visit.browser = Client(SERVER_NAME="127.0.0.1", SERVER_PORT="8420")

    assert visit.come_back(asked["state"]).status_code == 403
    assert not visit.is_signed_in
    assert reasons() == ["other_browser"]


def test_the_state_of_another_connection_is_refused(visit: Any, administrator: "Membership") -> None:
    from dataclasses import replace

    from django.conf import settings

    from keystead.server.sso import connections, conversation
    from keystead.server.sso.models import Kind
    from keystead.server.sso.network import sender
    from keystead.server.sso.oidc_settings import OidcSettings

    asked = visit.leave()
    with forged_provider() as other:
        metadata = conversation.discover(other.issuer, sender(settings.KEYSTEAD))
        values = replace(OidcSettings(metadata), client_id=CLIENT_ID).to_json()
        visit.connection = connections.create(administrator, Kind.OIDC, "Other", values, visit.connection.created_at)
        connections.switch(administrator, visit.connection, on=True, now=visit.connection.created_at)
        response = visit.come_back(asked["state"], iss=other.issuer)
        assert other.server.asked[1:] == []

    assert response.status_code == 403
    assert reasons() == ["state_unknown"]


@pytest.mark.requirement("rfc9207 client 2.4")
@pytest.mark.parametrize(("named", "reason"), [("https://evil.example", "issuer_mixed_up"), ("", "issuer_missing")])
def test_an_answer_that_names_another_issuer_gets_no_code(
    visit: Any, forged: ForgedProvider, named: str, reason: str
) -> None:
    response = visit.come_back(visit.leave()["state"], iss=named)

    assert response.status_code == 403
    assert "/token" not in [asked.path for asked in forged.server.asked]
    assert reasons() == [reason]


def test_an_error_of_the_provider_is_told_by_its_code_alone(visit: Any) -> None:
    asked = visit.leave()
    told = visit.come_back(asked["state"], code="", error="access_denied", error_description="<b>call us</b>")

    assert b"access_denied" in told.content
    assert b"call us" not in told.content


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "device", ""]
)
def test_nobody_is_led_elsewhere_afterwards(visit: Any, wanted: str) -> None:
    assert visit.sign_in(next=wanted)["Location"] == "/"


def test_a_known_subject_stays_itself_when_its_address_changes(visit: Any, forged: ForgedProvider) -> None:
    from keystead.server.identity.models import Person

    visit.sign_in()
    forged.said = {"email": "grace.hopper@example.com"}

    assert visit.sign_in().status_code == 302
    assert Person.objects.filter(email__startswith="grace").count() == 1


@pytest.mark.requirement("oidc core 5.7")
def test_an_address_that_went_to_somebody_else_does_not_take_the_account_along(
    visit: Any, forged: ForgedProvider
) -> None:
    visit.sign_in()
    forged.said = {"sub": "grace-2"}

    assert visit.sign_in().status_code == 403
    assert reasons() == ["subject_swapped"]


def test_an_existing_account_is_linked_only_in_a_proven_domain(
    visit: Any, forged: ForgedProvider, administrator: "Membership"
) -> None:
    from keystead.server.sso.models import Domain, Identity

    forged.said = {"email": "Ada@Example.com", "sub": "ada-1"}
    Domain.objects.update(verified_at=None)
    assert visit.sign_in().status_code == 403
    Domain.objects.update(verified_at=administrator.created_at)
    assert visit.sign_in().status_code == 302

    administrator.refresh_from_db()
    assert administrator.role == "admin"
    assert Identity.objects.get().person_id == administrator.person_id


def test_a_domain_of_another_organization_counts_for_nothing(visit: Any) -> None:
    from keystead.server.organizations import operations as organizations
    from keystead.server.sso.models import Domain

    other = organizations.create_organization("Other", visit.connection.created_at)
    Domain.objects.update(organization=other)

    assert visit.sign_in().status_code == 403
    assert reasons() == ["domain_not_proven"]


def test_groups_give_roles_and_take_them_away(visit: Any, forged: ForgedProvider) -> None:
    from keystead.server.organizations.models import Membership
    from keystead.server.organizations.roles import Role
    from keystead.server.sso.admission import Rules

    rules = Rules(group_roles=(("platform", Role.ADMIN), ("engineers", Role.DEVELOPER)))
    visit.connection.rules = rules.to_json()
    visit.connection.save()
    seen = []
    for groups in (["engineers"], ["engineers", "platform"], []):
        forged.said = {"groups": groups}
        visit.sign_in()
        seen.append(Membership.objects.get(person__email="grace@example.com").role)

    assert seen == ["developer", "admin", "agent_user"]


def test_groups_are_found_by_a_pointer(visit: Any, forged: ForgedProvider) -> None:
    from keystead.server.organizations.models import Membership
    from keystead.server.organizations.roles import Role
    from keystead.server.sso.admission import Rules

    visit.connection.settings["groups_claim"] = "/realm_access/roles"
    visit.connection.rules = Rules(group_roles=(("dev", Role.DEVELOPER),), needs_group=True).to_json()
    visit.connection.save()
    forged.said = {"realm_access": {"roles": ["dev"]}}
    visit.sign_in()

    assert Membership.objects.get(person__email="grace@example.com").role == "developer"


@pytest.mark.parametrize(
    ("rules", "reason"), [({"admits": False}, "not_invited"), ({"needs_group": True}, "group_missing")]
)
def test_a_rule_keeps_strangers_out(visit: Any, rules: dict[str, bool], reason: str) -> None:
    visit.connection.rules = rules
    visit.connection.save()

    assert visit.sign_in().status_code == 403
    assert reasons() == [reason]


def test_a_connection_that_is_off_signs_nobody_in(visit: Any) -> None:
    asked = visit.leave()
    visit.connection.enabled_at = None
    visit.connection.save()

    assert visit.come_back(asked["state"]).status_code == 403
    assert visit.browser.get(f"/sso/{visit.connection.wire_id}").status_code == 404
    assert reasons() == ["connection_off"]


def test_an_inactive_account_stays_out(visit: Any) -> None:
    from keystead.server.identity.models import Person

    visit.sign_in()
    Person.objects.filter(email="grace@example.com").update(is_active=False)

    assert visit.sign_in().status_code == 403
    assert reasons() == ["account_inactive"]


def test_the_session_ends_when_nobody_can_ask_again(visit: Any, forged: ForgedProvider) -> None:
    visit.sign_in()
    assert 11 * 3600 < visit.browser.session.get_expiry_age() <= 12 * 3600


def test_people_find_the_connection_by_their_address(connection: "Connection", web: Any) -> None:
    web.get("/sso")
    found = web.post("/sso", {"email": "Grace@EXAMPLE.com", "next": "/keys"})
    assert found["Location"] == f"/sso/{connection.wire_id}?next=%2Fkeys"

    missed = web.post("/sso", {"email": "grace@elsewhere.example"})
    assert missed.status_code == 422


def test_the_sign_in_page_leads_there_and_keeps_where_one_was(connection: "Connection", web: Any) -> None:
    page = web.get("/account/login/?next=/device%3Fuser_code%3DBCDF-GHJK").content.decode()

    assert 'href="/sso?next=%2Fdevice%3Fuser_code%3DBCDF-GHJK"' in page


def test_one_organizations_provider_does_not_open_another_organization(visit: Any) -> None:
    """Somebody with an address in our domain works for another organization here: that one's doors stay shut."""
    from datetime import timedelta

    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations as organizations
    from keystead.server.organizations.roles import Role

    earlier = visit.connection.created_at - timedelta(days=1)
    other = organizations.create_organization("Other", earlier)
    grace = Person.objects.create(email="grace@example.com", created_at=earlier, email_verified_at=earlier)
    organizations.add_member(other, grace, Role.ADMIN, earlier)

    assert visit.sign_in().status_code == 403
    assert not visit.is_signed_in
    assert reasons() == ["acts_elsewhere"]


def test_the_authorization_endpoint_leads_through_the_provider_and_back(visit: Any) -> None:
    import re
    from html import unescape

    asked = (
        "/oauth/authorize?response_type=code&client_id=keystead-cli&redirect_uri=http%3A%2F%2F127.0.0.1%3A4321%2Fcallback"
        "&code_challenge=" + "A" * 43 + "&code_challenge_method=S256&state=s%26next%3D%2Fevil"
    )
    page = visit.browser.get(asked, follow=True).content.decode()
    way = re.search(r'href="(/sso\?next=[^"]+)"', page)
    assert way
    chooser = visit.browser.get(unescape(way[1])).content.decode()
    wanted = re.search(r'name="next" value="([^"]+)"', chooser)
    assert wanted
    there = visit.browser.post("/sso", {"email": "grace@example.com", "next": unescape(wanted[1])})["Location"]
    away = query(visit.browser.get(there)["Location"])
    visit.provider.nonce = away["nonce"]

    assert visit.come_back(away["state"])["Location"] == asked
    assert b"Sign" in visit.browser.get(asked).content


def test_an_account_whose_address_nobody_has_verified_is_not_found_by_it(
    visit: Any, forged: ForgedProvider, administrator: "Membership"
) -> None:
    """Whoever typed somebody else's address at set-up does not get that person's sign-in."""
    from keystead.server.sso.models import Identity

    forged.said = {"email": "ada@example.com", "sub": "ada-1"}
    type(administrator.person).objects.update(email_verified_at=None)
    assert visit.sign_in().status_code == 403
    assert reasons() == ["address_unverified"]
    type(administrator.person).objects.update(email_verified_at=administrator.created_at)
    assert visit.sign_in().status_code == 302
    assert Identity.objects.get().person_id == administrator.person_id
