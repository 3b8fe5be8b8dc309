"""A real server and a real browser.

Chromium is the distribution's own. Without it these tests are skipped, and say so.
"""

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import control_plane
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture
def console(database: "Path") -> Iterator[str]:
    """Serve the control plane over the test's database and return its address."""
    with control_plane.serving() as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Start Chromium once per file.

    Playwright keeps an event loop in this thread for as long: Django would take the tests' own queries for mistakes,
    and a longer life would disturb other files.
    """
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no Chromium on this machine")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: "Browser", console: str) -> "Iterator[Page]":
    """Open an empty page of a fresh profile whose scripts must not fail."""
    context = browser.new_context(base_url=console, permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(60_000)  # a machine with much to do is not a failure
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if "Content Security" in message.text else None)
    yield page
    context.close()
    assert problems == []
