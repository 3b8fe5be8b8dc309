"""Looking at a page as people do: in light and dark, on a phone, with the accessibility rules, and by eye."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

SHOTS = Path(os.environ["KEYSTEAD_SCREENSHOTS"]) if "KEYSTEAD_SCREENSHOTS" in os.environ else None
"""Where to leave pictures of every page, when somebody wants to look at them."""

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1200, "height": 850}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1200, "height": 850}},
    "phone": {"color_scheme": "light", "viewport": {"width": 320, "height": 800}},
}


def sign_in(page: "Page") -> None:
    page.goto("/")
    page.get_by_label("Email").fill("ada@example.com")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()


def follow(element: "Locator") -> None:
    """Click on what leads to another page, and return once that page is all there.

    A click alone returns while the page before may still be the one that is looked at.
    """
    with element.page.expect_navigation():
        element.click()


def judge(page: "Page", name: str) -> None:
    """Check the page's structure, its width, and (with axe-core) the WCAG 2.2 A and AA rules a machine can check."""
    page.wait_for_load_state()  # what was pressed a line before may still be bringing it
    if SHOTS:
        page.screenshot(path=SHOTS / f"{name}.png", full_page=True)
    assert page.get_by_role("main").count() == 1
    assert page.get_by_role("heading", level=1).count() == 1
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1], f"{name} is wider than its window: {width}"
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == [], name
