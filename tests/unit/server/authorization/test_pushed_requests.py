"""Authorization requests that a client hands in itself (RFC 9126)."""

from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.test import Client
from proofs import Signer

from keystead.secret import Secret
from keystead.wire import pkce

ORIGIN = "http://127.0.0.1:8420"
CALLBACK = "http://127.0.0.1:53682/callback"
VERIFIER = "v" * 43
REQUEST = {
    "response_type": "code",
    "client_id": "keystead-cli",
    "redirect_uri": CALLBACK,
    "scope": "openid",
    "state": "s",
    "code_challenge": pkce.challenge(Secret(VERIFIER)),
    "code_challenge_method": "S256",
}


def push(program: Any, **changes: str | None) -> tuple[int, dict[str, Any]]:
    form = {name: value for name, value in {**REQUEST, **changes}.items() if value is not None}
    answer: tuple[int, dict[str, Any]] = program.post("/oauth/par", **form)
    return answer


def address(request_uri: str, **more: str) -> str:
    return "/oauth/authorize?" + urlencode({"client_id": "keystead-cli", "request_uri": request_uri, **more})


def answered(response: Any) -> dict[str, str]:
    assert response.status_code == 303, response.content.decode()
    return {name: values[0] for name, values in parse_qs(urlsplit(response["location"]).query).items()}


@pytest.mark.requirement("rfc9126 2.2", "rfc9126 4")
def test_a_pushed_request_is_opened_by_its_reference(program: Any, browser: Client) -> None:
    status, pushed = push(program)
    assert (status, pushed["expires_in"]) == (201, 600)
    assert pushed["request_uri"].startswith("urn:ietf:params:oauth:request_uri:ksq_")
    there = address(pushed["request_uri"], scope="models:use", state="other")
    assert "know who you are" in browser.get(there).content.decode()
    assert "send requests to models" not in browser.get(there).content.decode(), "what stands beside counts for nothing"
    answer = answered(browser.post(there, {"decision": "approve"}))
    assert (answer["state"], answer["iss"]) == ("s", ORIGIN)
    form = {"code": answer["code"], "redirect_uri": CALLBACK, "client_id": "keystead-cli", "code_verifier": VERIFIER}
    assert program.token(grant_type="authorization_code", **form)[0] == 200


@pytest.mark.requirement("rfc9126 4 single use")
@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_a_reference_is_answered_once(program: Any, browser: Client, decision: str) -> None:
    there = address(push(program)[1]["request_uri"])
    assert browser.get(there).status_code == 200
    assert browser.get(there).status_code == 200, "people reload pages"
    assert browser.post(there, {"decision": decision}).status_code == 303
    for again in (browser.get(there), browser.post(there, {"decision": "approve"})):
        assert again.status_code == 400
        assert "used before" in again.content.decode()


@pytest.mark.requirement("rfc9126 4 single use")
def test_of_two_answers_at_once_one_counts(program: Any, administrator: Any, clock: Any) -> None:
    from keystead.server.authorization import authorization_requests, pushed_requests
    from keystead.server.authorization.authorization_requests import Approver
    from keystead.server.authorization.browser_session import Authentication
    from keystead.server.authorization.refusals import Refusal
    from keystead.server.authorization.surroundings import now

    uri = push(program)[1]["request_uri"]
    given, pushed = pushed_requests.resolve({"client_id": "keystead-cli", "request_uri": uri}, now())
    asked = authorization_requests.read(given, authorization_requests.destination(given), pushed)
    outcomes: Counter[str] = Counter()
    for _ in range(2):
        try:
            authorization_requests.approve(asked, Approver(administrator, Authentication(now())), now())
            outcomes["code"] += 1
        except Refusal as refusal:
            outcomes[refusal.error] += 1
    assert outcomes == {"code": 1, "invalid_request_uri": 1}


@pytest.mark.requirement("rfc9126 2.2")
def test_a_reference_ends_and_belongs_to_its_client(program: Any, browser: Client, clock: Any) -> None:
    uri = push(program)[1]["request_uri"]
    other = "/oauth/authorize?" + urlencode({"client_id": "gateway-agent", "request_uri": uri})
    assert browser.get(other).status_code == 400
    assert browser.get(address(uri[:-1] + "x")).status_code == 400
    assert browser.get("/oauth/authorize?" + urlencode({"request_uri": uri})).status_code == 400
    clock.sleep(601)
    assert browser.get(address(uri)).status_code == 400


@pytest.mark.requirement("rfc9126 2.3")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": None}, "invalid_request"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"redirect_uri": "https://evil.example/callback"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "root"}, "invalid_scope"),
        ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
    ],
)
def test_a_request_is_checked_when_it_is_pushed(
    program: Any, database: object, changes: dict[str, str | None], error: str
) -> None:
    status, answer = push(program, **changes)
    assert (status, answer["error"]) == (400, error)


@pytest.mark.requirement("rfc9126 5")
def test_a_client_may_be_held_to_it(program: Any, browser: Client) -> None:
    from keystead.server.authorization.models import Client as Registered

    Registered.objects.filter(client_id="keystead-cli").update(require_pushed_requests=True)
    refused = answered(browser.get("/oauth/authorize?" + urlencode(REQUEST)))
    assert (refused["error"], refused["state"]) == ("invalid_request", "s")
    assert browser.get(address(push(program)[1]["request_uri"])).status_code == 200


def test_no_client_secret_is_kept_with_a_pushed_request(database: object, administrator: Any, clock: Any) -> None:
    from keystead.server.authorization import clients, pushed_requests
    from keystead.server.authorization.models import PushedRequest
    from keystead.server.authorization.surroundings import now

    given = {**REQUEST, "client_secret": "ksx", "client_assertion": "a.b.c"}
    pushed_requests.push(given, clients.find("keystead-cli"), now())
    assert PushedRequest.objects.get().parameters == REQUEST


@pytest.mark.requirement("rfc9449 10.1")
def test_a_signed_push_binds_the_code_to_the_key(program: Any, browser: Client, clock: Any) -> None:
    from keystead.server.authorization.checks import binding

    signer = Signer()

    def signed(path: str, by: Signer, **form: str) -> Any:
        nonce = binding.nonces().current(clock.now())
        proof = by.proof("POST", ORIGIN + path, clock.now(), nonce=nonce)
        return program.web.post(
            path, urlencode(form), content_type="application/x-www-form-urlencoded", headers={"DPoP": proof}
        )

    assert signed("/oauth/par", signer, **REQUEST, dpop_jkt="A" * 43).json()["error"] == "invalid_request"
    pushed = signed("/oauth/par", signer, **REQUEST)
    assert pushed.status_code == 201
    code = answered(browser.post(address(pushed.json()["request_uri"]), {"decision": "approve"}))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
    form |= {"client_id": "keystead-cli", "code_verifier": VERIFIER}
    assert program.post("/oauth/token", **form)[1]["error"] == "invalid_dpop_proof"
    assert signed("/oauth/token", Signer(), **form).json()["error"] == "invalid_dpop_proof"
    assert signed("/oauth/token", signer, **form).json()["token_type"] == "DPoP"
