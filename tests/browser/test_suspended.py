"""The page for whoever would sign a suspended client in, judged in every look."""

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from looking import LOOKS, judge, sign_in

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from keystead.server.organizations.models import Membership

REQUEST = {
    "response_type": "code",
    "client_id": "keystead-cli",
    "redirect_uri": "http://127.0.0.1:53682/callback",
    "scope": "openid models:use",
    "code_challenge": "c" * 43,
    "code_challenge_method": "S256",
}


@pytest.mark.parametrize("look", LOOKS)
def test_who_is_suspended_and_what_to_do(page: "Page", administrator: "Membership", look: str) -> None:
    from keystead.server.authorization.surroundings import now
    from keystead.server.suspensions import operations

    assert operations.suspend(administrator, "keystead-cli", "A copy of it was sold.", now())
    page.emulate_media(color_scheme=LOOKS[look]["color_scheme"])
    page.set_viewport_size(LOOKS[look]["viewport"])
    sign_in(page)
    page.goto(f"/oauth/authorize?{urlencode(REQUEST)}")
    page.get_by_role("heading", name="Keystead command line is suspended").wait_for()
    judge(page, f"{look}-client-suspended")
    page.route("**/callback?*", lambda route: route.fulfill(body="back"))
    page.get_by_role("button", name="Return to Keystead command line").click()
    page.wait_for_url("**/callback?error=access_denied*")
