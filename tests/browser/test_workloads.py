"""The pages for workloads and clients: by keyboard from nothing to a rule, and every page judged in every look."""

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from issuers import TokenIssuer
from looking import LOOKS, judge, sign_in

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from keystead.server.organizations.models import Membership

GITHUB = TokenIssuer("https://token.actions.githubusercontent.com")


def add(page: "Page", kind: str, **typed: str) -> None:
    """Fill a form in by its labels, without the mouse, and send it."""
    page.goto(f"/workloads/{kind}/new")
    for label, text in typed.items():
        page.get_by_label(label.replace("_", " "), exact=True).focus()
        page.keyboard.insert_text(text)
    page.get_by_role("main").get_by_role("button").focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")


def set_up(page: "Page") -> None:
    add(page, "accounts", Name="deploy")
    page.goto("/workloads/issuers/new")
    page.get_by_label("Its public keys").select_option("inline")
    page.get_by_label("The keys (JWK set)").fill(json.dumps(GITHUB.jwks))
    page.get_by_label("Name", exact=True).fill("GitHub Actions")
    page.get_by_label("Issuer", exact=True).fill(GITHUB.url)
    with page.expect_navigation():
        page.get_by_role("button", name="Add issuer").press("Enter")
    add(page, "rules", Name="Deploys of main", Whose_claims_say="repository = acme/app\nref ~= refs/heads/*")
    page.get_by_text("ANTHROPIC_FEDERATION_RULE_ID=fdrl_").wait_for()


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_of_workloads_and_clients_is_fit_to_be_seen(
    page: "Page", administrator: "Membership", look: str
) -> None:
    page.emulate_media(color_scheme=LOOKS[look]["color_scheme"])
    page.set_viewport_size(LOOKS[look]["viewport"])
    sign_in(page)
    page.goto("/workloads")
    judge(page, f"{look}-workloads-empty")
    set_up(page)
    judge(page, f"{look}-workload-rule")
    add(page, "rules", Name="World", Whose_claims_say="ref = main")
    page.get_by_role("alert").wait_for()
    judge(page, f"{look}-workload-refused")
    for address in ("/workloads", "/workloads/accounts/new", "/workloads/issuers/new", "/clients", "/clients/new"):
        page.goto(address)
        judge(page, f"{look}{address.replace('/', '-')}")
    page.goto("/workloads")
    page.get_by_role("link", name="Disable the rule Deploys of main").press("Enter")
    page.get_by_role("button", name="Disable rule").wait_for()
    judge(page, f"{look}-workload-disable")
    page.goto("/workloads/test")
    page.get_by_label("Identity token").fill(GITHUB.token(now=time.time()))
    page.get_by_role("button", name="Test token").press("Enter")
    page.get_by_text("does not accept it").wait_for()
    judge(page, f"{look}-workload-test")


@pytest.mark.parametrize("look", LOOKS)
def test_a_client_is_registered_and_its_secret_shown_once(page: "Page", administrator: "Membership", look: str) -> None:
    page.emulate_media(color_scheme=LOOKS[look]["color_scheme"])
    page.set_viewport_size(LOOKS[look]["viewport"])
    sign_in(page)
    page.goto("/clients/new")
    page.get_by_label("Name", exact=True).fill("Portal")
    page.get_by_label("It proves who it is by").select_option("client_secret_basic")
    page.get_by_label("Sign a person in with a device code").press("Space")
    page.get_by_label("Logout address").fill("https://portal.example.com/logout")
    page.get_by_label("It must be told which sign-in ended").press("Space")
    page.get_by_role("button", name="Register client").press("Enter")
    page.get_by_text("Copy the secret now.").wait_for()
    judge(page, f"{look}-client-secret")
    page.goto("/clients")
    page.get_by_role("link", name="Portal").press("Enter")
    page.get_by_role("button", name="New secret").press("Enter")
    page.get_by_text("replaced, works until").wait_for()
    judge(page, f"{look}-client")


@pytest.mark.parametrize("look", LOOKS)
def test_programs_are_let_register_themselves_by_keyboard(page: "Page", administrator: "Membership", look: str) -> None:
    from django.conf import settings
    from django.test import override_settings

    page.emulate_media(color_scheme=LOOKS[look]["color_scheme"])
    page.set_viewport_size(LOOKS[look]["viewport"])
    sign_in(page)
    page.goto("/clients/registration")
    page.get_by_text("Registration is off").wait_for()
    judge(page, f"{look}-registration-off")
    with override_settings(KEYSTEAD=replace(settings.KEYSTEAD, dynamic_registration=True)):
        page.goto("/clients")
        page.get_by_role("link", name="Registration tokens").press("Enter")
        page.get_by_label("Name", exact=True).focus()
        page.keyboard.insert_text("Editors of the design team")
        page.get_by_role("button", name="Make a token").press("Enter")
        page.get_by_text("Copy the token now.").wait_for()
        judge(page, f"{look}-registration-token")
        token = page.get_by_label("Registration token", exact=True).inner_text()
        metadata = {"client_name": "Quill", "redirect_uris": ["https://quill.example/callback"]}
        bearer = {"authorization": f"Bearer {token}"}
        assert page.request.post("/oauth/register", data=metadata, headers=bearer).status == 201
        page.goto("/clients/registration")
        page.get_by_text("used up").wait_for()
        judge(page, f"{look}-registration-used-up")
        page.goto("/clients")
        page.get_by_text("registered dynamically").wait_for()
        judge(page, f"{look}-clients-registered")
        page.get_by_role("link", name="Quill").press("Enter")
        page.get_by_text("Editors of the design team").wait_for()
        judge(page, f"{look}-client-registered")
