"""The pages for upstreams: by keyboard from nothing to one that works, every page judged in every look."""

from typing import TYPE_CHECKING

import pytest
from local_server import local_server
from looking import LOOKS, judge, sign_in

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
