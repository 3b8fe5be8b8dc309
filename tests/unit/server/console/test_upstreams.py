"""The pages by which an administrator connects an upstream."""

import re
from html import unescape
from typing import Any

import pytest
from local_server import Asked, local_server

CANARY = "sk-ant-api03-canary"


@pytest.fixture
def browser(web: Any, administrator: Any) -> Any:
    web.force_login(administrator.person)
    return web


def text(response: Any) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", response.content.decode())))


def add(browser: Any, kind: str = "messages", **more: str) -> Any:
    return browser.post(f"/upstreams/new/{kind}", {"name": "Ours", "base_url": "https://llm.example.com"} | more)


def the_only() -> Any:
    from keystead.server.upstreams.models import Upstream

    return Upstream.objects.get()


def test_an_upstream_is_connected_shown_a_credential_tested_and_removed(browser: Any) -> None:
    def answer(asked: Asked) -> tuple[int, str, object]:
        return (200 if asked.headers.get("x-api-key") == CANARY else 401), "application/json", {}

    with local_server({"GET /v1/models": answer}) as server:
        lines = {"models": "opus = deployment\n", "serves": "opus\nsonnet", "headers": "X-Team: a", "name": "Ours"}
        page = add(browser, base_url=server.url, **lines)
        upstream = the_only()
        assert page.headers["location"] == f"/upstreams/{upstream.wire_id}"
        assert (upstream.model_names, upstream.serves) == ({"opus": "deployment"}, ["opus", "sonnet"])
        assert "Nothing is sent there before its credential is set." in text(browser.get(page.headers["location"]))
        for key, said in (("wrong", "It refused the credential (401)"), (CANARY, "It answered GET /v1/models.")):
            browser.post(f"/upstreams/{upstream.wire_id}/credential/api_key", {"key": key})
            tested = browser.post(f"/upstreams/{upstream.wire_id}/test", follow=True)
            assert said in text(tested)
            assert "kept, encrypted" in text(tested)
            assert CANARY not in tested.content.decode()
    listed = text(browser.get("/upstreams"))
    assert "Ours works Messages API" in listed
    browser.post(f"/upstreams/{upstream.wire_id}/switch", {"on": "no"})
    assert "Ours off" in text(browser.get("/upstreams"))
    assert "Remove “Ours”?" in text(browser.get(f"/upstreams/{upstream.wire_id}/remove"))
    browser.post(f"/upstreams/{upstream.wire_id}/remove")
    assert "No upstream is connected yet" in text(browser.get("/upstreams"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"base_url": "https://10.0.0.1"}, "Address names 10.0.0.1, which is inside this server's own network."),
        ({"models": "opus"}, "“opus” is not ours = theirs."),
        ({"headers": "x-api-key: k"}, "Headers of its own: x-api-key is set by the gateway itself."),
        ({"name": ""}, "This field is required."),
    ],
)
def test_what_will_not_do_is_said_and_nothing_is_kept(browser: Any, more: dict[str, str], said: str) -> None:
    from keystead.server.upstreams.models import Upstream

    page = add(browser, **more)
    assert page.status_code == 422
    assert said in text(page)
    assert not Upstream.objects.exists()


@pytest.mark.parametrize(
    ("method", "given", "said"),
    [
        ("api_key", {}, "key is missing: API key needs key."),
        ("api_key", {"key": "sk-ant-oat01-x"}, "rule vendor-subscription"),
        ("api_key", {"key": "file:/etc/shadow"}, "it is kept on the server's own machine"),
    ],
)
def test_a_credential_that_will_not_do_is_said(browser: Any, method: str, given: dict[str, str], said: str) -> None:
    add(browser)
    page = browser.post(f"/upstreams/{the_only().wire_id}/credential/{method}", given)
    assert page.status_code == 422
    assert said in text(page)
    assert the_only().method == ""


def every_field() -> list[tuple[str, str, str]]:
    from keystead.server.upstreams.methods import METHODS

    rows = [(kind.value, row) for kind, found in METHODS.items() for row in found]
    return [(kind, row.id, field.name) for kind, row in rows for field in row.fields if field.required]


@pytest.mark.parametrize(("kind", "method", "field"), every_field())
def test_a_partial_credential_is_refused_by_the_name_of_its_field(
    browser: Any, kind: str, method: str, field: str
) -> None:
    """Whatever of it is typed before that field; the page stays as it was typed, without the secrets."""
    from keystead.server.upstream_shape import Kind
    from keystead.server.upstreams.methods import method_of

    more = {"region": "us-east-1", "project": "p-1", "headers": "anthropic-workspace-id: w"}
    assert add(browser, kind, **more).status_code == 302
    before = [one.name for one in method_of(Kind(kind), method).fields if one.required]
    typed = dict.fromkeys(before[: before.index(field)], "AKIAIOSFODNN7EXAMPLE")
    page = browser.post(f"/upstreams/{the_only().wire_id}/credential/{method}", typed)
    assert page.status_code == 422
    label = next(one.label for one in method_of(Kind(kind), method).fields if one.name == field)
    assert f"{label} is missing" in text(page)
    assert the_only().method == ""


@pytest.mark.parametrize(
    ("kind", "method", "said"),
    [
        ("vertex", "chain", "Nothing is kept: requests show who the server's own machine is."),
        ("bedrock", "chain", "allows it with chain:aws in upstream_references"),
        ("foundry", "entra", "Kept encrypted, and never shown again."),
        ("messages", "none", "Requests go to https://llm.example.com without a credential."),
    ],
)
def test_the_form_of_a_credential_says_what_becomes_of_it(browser: Any, kind: str, method: str, said: str) -> None:
    add(browser, kind, region="us-east-1", project="p-1")
    assert said in text(browser.get(f"/upstreams/{the_only().wire_id}/credential/{method}"))


def test_another_host_is_not_sent_the_old_credential(browser: Any) -> None:
    add(browser)
    address = f"/upstreams/{the_only().wire_id}"
    browser.post(f"{address}/credential/api_key", {"key": CANARY})
    shown = browser.get(f"{address}/credential/api_key")
    assert CANARY not in shown.content.decode()
    version = str(the_only().version)
    changed = {"name": "Ours", "base_url": "https://evil.example", "version": version}
    assert browser.post(address, changed).status_code == 302
    assert the_only().sealed_credential == ""
    assert "Somebody changed this upstream meanwhile." in text(browser.post(address, changed))


@pytest.mark.parametrize("address", ["", "/new", "/new/messages", "/{0}", "/{0}/remove", "/{0}/credential/api_key"])
def test_who_may_not_sees_nothing_of_it(browser: Any, administrator: Any, address: str) -> None:
    add(browser)
    place = "/upstreams" + address.format(the_only().wire_id)
    assert browser.get(place).status_code == 200
    type(administrator).objects.update(role="developer")
    assert browser.get(place).status_code == 403
    assert "upstreams" not in text(browser.get("/")).lower()


@pytest.mark.parametrize("address", ["/upstreams/new/moon", "/upstreams/upst_1", "/upstreams/{0}/credential/chain"])
def test_what_is_not_there_is_not_found(browser: Any, address: str) -> None:
    add(browser)
    assert browser.get(address.format(the_only().wire_id)).status_code == 404


def test_every_kind_is_offered_and_the_gateway_can_ask_it(browser: Any) -> None:
    from keystead.server.gateway.upstreams import ADAPTERS
    from keystead.server.upstream_shape import Kind

    offered = browser.get("/upstreams/new").content.decode()
    assert {kind for kind in Kind if f"/upstreams/new/{kind}" in offered} == ADAPTERS.keys() == set(Kind)


def test_the_page_says_what_names_become_and_where_requests_may_be_processed(browser: Any) -> None:
    assert "Where requests may be processed" not in text(browser.get("/upstreams/new/vertex"))
    page = add(browser, "bedrock", base_url="", region="eu-central-1", models="claude-opus-5-5 = ours")
    address = page.headers["location"]
    shown = browser.get(address)
    assert "claude-opus-5-5 ours by your own names for models" in text(shown)
    assert "claude-opus-5 eu.anthropic.claude-opus-5 the profile of the European Union, by the region" in text(shown)
    given = {"name": "Ours", "region": "eu-central-1", "base_url": the_only().base_url, "version": "1"}
    assert browser.post(address, given | {"profile": "mars"}).status_code == 422
    assert browser.post(address, given | {"profile": "global"}).status_code == 302
    assert "claude-opus-5 global.anthropic.claude-opus-5 the profile of every commercial region, as chosen" in text(
        browser.get(address)
    )
    add(browser, name="Plain")
    assert "What names become" not in text(browser.get(add(browser, name="Other").headers["location"]))


def test_the_test_of_a_cloud_asks_by_the_clouds_name(browser: Any) -> None:
    with local_server({"*": (400, "application/json", {"message": "messages: too short"})}) as server:
        page = add(browser, "bedrock", base_url=server.url, region="eu-central-1", serves="claude-sonnet-4-5")
        browser.post(f"{page.headers['location']}/credential/api_key", {"key": "k"})
        browser.post(f"{page.headers['location']}/test")
    assert the_only().works
    assert server.asked[0].path == "/model/eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke"
