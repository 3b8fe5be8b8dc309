"""An identity provider: what it sends, what comes back."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from django.test import Client

    from keystead.server.organizations.models import Membership


@dataclass
class IdentityProvider:
    """Speaks SCIM with the token of one organization."""

    web: "Client"
    base: str
    secret: str

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {"authorization": f"Bearer {self.secret}", **headers}
        answer = self.web.generic(method, self.base + path, content, content_type="application/scim+json", headers=sent)
        assert answer.headers["Content-Type"] == "application/scim+json"
        return answer.status_code, json.loads(answer.content or b"{}")

    def user(self, user_name: str, **more: Any) -> dict[str, Any]:
        body = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": user_name, **more}
        status, made = self.ask("POST", "/Users", body)
        assert status == 201, made
        return made

    def patch(self, resource: str, **operation: Any) -> tuple[int, dict[str, Any]]:
        schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]
        status, said = self.ask("PATCH", resource, {"schemas": schemas, "Operations": [operation]})
        return self.ask("GET", resource) if status == 204 else (status, said)

    def found(self, path: str, wanted: str) -> list[dict[str, Any]]:
        from urllib.parse import quote

        status, page = self.ask("GET", f"{path}?filter={quote(wanted)}")
        assert status == 200, page
        return list(page.get("Resources", []))


def provider_of(member: "Membership") -> IdentityProvider:
    from secrets import token_bytes

    from django.test import Client

    from keystead.server.console.access import now
    from keystead.server.scim import tokens
    from keystead.wire import ids

    secret = tokens.make(member, now(), token_bytes)[1].reveal()
    base = f"/scim/v2/{ids.dump('organization', member.organization_id)}"
    return IdentityProvider(Client(SERVER_NAME="127.0.0.1"), base, secret)


@pytest.fixture
def provider(administrator: "Membership") -> IdentityProvider:
    return provider_of(administrator)


@pytest.fixture
def other(administrator: "Membership") -> IdentityProvider:
    """The identity provider of a second organization on the same server."""
    from keystead.server.identity.models import Person
    from keystead.server.organizations import operations
    from keystead.server.organizations.roles import Role

    now = administrator.created_at
    person = Person.objects.create_user("eve@other.example", None, name="Eve", created_at=now)
    return provider_of(operations.add_member(operations.create_organization("Other", now), person, Role.ADMIN, now))
