"""A person sets the server up, makes and ends a key, and reads the usage, in a real browser."""

from datetime import UTC, datetime, timedelta
from secrets import token_bytes
from typing import TYPE_CHECKING

import pytest
from looking import LOOKS, follow, judge, sign_in
from uuid_utils.compat import uuid7

from keystead.wire import ids, tokens

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from keystead.server.organizations.models import Membership


def record_usage(member: "Membership", upstream: str = "test") -> None:
    from keystead.server.organizations import operations as organizations
    from keystead.server.usage.ledger import store
    from keystead.server.usage.record import UsageRecord

    workspace = organizations.default_workspace(member.organization)
    store(
        [
            UsageRecord(
                id=uuid7().hex,
                request_id=f"req_{number}",
                organization_id=ids.dump("organization", member.organization_id),
                workspace_id=ids.dump("workspace", workspace.id),
                member_id=ids.dump("membership", member.id),
                principal_kind="session",
                principal_id=ids.dump("grant", uuid7()),
                client="sdk",
                session_id="",
                upstream=upstream,
                model=model,
                status=200,
                started_at=datetime.now(UTC).timestamp(),
                duration_ms=1,
                input_tokens=1_234_567 // (number + 1),
                output_tokens=8_900,
                cache_read_tokens=0,
                cache_write_tokens=0,
                streamed=True,
                aborted=False,
                estimated=False,
            )
            for number, model in enumerate(["example-large", "example-small-with-a-long-name-20261001"])
        ]
    )


def test_the_one_time_link_leads_to_a_signed_in_administrator(page: "Page") -> None:
    from keystead.server.identity import operations

    code = operations.new_setup_code(datetime.now(UTC), token_bytes, timedelta(hours=1))
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.goto(f"/setup#code={code}")
    assert page.get_by_label("Set-up code").input_value() == code
    assert "#" not in page.url
    page.get_by_label("Organization").fill("Example")
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Email").fill("ada@example.com")
    page.get_by_label("Password").fill("short")
    follow(page.get_by_role("button", name="Create administrator"))
    assert "12 characters" in page.get_by_role("alert").inner_text()
    assert page.get_by_label("Set-up code").input_value() == code
    page.get_by_label("Password").fill("correct horse battery")
    follow(page.get_by_role("button", name="Create administrator"))
    page.get_by_role("heading", name="Example", level=1).wait_for()
    assert code is not None
    assert all(code not in url for url in sent)
    page.goto("/setup")
    page.get_by_role("heading", name="already set up").wait_for()


def test_a_key_is_created_copied_once_and_revoked(page: "Page", administrator: "Membership") -> None:
    sign_in(page)
    page.get_by_role("link", name="Keys", exact=True).click()
    page.get_by_label("Name").fill("build server")
    follow(page.get_by_role("button", name="Create key"))
    secret = page.get_by_label("API key").inner_text()
    assert tokens.parse(secret) is tokens.TokenKind.API_KEY
    page.get_by_role("button", name="Copy key").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == secret
    follow(page.get_by_role("link", name="Done"))
    assert secret not in page.content()
    assert secret[:8] in page.content()
    page.get_by_role("link", name="Revoke build server").click()
    page.get_by_role("link", name="Keep it").click()
    page.get_by_text("active").wait_for()
    page.get_by_role("link", name="Revoke build server").click()
    page.get_by_role("button", name="Revoke key").click()
    page.get_by_text("revoked").wait_for()


@pytest.mark.requirement("G-05 overlap")
def test_a_key_is_rotated_and_its_old_secret_ended(page: "Page", administrator: "Membership") -> None:
    sign_in(page)
    page.goto("/keys")
    page.get_by_label("Name").fill("build server")
    follow(page.get_by_role("button", name="Create key"))
    old = page.get_by_label("API key").inner_text()
    follow(page.get_by_role("link", name="Done"))
    page.get_by_role("link", name="Rotate build server").click()
    page.get_by_label("The secret of now works for").select_option("7 days")
    page.get_by_role("button", name="Rotate key").click()
    new = page.get_by_label("API key").inner_text()
    assert tokens.parse(new) is tokens.TokenKind.API_KEY
    assert new != old
    follow(page.get_by_role("link", name="See whether it is still used"))
    assert page.get_by_text("not since the rotation").count() == 2
    page.get_by_role("button", name="End the old secret now").click()
    page.get_by_role("link", name="Leave it as it is").wait_for()
    assert page.get_by_role("button", name="End the old secret now").count() == 0


def test_a_key_can_be_made_with_the_keyboard_alone(page: "Page", administrator: "Membership") -> None:
    def tab_to(name: str) -> None:
        for _ in range(30):
            page.keyboard.press("Tab")
            if name in page.evaluate("document.activeElement.textContent || document.activeElement.name || ''"):
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert outline != "none", f"{name} has no visible focus"
                return
        raise AssertionError(f"{name} cannot be reached with the Tab key")

    page.goto("/keys")
    tab_to("login")
    page.keyboard.type("ada@example.com")
    tab_to("password")
    page.keyboard.type("correct horse battery")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="API keys").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    tab_to("name")
    page.keyboard.type("laptop")
    tab_to("Create key")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="“laptop” created").wait_for()


def test_usage_is_shown_per_model(page: "Page", administrator: "Membership") -> None:
    sign_in(page)
    page.get_by_role("link", name="Usage").click()
    page.get_by_text("No request has reached the gateway today").wait_for()
    record_usage(administrator)
    page.reload()
    cells = page.get_by_role("row", name="example-large").get_by_role("cell").all_inner_texts()
    assert cells[:3] == ["1", "1\u202f234\u202f567", "8\u202f900"]


def test_costs_are_shown_for_a_period_and_downloaded(page: "Page", administrator: "Membership") -> None:
    record_usage(administrator, upstream="anthropic")
    sign_in(page)
    page.get_by_role("link", name="Usage").click()
    page.get_by_role("link", name="This month").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="This month").and_(page.locator("[aria-current=page]")).wait_for()
    cells = page.get_by_role("row", name="example-large").get_by_role("cell").all_inner_texts()
    assert cells[4] == "≈ $6.40"
    with page.expect_download() as started:
        page.get_by_role("link", name="Download as CSV").click()
    assert started.value.suggested_filename.startswith("usage-month-")
    assert '"6.395335"' in started.value.path().read_text(encoding="utf-8")


def sign_in_a_device(member: "Membership", label: str) -> str:
    """Sign the client in without its own half of the story; return the sign-in's identifier."""
    from keystead.server.authorization import clients, sign_ins

    approval = sign_ins.Approval(clients.find("keystead-cli"), member, "openid models:use")
    return ids.dump("grant", sign_ins.begin(approval, label, datetime.now(UTC)).grant.id)


def test_a_device_is_signed_out(page: "Page", administrator: "Membership") -> None:
    sign_in_a_device(administrator, "laptop")
    sign_in(page)
    page.get_by_role("link", name="Devices").click()
    page.get_by_role("link", name="Sign out Keystead").click()
    page.get_by_role("main").get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/devices")
    assert "No device is signed in as you" in page.get_by_role("main").inner_text()


def policies(member: "Membership") -> str:
    """Keep a base and a policy for a group with a long name; return the identifier of the second."""
    from keystead.server.organizations import groups
    from keystead.server.organizations.models import GroupSource
    from keystead.server.policies import operations

    now = datetime.now(UTC)
    names = ("Platform", "People who look after the continuous integration of everybody else")
    made = [
        groups.create(member.organization, name, source=GroupSource.CONSOLE, actor="per_1", now=now) for name in names
    ]
    operations.create(member, operations.Draft("Base", '{"availableModels": ["example-small"]}'), now)
    settings = '{"availableModels": ["example-large"], "permissions": {"deny": ["Read(.env)"]}}'
    draft = operations.Draft("Those who build", settings, tuple(made), "example.com")
    return operations.create(member, draft, now).wire_id


def pages(page: "Page", administrator: "Membership") -> "dict[str, str]":
    """Return every page by name, with something on it to see."""
    from keystead.server.keys import operations, rotation

    key, _ = operations.issue(administrator, "laptop", now=datetime.now(UTC), random_bytes=token_bytes)
    gone, _ = operations.issue(administrator, "old build server", now=datetime.now(UTC), random_bytes=token_bytes)
    operations.revoke(gone, administrator, datetime.now(UTC))
    two, _ = operations.issue(administrator, "continuous integration", now=datetime.now(UTC), random_bytes=token_bytes)
    rotation.rotate(two, administrator, timedelta(days=1), now=datetime.now(UTC), random_bytes=token_bytes)
    record_usage(administrator, upstream="anthropic")
    grant = sign_in_a_device(administrator, "keystead/0.1.0 (laptop)")
    sign_in_a_device(administrator, "")
    policy = policies(administrator)
    return {
        "overview": "/",
        "keys": "/keys",
        "revoke": f"/keys/{key.wire_id}/revoke",
        "rotate": f"/keys/{key.wire_id}/rotate",
        "rotate-again": f"/keys/{two.wire_id}/rotate",
        "devices": "/devices",
        "sign-out": f"/devices/{grant}/sign-out",
        "everywhere": "/devices/sign-out",
        "usage": "/usage",
        "usage-month": "/usage?period=month",
        "policies": f"/policies?as={ids.dump('membership', administrator.id)}",
        "policy": f"/policies/{policy}",
        "policy-new": "/policies/new",
        "policy-remove": f"/policies/{policy}/remove",
        "missing": "/no/such/page",
        "setup-done": "/setup",
        "signout": "/account/logout/",
    }


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_fits_its_window_and_passes_the_accessibility_rules(
    page: "Page", administrator: "Membership", look: str
) -> None:
    page.emulate_media(color_scheme=LOOKS[look]["color_scheme"])
    page.set_viewport_size(LOOKS[look]["viewport"])
    addresses = pages(page, administrator)
    page.goto("/account/login/")
    judge(page, f"{look}-signin")
    page.get_by_label("Email").fill("ada@example.com")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()
    judge(page, f"{look}-signin-wrong")
    sign_in(page)
    for name, address in addresses.items():
        page.goto(address)
        judge(page, f"{look}-{name}")
    page.goto("/keys")
    page.get_by_label("Name").fill("build server")
    follow(page.get_by_role("button", name="Create key"))
    judge(page, f"{look}-key")


@pytest.mark.parametrize("look", LOOKS)
def test_the_set_up_page_fits_too(page: "Page", look: str) -> None:
    page.emulate_media(color_scheme=LOOKS[look]["color_scheme"])
    page.set_viewport_size(LOOKS[look]["viewport"])
    page.goto("/setup#code=kss_nonsense")
    judge(page, f"{look}-setup")
    page.get_by_label("Password").fill("x")
    page.locator("form").evaluate("form => { form.noValidate = true; }")
    follow(page.get_by_role("button", name="Create administrator"))
    page.get_by_role("alert").wait_for()
    judge(page, f"{look}-setup-wrong")
