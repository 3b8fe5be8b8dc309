"""An administrator connects a provider, tests it, proves a domain, switches it on and off, and deletes it."""

from typing import TYPE_CHECKING, Any

import pytest
from forged_openid import CLIENT_ID, CLIENT_SECRET, ForgedProvider, query

if TYPE_CHECKING:
    from keystead.server.organizations.models import Membership
    from keystead.server.sso.models import Connection

FORM = {
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
    "scope": "openid email",
    "groups_claim": "groups",
    "admits": "on",
    "default_role": "developer",
    "group_roles": "",
}


@pytest.fixture
def ada(administrator: "Membership") -> Any:
    from django.test import Client

    client = Client(SERVER_NAME="127.0.0.1", SERVER_PORT="8420")
    client.force_login(administrator.person)
    return client


def only() -> "Connection":
    from keystead.server.sso.models import Connection

    return Connection.objects.get()


def actions() -> list[str]:
    from keystead.server.audit.models import AuditEvent

    return list(AuditEvent.objects.order_by("at", "id").values_list("action", flat=True))


def trial(ada: Any, forged: ForgedProvider) -> str:
    connection = only()
    asked = query(ada.get(f"/connections/{connection.wire_id}/try")["Location"])
    forged.nonce = asked["nonce"]
    back = f"/oauth/callback/{connection.wire_id}?code=c&state={asked['state']}&iss={forged.issuer}"
    page: str = ada.get(back, follow=True).content.decode()
    return page


def test_from_the_issuer_to_a_connection_that_is_on(ada: Any, forged: ForgedProvider, domain: str) -> None:
    made = ada.post("/connections/new/oidc", {"name": "Example login", "issuer": forged.issuer + "/"}, follow=True)
    page = made.content.decode()
    assert f"http://127.0.0.1:8420/oauth/callback/{only().wire_id}" in page
    assert f"{forged.issuer}/token" in page
    assert "Test this connection" not in page

    saved = ada.post(made.request["PATH_INFO"], FORM, follow=True).content.decode()
    assert "Test this connection" in saved
    assert CLIENT_SECRET not in saved
    assert CLIENT_SECRET not in str(only().__dict__)

    shown = trial(ada, forged)
    assert "This person would come in" in shown
    assert "as developer" in shown
    assert "grace@example.com" in shown

    ada.post(f"/connections/{only().wire_id}/switch", {"on": "yes"})
    assert only().enabled_at is not None
    assert [one for one in actions() if one.startswith("connection:")] == [
        "connection:create",
        "connection:update",
        "connection:replace_secret",
        "connection:enable",
    ]


def test_a_trial_signs_nobody_in_and_changes_nothing(
    ada: Any, forged: ForgedProvider, connection: "Connection", administrator: "Membership"
) -> None:
    from keystead.server.identity.models import Person

    trial(ada, forged)

    assert ada.session["_auth_user_id"] == str(administrator.person_id)
    assert Person.objects.count() == 1


@pytest.mark.parametrize(
    ("said", "sentence"),
    [({"aud": "other"}, "made for another application"), ({"email_verified": False}, "does not vouch")],
)
def test_a_trial_says_why_somebody_would_not_come_in(
    ada: Any, forged: ForgedProvider, connection: "Connection", said: dict[str, Any], sentence: str
) -> None:
    forged.said = said
    shown = trial(ada, forged)

    assert "would not come in" in shown
    assert sentence in shown


@pytest.mark.requirement("oidc core discovery 4.3")
@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ({"issuer": "https://elsewhere.example"}, "names another issuer"),
        ({"id_token_signing_alg_values_supported": ["HS256", "none"]}, "no algorithm that can be trusted"),
        ({"response_types_supported": ["id_token"]}, "does not offer the code flow"),
        ({"token_endpoint": "http://elsewhere.example/token"}, "is not https"),
    ],
)
def test_a_provider_that_cannot_be_used_is_named(
    ada: Any, forged: ForgedProvider, metadata: dict[str, Any], sentence: str
) -> None:
    forged.metadata = metadata
    answer = ada.post("/connections/new/oidc", {"name": "X", "issuer": forged.issuer})

    assert answer.status_code == 422
    assert sentence in answer.content.decode()


def test_a_connection_needs_a_client_id_before_it_is_switched_on(ada: Any, forged: ForgedProvider) -> None:
    ada.post("/connections/new/oidc", {"name": "X", "issuer": forged.issuer})
    answer = ada.post(f"/connections/{only().wire_id}/switch", {"on": "yes"})

    assert b"The client id is missing" in answer.content
    assert only().enabled_at is None


def test_group_rules_are_checked_line_by_line(ada: Any, connection: "Connection") -> None:
    answer = ada.post(f"/connections/{connection.wire_id}", {**FORM, "group_roles": "a = admin\nb = king"})
    assert "“b = king” is not group = role" in answer.content.decode()

    ada.post(f"/connections/{connection.wire_id}", {**FORM, "group_roles": "cn=a,ou=b = admin\n\nb=billing"})
    assert only().rules["group_roles"] == [["cn=a,ou=b", "admin"], ["b", "billing"]]


def test_a_secret_stays_when_the_field_is_left_empty(ada: Any, connection: "Connection") -> None:
    before = only().sealed_secret
    ada.post(f"/connections/{connection.wire_id}", {**FORM, "client_secret": ""})

    assert only().sealed_secret == before


def test_a_deleted_connection_is_gone_with_its_secrets(ada: Any, visit: Any) -> None:
    from keystead.server.sso.models import Identity

    visit.provider.refresh_token = "rt-1"
    visit.sign_in()
    ada.post(f"/connections/{visit.connection.wire_id}/delete")

    assert ada.get(f"/connections/{visit.connection.wire_id}").status_code == 404
    assert visit.browser.get(f"/sso/{visit.connection.wire_id}").status_code == 404
    assert (only().sealed_secret, only().settings) == ("", {})
    assert Identity.objects.get().sealed_refresh_token == ""


def test_a_domain_is_proven_by_its_record(administrator: "Membership") -> None:
    from keystead.errors import UsageError
    from keystead.server.sso import domains

    at = administrator.created_at
    domain = domains.claim(administrator, " @Example.COM. ", at)
    asked = []

    def look_up(name: str) -> list[str]:
        asked.append(name)
        return ["v=spf1 -all", domain.challenge] if len(asked) == 2 else ["v=spf1 -all"]

    with pytest.raises(UsageError, match="no TXT record"):
        domains.verify(administrator, domain, look_up, at)
    assert domains.owner("example.com") is None
    domains.verify(administrator, domain, look_up, at)

    assert set(asked) == {"_keystead-verification.example.com"}
    assert domains.belongs_to("example.com", administrator.organization)


def test_of_two_organizations_one_has_the_domain(administrator: "Membership", domain: str) -> None:
    from keystead.errors import UsageError
    from keystead.server.organizations import operations as organizations
    from keystead.server.organizations.roles import Role
    from keystead.server.sso import domains

    at = administrator.created_at
    other = organizations.add_member(
        organizations.create_organization("Other", at), administrator.person, Role.ADMIN, at
    )
    claimed = domains.claim(other, domain, at)

    with pytest.raises(UsageError, match="Another organization"):
        domains.verify(other, claimed, lambda _: [claimed.challenge], at)


@pytest.mark.parametrize("name", ["example", "exa mple.com", "-a.com", "a..com", "", "x.com/y", "1.2.3.4"])
def test_what_is_no_domain_cannot_be_claimed(administrator: "Membership", name: str) -> None:
    from keystead.errors import UsageError
    from keystead.server.sso import domains

    with pytest.raises(UsageError):
        domains.claim(administrator, name, administrator.created_at)


def test_other_roles_and_other_organizations_see_nothing(administrator: "Membership", connection: "Connection") -> None:
    from django.test import Client

    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations as organizations
    from keystead.server.organizations.roles import Role

    at = administrator.created_at
    browser = Client(SERVER_NAME="127.0.0.1", SERVER_PORT="8420")
    bob = Person.objects.create(email="bob@example.com", created_at=at)
    organizations.add_member(administrator.organization, bob, Role.DEVELOPER, at)
    eve = Person.objects.create(email="eve@elsewhere.example", created_at=at)
    organizations.add_member(organizations.create_organization("Other", at), eve, Role.ADMIN, at)
    seen = []
    for person in (bob, eve):
        browser.force_login(person)
        seen += [browser.get(f"/connections/{connection.wire_id}{page}").status_code for page in ("", "/try")]

    assert seen == [403, 403, 404, 404]


def test_a_domain_can_require_single_sign_on_of_all_but_administrators(
    ada: Any, visit: Any, administrator: "Membership"
) -> None:
    from django.contrib.auth.hashers import make_password

    from keystead.server.identity.models import Person
    from keystead.server.organizations.models import Membership
    from keystead.server.sso.models import Domain

    visit.sign_in()
    Person.objects.filter(email="grace@example.com").update(password=make_password("correct horse battery"))
    ada.post(f"/domains/{Domain.objects.get().wire_id}", {"action": "require"})

    def sign_in(email: str) -> str:
        from django.test import Client

        form = {"login": email, "password": "correct horse battery", "next": "/keys"}
        answer: Any = Client(SERVER_NAME="127.0.0.1", SERVER_PORT="8420").post("/account/login/", form)
        return str(answer["Location"])

    assert sign_in("grace@example.com") == "/sso?required=yes&next=%2Fkeys"
    assert sign_in("ada@example.com") == "/keys"
    ada.post(f"/connections/{visit.connection.wire_id}/switch", {"on": "no"})
    assert sign_in("grace@example.com") == "/keys"
    assert Membership.objects.count() == 2


def test_a_verified_domain_is_removed_only_by_who_is_sure(ada: Any, domain: str) -> None:
    from keystead.server.sso.models import Domain

    address = f"/domains/{Domain.objects.get().wire_id}"
    asked = ada.post(address, {"action": "release"}).content.decode()
    assert "Remove example.com?" in asked
    assert Domain.objects.count() == 1
    ada.post(address, {"action": "release", "sure": "yes"})

    assert Domain.objects.count() == 0
    assert actions()[-1] == "domain:release"
