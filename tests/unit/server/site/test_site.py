"""The site boots, speaks only through its own pages, and sends its headers everywhere."""

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django.test import Client

    from keystead.server.organizations.models import Membership


def test_no_two_tables_have_a_constraint_or_index_of_one_name(migrated: object) -> None:
    """PostgreSQL keeps them in one space of names, and SQLite would not tell."""
    from django.apps import apps

    metas = [model._meta for model in apps.get_models(include_auto_created=True)]
    names = Counter(one.name for meta in metas for one in (*meta.constraints, *meta.indexes))
    assert [name for name, count in names.items() if count > 1] == []


def test_models_and_migrations_agree(database: Path) -> None:
    from django.core.management import call_command

    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@pytest.mark.parametrize("path", ["/", "/account/login/", "/no/such/page", "/account/signup/"])
def test_every_answer_forbids_scripts_from_elsewhere_framing_and_keeping(web: "Client", path: str) -> None:
    response = web.get(path)
    assert "default-src 'self'" in response.headers["Content-Security-Policy"]
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    assert "no-store" in response.headers["Cache-Control"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["signup/", "email/", "password/set/", "confirm-email/", "reauthenticate/", ""])
def test_account_pages_that_are_not_ours_do_not_exist(web: "Client", path: str) -> None:
    response = web.get(f"/account/{path}")
    assert response.status_code == 404
    assert "There is no such page" in response.content.decode()


def test_the_administrator_signs_in_and_out(web: "Client", administrator: "Membership") -> None:
    form = {"login": "Ada@Example.com", "password": "correct horse battery"}
    assert web.post("/account/login/", form).headers["Location"] == "/"
    assert web.get("/").status_code == 200
    web.post("/account/logout/")
    assert web.get("/").status_code == 302


def test_whoever_has_a_network_of_ipv6_tries_to_sign_in_within_one_limit(web: "Client") -> None:
    """Allauth counts by the address that it finds: it must be the one, and the width, that everything else uses."""

    def tried(address: str) -> int:
        return web.post("/account/login/", {"login": "", "password": ""}, REMOTE_ADDR=address).status_code

    assert [tried(f"2001:db8::{number:x}:1") for number in range(31)] == [200] * 30 + [429]
    assert tried("2001:db8:0:1::1") == 200


def test_a_foreign_host_name_is_refused_with_a_page(web: "Client", caplog: pytest.LogCaptureFixture) -> None:
    response = web.get("/", headers={"host": "evil.example"})
    assert response.status_code == 400
    assert "could not be understood" in response.content.decode()
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]


def test_static_files_come_without_a_session(web: "Client") -> None:
    response = web.get("/static/keystead/console.css")
    assert response.status_code == 200
    assert "max-age" in response.headers["Cache-Control"]
    assert not response.cookies
    response.close()


def test_every_page_offers_to_sign_out() -> None:
    import keystead.server

    templates = Path(keystead.server.__file__).parent.rglob("*.html")
    own = {file.name: text for file in templates if "<!doctype html>" in (text := file.read_text(encoding="utf-8"))}
    assert list(own) == ["base.html"], "every page is built on the one that has the button"
    assert '<form class="signout" method="post" action="{% url \'account_logout\' %}">' in own["base.html"]


@pytest.mark.parametrize("path", ["/account/login/", "/account/password", "/account/address"])
def test_passwords_are_masked_and_left_to_password_managers(
    web: "Client", administrator: "Membership", path: str
) -> None:
    if path != "/account/login/":
        web.force_login(administrator.person)
    page = web.get(path).content.decode()
    fields = re.findall(r'<input type="password"[^>]*>', page)
    assert fields
    assert all(re.search(r'autocomplete="(current|new)-password"', field) for field in fields)
    assert not re.search(r'<input type="text" name="[^"]*(password|current)|onpaste', page)


@pytest.mark.parametrize("address", ["https://keys.example.org", "http://127.0.0.1:8420"])
def test_cookies_are_kept_from_scripts_and_from_plain_http(tmp_path: Path, address: str) -> None:
    from keystead.server.settings import ServerSettings
    from keystead.server.site.settings import django_settings

    settings = django_settings(ServerSettings(data_dir=tmp_path, public_url=address), "only-for-tests")
    assert settings["DEBUG"] is False
    assert settings["SESSION_COOKIE_HTTPONLY"]
    assert settings["SESSION_COOKIE_SECURE"] is settings["CSRF_COOKIE_SECURE"] is address.startswith("https")
    prefix = "__Host-" if address.startswith("https") else ""
    assert settings["SESSION_COOKIE_NAME"] == f"{prefix}sessionid"
    assert settings["CSRF_COOKIE_NAME"] == f"{prefix}csrftoken"
    assert settings["CSRF_TRUSTED_ORIGINS"] == [address]
    assert "*" not in settings["ALLOWED_HOSTS"]
