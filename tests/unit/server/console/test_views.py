"""The console's pages: who may see them, what they refuse, and that a key is shown once."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_bytes
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django.test import Client

    from keystead.server.organizations.models import Membership


@pytest.fixture
def signed_in(web: "Client", administrator: "Membership") -> "Client":
    """Return a browser-like client signed in as the administrator."""
    web.force_login(administrator.person)
    return web


def setup_form(code: str) -> dict[str, str]:
    return {
        "code": code,
        "organization": "Example",
        "name": "Ada",
        "email": "ada@example.com",
        "password": "correct horse battery",
    }


def test_before_set_up_the_first_page_is_set_up(web: "Client") -> None:
    assert web.get("/").headers["Location"] == "/setup"


def test_sign_in_points_to_set_up_for_as_long_as_nobody_can_sign_in(
    web: "Client", request: pytest.FixtureRequest
) -> None:
    assert "Nobody can sign in yet" in web.get("/account/login/").content.decode()
    request.getfixturevalue("administrator")
    assert "Nobody can sign in yet" not in web.get("/account/login/").content.decode()


def test_set_up_with_the_code_signs_in(web: "Client") -> None:
    from keystead.server.identity import operations

    code = operations.new_setup_code(datetime.now(UTC), token_bytes, timedelta(hours=1))
    assert code is not None
    assert web.post("/setup", setup_form(code)).headers["Location"] == "/"
    assert "Example" in web.get("/").content.decode()
    assert web.get("/setup").status_code == 410
    assert web.post("/setup", setup_form(code)).status_code == 410


def test_a_wrong_code_is_explained_and_nothing_is_made(web: "Client") -> None:
    response = web.post("/setup", setup_form("kss_wrong"))
    assert response.status_code == 422
    assert "This is not a set-up code: it is truncated at character 9 of 53." in response.content.decode()
    assert "correct horse battery" not in response.content.decode()


@pytest.mark.parametrize("path", ["/", "/keys", "/usage", "/keys/key_1/revoke"])
def test_strangers_are_sent_to_sign_in(web: "Client", administrator: "Membership", path: str) -> None:
    assert web.get(path).headers["Location"] == f"/account/login/?next={path}"


@pytest.mark.parametrize("path", ["/", "/keys", "/usage"])
def test_somebody_without_an_organization_is_told_so(web: "Client", database: Path, path: str) -> None:
    from keystead.server.identity.models import Person

    web.force_login(Person.objects.create_user("nobody@example.com", None, created_at=datetime.now(UTC)))
    response = web.get(path)
    assert response.status_code == 403
    assert "You belong to no organization" in response.content.decode()


def test_the_key_is_on_the_answer_and_on_no_other_page(signed_in: "Client") -> None:
    created = signed_in.post("/keys", {"name": "laptop", "purpose": "agent", "lifetime": "30"})
    found = re.search(r"ksk_\w{49}", created.content.decode())
    assert found is not None
    assert created.headers["Cache-Control"] == "no-store"
    for path in ("/", "/keys", "/usage"):
        assert found[0] not in signed_in.get(path).content.decode()


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"name": "", "purpose": "agent"}, "name"),
        ({"name": "x", "purpose": "everything"}, "purpose"),
        ({"name": "x", "purpose": "agent", "lifetime": "1e9"}, "lifetime"),
    ],
)
def test_a_wrong_field_is_marked(signed_in: "Client", form: dict[str, str], field: str) -> None:
    response = signed_in.post("/keys", form)
    assert response.status_code == 422
    assert f'id="id_{field}_error"' in response.content.decode()


def test_an_agent_user_is_offered_and_given_agent_keys_only(web: "Client", administrator: "Membership") -> None:
    administrator.role = "agent_user"
    administrator.save()
    web.force_login(administrator.person)
    assert "Any program" not in web.get("/keys").content.decode()
    assert web.post("/keys", {"name": "x", "purpose": "any"}).status_code == 422


def test_names_are_escaped(signed_in: "Client") -> None:
    signed_in.post("/keys", {"name": "<script>alert(1)</script>", "purpose": "agent"})
    assert "<script>alert" not in signed_in.get("/keys").content.decode()


@pytest.mark.parametrize("key_id", ["key_" + "0" * 32, "nonsense", "../x"])
def test_an_unknown_key_cannot_be_revoked(signed_in: "Client", key_id: str) -> None:
    assert signed_in.get(f"/keys/{key_id}/revoke").status_code == 404
    assert signed_in.post(f"/keys/{key_id}/revoke").status_code == 404


def test_revoking_takes_a_form_of_ours(administrator: "Membership") -> None:
    from django.test import Client

    from keystead.server.keys import operations

    key, _ = operations.issue(administrator, "laptop", now=datetime.now(UTC), random_bytes=token_bytes)
    strict = Client(enforce_csrf_checks=True, SERVER_NAME="127.0.0.1")
    strict.force_login(administrator.person)
    response = strict.post(f"/keys/{key.wire_id}/revoke")
    assert response.status_code == 403
    assert "That form is no longer valid" in response.content.decode()
    key.refresh_from_db()
    assert key.revoked_at is None


def test_the_banner_tells_of_the_test_upstream_only_when_it_is_in_use(signed_in: "Client") -> None:
    from dataclasses import replace

    from django.conf import settings
    from django.test import override_settings

    from keystead.secret import Secret

    assert "test upstream answers" in signed_in.get("/").content.decode()
    with override_settings(KEYSTEAD=replace(settings.KEYSTEAD, upstream_api_key=Secret("sk-canary-000000000000"))):
        content = signed_in.get("/").content.decode()
    assert "test upstream" not in content
    assert "canary" not in content


def test_too_many_wrong_passwords_pause_signing_in(web: "Client", administrator: "Membership") -> None:
    wrong = {"login": "ada@example.com", "password": "wrong"}
    answers = [web.post("/account/login/", wrong) for _ in range(7)]
    assert "not correct" in answers[0].content.decode()
    assert "Too many failed login attempts" in answers[-1].content.decode()


def test_wrong_address_and_wrong_password_are_answered_alike(web: "Client", administrator: "Membership") -> None:
    person = type(administrator.person).objects
    person.create_user(
        "gone@example.com", "correct horse battery", created_at=administrator.created_at, is_active=False
    )
    known = ["ada@example.com", "gone@example.com", "nobody@example.com"]
    answers = [web.post("/account/login/", {"login": one, "password": "wrong"}) for one in known]
    bodies = [re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", one.content.decode()) for one in answers]
    assert len({body.replace(one, "") for body, one in zip(bodies, known, strict=True)}) == 1
    assert len({one.status_code for one in answers}) == 1


def test_a_broken_server_says_so_without_details(web: "Client", monkeypatch: pytest.MonkeyPatch) -> None:
    from keystead.server.identity import operations

    def broken() -> bool:
        raise RuntimeError("hunter2")

    monkeypatch.setattr(operations, "administrator_exists", broken)
    web.raise_request_exception = False
    response = web.get("/")
    assert response.status_code == 500
    assert "Something broke on this server" in response.content.decode()
    assert "hunter2" not in response.content.decode()
    assert "no-store" in response.headers["Cache-Control"]
