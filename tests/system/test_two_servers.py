"""Two server processes on one PostgreSQL, and one on SQLite: races through HTTP, and how far a revocation reaches."""

import json
import re
import secrets
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import relying_party
from forged_openid import query
from joserfc import jws
from local_server import local_server
from people import EMAIL, Person
from postgres import cluster
from relying_party import Session
from running import RunningServer
from visitors import first_form

CROWD = 64
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # of RFC 7636 appendix B
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Site:
    """The servers of one installation, and its administrator in a browser at the first of them."""

    servers: list[RunningServer]
    person: Person


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as stack:
        shared = {}
        if request.param == "postgresql":
            address = stack.enter_context(cluster()).create()
            shared = {"KEYSTEAD_SERVER_DATABASE_URL": address, "KEYSTEAD_SERVER_SECRET_KEY": secrets.token_hex(32)}
        first = stack.enter_context(RunningServer(tmp_path_factory.mktemp("first"), shared))
        servers, person = [first], first.administrator()
        if shared:
            servers.append(stack.enter_context(RunningServer(tmp_path_factory.mktemp("second"), shared)))
        yield Site(servers, person)


def ask(url: str, form: dict[str, str] | None = None, key: str = "") -> tuple[int, dict[str, Any]]:
    body = None if form is None else urllib.parse.urlencode(form).encode()
    request = urllib.request.Request(url, body, {"x-api-key": key} if key else {})
    try:
        with OPENER.open(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def at_once(site: Site, **form: str) -> Counter[tuple[int, str]]:
    """Send one request from a crowd to all servers at the same moment; count status and refresh token or error."""
    seen: list[tuple[int, str]] = []
    start = threading.Barrier(CROWD)

    def one(base: str) -> None:
        start.wait()
        status, said = ask(f"{base}/oauth/token", form)
        seen.append((status, said.get("refresh_token") or said["error"]))

    bases = [server.base for server in site.servers]
    threads = [threading.Thread(target=one, args=(bases[number % len(bases)],)) for number in range(CROWD)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == CROWD
    return Counter(seen)


def test_of_a_crowd_one_signs_in_and_none_is_signed_out(site: Site) -> None:
    base = site.servers[0].base
    _, given = ask(f"{base}/oauth/device_authorization", {"client_id": "keystead-cli"})
    site.person.approve(given["verification_uri_complete"])
    answers = at_once(site, grant_type=DEVICE, device_code=given["device_code"], client_id="keystead-cli")
    assert answers.pop((400, "invalid_grant")) == CROWD - 1
    (((status, token), count),) = answers.items()
    assert (status, count) == (200, 1)

    for _ in range(3):
        rotated = at_once(site, grant_type="refresh_token", refresh_token=token)
        (((status, token), count),) = rotated.items()
        assert (status, count) == (200, CROWD), "the whole crowd gets the same successor"
    status, renewed = ask(f"{base}/oauth/token", {"grant_type": "refresh_token", "refresh_token": token})
    assert (status, renewed["refresh_token"] != token) == (200, True), "and the last successor goes on"
    assert _person(base, renewed["access_token"]) == EMAIL


@pytest.mark.requirement("rfc6749 4.1.2 single use")
def test_of_a_crowd_with_one_code_one_begins_and_the_replay_ends_what_it_began(site: Site) -> None:
    """A code that comes twice is in two hands, so its sign-in ends (RFC 6749 section 4.1.2), and no other one."""
    base = site.servers[0].base
    _, given = ask(f"{base}/oauth/device_authorization", {"client_id": "keystead-cli"})
    site.person.approve(given["verification_uri_complete"])
    device = {"grant_type": DEVICE, "device_code": given["device_code"], "client_id": "keystead-cli"}
    other = ask(f"{base}/oauth/token", device)[1]["refresh_token"]

    with local_server({"GET /callback": (200, "text/plain", "done")}) as terminal:
        redirect = f"{terminal.url}/callback"
        asked = {"response_type": "code", "client_id": "keystead-cli", "redirect_uri": redirect, "scope": "openid"}
        proof = {"code_challenge": CHALLENGE, "code_challenge_method": "S256", "state": "s"}
        page = site.person.open(f"{base}/oauth/authorize?{urllib.parse.urlencode({**asked, **proof})}")
        came_back = query(site.person.fill(*page, {}, decision="approve")[0])
    form = {"code": came_back["code"], "redirect_uri": redirect, "code_verifier": VERIFIER}
    answers = at_once(site, grant_type="authorization_code", client_id="keystead-cli", **form)
    assert answers.pop((400, "invalid_grant")) == CROWD - 1
    (((status, token), count),) = answers.items()
    assert (status, count) == (200, 1)

    crowd = at_once(site, grant_type="refresh_token", refresh_token=token)
    assert crowd == {(401, "invalid_grant"): CROWD}, "what a replayed code began has ended, at every server"
    (((status, _), count),) = at_once(site, grant_type="refresh_token", refresh_token=other).items()
    assert (status, count) == (200, CROWD), "and nothing else"


def _person(base: str, token: str) -> str:
    request = urllib.request.Request(f"{base}/oauth/userinfo", headers={"authorization": f"Bearer {token}"})
    with OPENER.open(request, timeout=60) as answer:
        return str(json.loads(answer.read())["email"])


@pytest.mark.requirement("G-04 replicas")
def test_a_key_revoked_at_one_server_is_refused_at_every_one(site: Site) -> None:
    key = site.person.create_key("revocation")
    bases = [server.base for server in site.servers]
    for base in bases:
        _until(base, key, 200)
    _, page = site.person.open(f"{bases[0]}/keys")
    (link,) = re.findall(r'href="(/keys/key_\w+/revoke)"[^>]*>Revoke<span class="hidden"> revocation', page)
    site.person.fill(*site.person.open(bases[0] + link), {})
    assert ask(f"{bases[0]}/v1/models", key=key)[0] == 401, "here at once"
    for base in bases:
        _until(base, key, 401)


@pytest.mark.requirement("G-04 replicas")
def test_a_key_suspended_at_one_server_is_refused_at_every_one_until_that_is_lifted(site: Site) -> None:
    key = site.person.create_key("suspension")
    bases = [server.base for server in site.servers]
    for base in bases:
        _until(base, key, 200)
    _, page = site.person.open(f"{bases[0]}/keys")
    (link,) = re.findall(r'href="([^"]+)">Suspend<span class="hidden"> suspension<', page)
    site.person.fill(*site.person.open(bases[0] + link), {"reason": "Found in a log."})
    for base in bases:
        _until(base, key, 403)
        assert "Found in a log" in ask(f"{base}/v1/models", key=key)[1]["error"]["message"]
    place, page = site.person.open(bases[0] + link)
    site.person.fill(
        place, page, {"csrfmiddlewaretoken": first_form(page[page.index("<main") :])[1]["csrfmiddlewaretoken"]}
    )
    for base in bases:
        _until(base, key, 200)


@pytest.mark.requirement("S-19 models")
def test_a_policy_written_at_one_server_is_in_force_at_every_one(site: Site) -> None:
    key = site.person.create_key("models")
    bases = [server.base for server in site.servers]

    def listed(base: str) -> list[str]:
        status, said = ask(f"{base}/v1/models", key=key)
        assert status == 200
        return [model["id"] for model in said["data"]]

    for base in bases:
        _until(base, key, 200)
        assert listed(base) == ["keystead-test-1"]
    policy = {"name": "Nothing", "settings": '{"availableModels": []}'}
    site.person.fill(*site.person.open(f"{bases[0]}/policies/new"), policy)
    assert listed(bases[0]) == [], "here at once"
    for base in bases:
        assert any(listed(base) == [] for _ in range(2000)), f"{base} never heard of the policy"
    (written,) = re.findall(r'href="(/policies/pol_\w+)"', site.person.open(f"{bases[0]}/policies")[1])
    site.person.fill(*site.person.open(f"{bases[0]}{written}/remove"), {})
    for base in bases:
        assert any(listed(base) for _ in range(2000)), f"{base} never heard that the policy is gone"


def _until(base: str, key: str, status: int) -> None:
    """Ask until the answer is ``status``; an announcement takes a moment from process to process."""
    for _ in range(2000):
        if ask(f"{base}/v1/models", key=key)[0] == status:
            return
    pytest.fail(f"{base} never answered {status}")


def test_each_sign_in_that_ends_is_told_to_its_client_once_by_one_of_the_servers(site: Site) -> None:
    bases = [server.base for server in site.servers]
    with relying_party.running() as party:
        proof = _register(site.person, party.address)
        sessions, seen = {}, set[str]()  # by sid
        for number in range(6):
            base = bases[number % len(bases)]
            _, given = ask(f"{base}/oauth/device_authorization", proof)
            site.person.approve(given["verification_uri_complete"].replace(base, bases[0]))
            form = {**proof, "grant_type": DEVICE, "device_code": given["device_code"]}
            claims = json.loads(jws.extract_compact(ask(f"{base}/oauth/token", form)[1]["id_token"].encode()).payload)
            sessions[claims["sid"]] = claims["sub"]
        site.person.fill(*site.person.open(f"{bases[0]}/devices/sign-out"), {})
        _, jwks = ask(f"{bases[-1]}/oauth/jwks")
        for _ in range(len(sessions)):
            token = party.next()
            claims = json.loads(jws.extract_compact(token.encode()).payload)
            assert claims["iss"] in bases, "these servers have no public_url in common: each names itself"
            session = Session(claims["iss"], proof["client_id"], sessions.pop(claims["sid"]), claims["sid"])
            relying_party.check(token, jwks, session, time.time() + 1, seen)
    assert len(party.asked) == 6
    assert "logout_token" not in "".join(server.output for server in site.servers)


def _register(person: Person, address: str) -> dict[str, str]:
    """Register a client in the console that signs people in and wants to be told of their sign-out."""
    place, page = person.open(f"{person.base}/clients/new")
    _, fields = first_form(page[page.index("<main") :])
    typed: dict[str, str | list[str]] = {
        "csrfmiddlewaretoken": fields["csrfmiddlewaretoken"],
        "name": "Portal",
        "auth_method": "client_secret_post",
        "grant_types": [DEVICE],
        "scope": ["openid"],
        "backchannel_logout_uri": address,
        "backchannel_logout_session_required": "on",
    }
    _, page = person.open(place, typed)
    client_id, secret = re.search(r"cli_\w+", page), re.search(r"ksx_\w+", page)
    assert client_id
    assert secret
    return {"client_id": client_id[0], "client_secret": secret[0]}


def test_scim2_tester_finds_no_failure_at_the_running_server(site: Site) -> None:
    from httpx2 import Client
    from scim2_client.engines.httpx2 import SyncSCIMClient
    from scim2_tester import Status, check_server

    base = site.servers[0].base
    _, page = site.person.fill(*site.person.open(f"{base}/provisioning"), {"make": "token"})
    secret = re.search(r"ksp_[0-9A-Za-z]+", page)
    address = re.search(r"http\S+/scim/v2/org_\w+", page)
    assert secret
    assert address
    with Client(
        base_url=address[0], headers={"Authorization": f"Bearer {secret[0]}"}, trust_env=False, timeout=60
    ) as client:
        results = check_server(SyncSCIMClient(client))
    bad = [(one.title, one.reason) for one in results if one.status in {Status.ERROR, Status.CRITICAL}]
    assert not bad
    assert len(results) > 100
