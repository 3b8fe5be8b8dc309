"""The pages for upstreams: by keyboard from nothing to one that works, every page judged in every look."""

from typing import TYPE_CHECKING

import pytest
from local_server import local_server
from looking import LOOKS, judge, sign_in

from keystead.server.upstream_shape import Kind
from keystead.server.upstreams.methods import METHODS

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from keystead.server.organizations.models import Membership


def press(page: "Page", role: str, name: str) -> None:
    """Follow a link or press a button without the mouse."""
    found = page.get_by_role(role, name=name, exact=True)  # type: ignore[arg-type]
    found.focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")


@pytest.mark.parametrize("look", LOOKS)
def test_an_upstream_is_connected_by_keyboard(page: "Page", administrator: "Membership", look: str) -> None:
    page.emulate_media(color_scheme=LOOKS[look]["color_scheme"])
    page.set_viewport_size(LOOKS[look]["viewport"])
    sign_in(page)
    page.goto("/upstreams")
    judge(page, f"{look}-upstreams-empty")
    press(page, "link", "Connect an upstream")
    judge(page, f"{look}-upstream-kinds")
    press(page, "link", "Claude Platform on AWS")
    judge(page, f"{look}-upstream-aws")
    page.get_by_label("Name", exact=True).fill("Platform")
    press(page, "button", "Continue")
    page.get_by_role("alert").wait_for()
    judge(page, f"{look}-upstream-refused")
    with local_server({"GET /v1/models": (200, "application/json", {})}) as server:
        page.goto("/upstreams/new/messages")
        page.get_by_label("Name", exact=True).fill("Ours")
        page.get_by_label("Address").fill(server.url)
        page.get_by_label("Names for models").fill("claude-opus-4-6 = our-deployment")
        press(page, "button", "Continue")
        page.get_by_text("Nothing is sent there").wait_for()
        judge(page, f"{look}-upstream-new")
        press(page, "link", "API key")
        judge(page, f"{look}-upstream-credential")
        page.get_by_label("API key").fill("sk-canary")
        press(page, "button", "Save credential")
        press(page, "button", "Test this upstream")
        page.get_by_text("It answered GET /v1/models.").wait_for()
        judge(page, f"{look}-upstream-works")
        page.goto("/upstreams/new/anthropic")
        page.get_by_label("Name", exact=True).fill("Anthropic")
        press(page, "button", "Continue")
    page.goto("/upstreams")
    press(page, "button", "Earlier Anthropic")
    judge(page, f"{look}-upstreams")
    assert page.locator("tbody th").all_inner_texts() == ["Anthropic", "Ours"]
    press(page, "link", "Ours")
    press(page, "link", "Remove this upstream")
    judge(page, f"{look}-upstream-remove")
    press(page, "button", "Remove upstream")
    assert page.locator("tbody th").all_inner_texts() == ["Anthropic"]


FILLED: dict[str, dict[str, str]] = {
    "anthropic": {},
    "aws": {"Region": "us-east-1", "Headers of its own": "anthropic-workspace-id: wrkspc_1"},
    "bedrock": {
        "Region": "eu-central-1",
        "Names for models": "claude-sonnet-4-5 = eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
    },
    "vertex": {"Region": "global", "Project": "models-prod", "Names for models": "claude-x = claude-x@20260101"},
    "foundry": {"Address": "https://models.services.ai.azure.com/anthropic"},
    "messages": {"Address": "https://llm.example.com"},
    "openai": {"Address": "https://llm.example.com/v1"},
}


@pytest.mark.parametrize("look", [*LOOKS, "dark-phone"])
@pytest.mark.parametrize("kind", list(FILLED))
def test_the_pages_of_each_kind(page: "Page", administrator: "Membership", look: str, kind: str) -> None:
    """Its form, its page, the form of each credential, and what a partial one is told."""
    looks = LOOKS["phone"] | {"color_scheme": "dark"} if look == "dark-phone" else LOOKS[look]
    page.emulate_media(color_scheme=looks["color_scheme"])
    page.set_viewport_size(looks["viewport"])
    sign_in(page)
    page.goto(f"/upstreams/new/{kind}")
    judge(page, f"{look}-{kind}-new")
    page.get_by_label("Name", exact=True).fill("Ours")
    for label, value in FILLED[kind].items():
        page.get_by_label(label).fill(value)
    press(page, "button", "Continue")
    page.get_by_text("Nothing is sent there before its credential is set.").wait_for()
    judge(page, f"{look}-{kind}-page")
    if kind in ("bedrock", "vertex", "foundry"):
        page.locator("section[aria-labelledby=names] summary").click()
        judge(page, f"{look}-{kind}-names")
    own = page.url
    methods = METHODS[Kind(kind)]
    assert page.get_by_role("link", name=methods[0].label, exact=True).count() == 1
    for row in methods:
        page.goto(f"{own}/credential/{row.id}")
        judge(page, f"{look}-{kind}-{row.id}")
        if any(field.required for field in row.fields):
            press(page, "button", "Save credential")
            page.get_by_text("is missing: ").wait_for()
            judge(page, f"{look}-{kind}-{row.id}-partial")
