"""No page and no address for programs shows or changes anything of another organization, whoever asks and by what id.

Every address of the site that has an identifier in it is asked for the identifiers of another organization. So an
address that is added is held too, without being named here.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

if TYPE_CHECKING:
    from keystead.server.organizations.models import Membership

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CANARY = "canary-of-the-others"
PART = re.compile(r"<(?:str:)?(\w+)>")
OF_THEMSELVES = {"passkey_id", "code", "uidb36", "key", "token"}
"""Parts that name what belongs to a person, or to nobody before it is used."""


@pytest.fixture
def others(administrator: "Membership") -> "Membership":
    """The administrator of another organization, in which there is one of everything that has an identifier."""
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations
    from keystead.server.organizations.roles import Role

    person = Person.objects.create(email=f"bob@{CANARY}.example", name=CANARY, created_at=NOW)
    organization = operations.create_organization(CANARY, NOW)
    member = operations.add_member(organization, person, Role.ADMIN, NOW)
    browser = Client(SERVER_NAME="127.0.0.1")
    browser.force_login(person)
    made: list[tuple[str, dict[str, Any]]] = [
        ("/upstreams/new/messages", {"name": CANARY, "base_url": "https://canary.example.com"}),
        ("/limits", {"whom": "organization||each", "amount": "5", "what": "spend|daily"}),
        ("/groups", {"name": CANARY}),
        ("/keys", {"name": CANARY, "purpose": "any", "lifetime": "30"}),
        ("/policies/new", {"name": CANARY, "settings": "{}"}),
        ("/members/invitations", {"email": f"eve@{CANARY}.example", "role": "developer"}),
        ("/workloads/accounts/new", {"name": CANARY, "role": "developer"}),
        ("/provisioning", {"name": CANARY, "lifetime": "365"}),
    ]
    for address, given in made:
        answer = browser.post(address, given)
        assert answer.status_code in {200, 302}, (address, answer.status_code, answer.content.decode()[-2000:])
    return member


def identifiers(member: "Membership") -> dict[str, list[str]]:
    """Return the wire identifiers of everything of an organization, by the prefix that says what it is."""
    from django.apps import apps

    from keystead.wire import ids

    found: dict[str, list[str]] = {}
    for model in apps.get_models():
        if any(field.name == "organization" for field in model._meta.fields):
            for row in model._default_manager.filter(organization=member.organization_id):
                if name := getattr(row, "wire_id", ""):
                    found.setdefault(name.partition("_")[0], []).append(name)
    found.setdefault("mem", []).append(ids.dump("membership", member.pk))
    found.setdefault("org", []).append(ids.dump("organization", member.organization_id))
    return found


def addresses() -> Iterator[str]:
    """Give the pattern of every address of the site that has a part in it."""
    from django.urls import URLPattern, URLResolver, get_resolver

    def walk(patterns: Any, before: str) -> Iterator[str]:
        for one in patterns:
            if isinstance(one, URLResolver):
                yield from walk(one.url_patterns, before + str(one.pattern))
            elif isinstance(one, URLPattern):
                yield before + str(one.pattern)

    yield from (one for one in walk(get_resolver().url_patterns, "/") if PART.search(one) and "^" not in one)


def stored(member: "Membership") -> str:
    """Return every row of an organization as text."""
    from django.apps import apps
    from django.core import serializers

    rows = []
    for model in apps.get_models():
        if any(field.name == "organization" for field in model._meta.fields):
            rows += [*model._default_manager.filter(organization=member.organization_id).order_by("pk")]
    return str(serializers.serialize("json", rows))


def test_no_address_shows_or_changes_what_is_of_others(administrator: "Membership", others: "Membership") -> None:
    from keystead.server.keys import operations as keys
    from keystead.server.keys.models import Purpose

    browser = Client(SERVER_NAME="127.0.0.1", raise_request_exception=True)
    browser.force_login(administrator.person)
    _, secret = keys.issue(administrator, "limits", purpose=Purpose.ANY, now=NOW, random_bytes=token_bytes)
    theirs, before, asked = identifiers(others), stored(others), 0
    names = [name for listed in theirs.values() for name in listed]
    for pattern in addresses():
        parts = PART.findall(pattern)
        if OF_THEMSELVES & set(parts):
            continue
        for name in names:
            address = pattern
            for part in parts:
                named = name if part.endswith(("_id", "subject")) else "api_key"
                address = re.sub(rf"<\w+:{part}>", named, address)
            for method in ("get", "post", *(["delete"] if pattern.startswith("/v1/") else [])):
                answer = getattr(browser, method)(address, headers={"x-api-key": secret.reveal()})
                said = b"".join(answer) if answer.streaming else answer.content
                asked += 1
                assert answer.status_code in {302, 400, 401, 403, 404, 405}, (method, address, answer.status_code)
                assert CANARY.encode() not in said, (method, address)
    assert asked > 900
    assert stored(others) == before


@pytest.mark.parametrize("path", ["/usage", "/usage.csv", "/usage-sessions.csv"])
def test_no_usage_of_a_member_of_others_is_shown(administrator: "Membership", others: "Membership", path: str) -> None:
    from keystead.wire import ids

    browser = Client(SERVER_NAME="127.0.0.1")
    browser.force_login(administrator.person)
    assert browser.get(path, {"member": ids.dump("membership", others.pk)}).status_code == 404


def test_no_limit_can_be_for_what_is_of_others(administrator: "Membership", others: "Membership") -> None:
    from keystead.server.keys import operations as keys
    from keystead.server.keys.models import Purpose
    from keystead.server.limits.models import Limit

    browser = Client(SERVER_NAME="127.0.0.1")
    browser.force_login(administrator.person)
    _, secret = keys.issue(administrator, "limits", purpose=Purpose.ANY, now=NOW, random_bytes=token_bytes)
    fields = {"rbac_group": "rbac_group_id", "user": "user_id", "workspace": "workspace_id", "api_key": "api_key_id"}
    for scope, field in fields.items():
        for name in [one for listed in identifiers(others).values() for one in listed]:
            document = {"scope": {"type": scope, field: name}, "amount": "100", "period": "daily"}
            answer = browser.post(
                "/v1/organizations/spend_limits",
                json.dumps(document),
                "application/json",
                headers={"x-api-key": secret.reveal()},
            )
            assert answer.status_code == 400, (document, answer.content)
            for how in ("each", "shared"):
                given = {"whom": f"{scope}|{name}|{how}", "amount": "1", "what": "spend|daily"}
                assert browser.post("/limits", given).status_code == 422
    assert not Limit.objects.filter(organization=administrator.organization).exists()
