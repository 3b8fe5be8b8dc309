"""``keystead limits``: a line for each limit, and one sentence where there is nothing to be told."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from keystead.credentials import Login
from keystead.errors import ServerUnreachable
from keystead.secret import Secret
from keystead.testing.clock import FakeClock
from keystead.testing.transport import json_response
from keystead.wire import limits as wire
from keystead.wire import messages
from keystead.wire.http import Request, Response
from keystead.wire.limits import Standing
from keystead.wire.messages import ApiError

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine

ROUTE = f"GET {wire.PATH}"
GROUP = {"type": "rbac_group", "rbac_group_id": "grp_1"}


@pytest.fixture
def window(clock: FakeClock) -> Standing:
    """A flat rate of which 62 percent are used."""
    return Standing(
        "spl_1", "allowance", "five_hours", GROUP, False, "stopped", 2000, 1240, 760, 62, "USD", clock.now() + 3600,
        True, False,
    )  # fmt: skip


@pytest.fixture
def month(window: Standing, clock: FakeClock) -> Standing:
    """A spend limit of everybody."""
    return replace(
        window, measure="spend", period="monthly", source={"type": "organization"}, amount=5000, used=500,
        remaining=4500, percent=10, resets_at=clock.now() + 30 * 86_400, is_gradual=False,
    )  # fmt: skip


@pytest.fixture
def rate(window: Standing) -> Standing:
    """Requests a minute."""
    return replace(
        window, measure="requests", period="minute", source={"type": "user", "user_id": "mem_1"}, amount=60, used=1,
        remaining=59, percent=1, currency=None, resets_at=None, is_gradual=True,
    )  # fmt: skip


@pytest.fixture
def ready(machine: "Machine", login: Login) -> "Machine":
    machine.surroundings.store.save(login)
    return machine


def tell(machine: "Machine", *found: Standing) -> None:
    machine.issuer.answer(ROUTE, Response(200, {"content-type": "application/json"}, wire.dump(found)))


def asked(machine: "Machine") -> list[Request]:
    return [one for one in machine.issuer.transport.requests if one.url.endswith(wire.PATH)]


def test_each_limit_is_a_line(ready: "Machine", window: Standing, month: Standing, rate: Standing) -> None:
    tell(ready, window, month, rate)
    ready.environment(stdout_tty=True)
    ready.set(COLUMNS="100", TERM="xterm", NO_COLOR="1")
    outcome = ready.run("limits")

    assert (outcome.code, outcome.err) == (0, "")
    title, first, second, third = outcome.out.splitlines()
    assert title == "What is left at https://keys.example.com:"
    assert first.startswith("  5-hour allowance     62% used, 7.60 of 20.00 USD left, resets from ")
    assert first.endswith(" UTC (for your group)")
    assert second == "  Monthly spend limit  10% used, 45.00 of 50.00 USD left, resets 2026-12-18 (for everybody)"
    assert third == "  Requests a minute    1 of 60 used (for you)"
    (request,) = asked(ready)
    assert request.headers["authorization"] == Secret("Bearer canary-old-access")


def test_within_a_week_the_day_is_said(ready: "Machine", window: Standing, clock: FakeClock) -> None:
    tell(ready, replace(window, period="seven_days", resets_at=clock.now() + 4 * 86_400))
    assert "resets from Sun 11:06 UTC" in " ".join(ready.run("limits").out.split())


@pytest.mark.parametrize(
    ("beyond", "said"), [("stopped", "requests stop until then"), ("metered", "then billed")]
)  # fmt: skip
def test_what_is_used_up_says_what_follows(ready: "Machine", window: Standing, beyond: str, said: str) -> None:
    tell(ready, replace(window, used=2000, remaining=0, percent=100, beyond=beyond, is_warning=True))
    assert said in " ".join(ready.run("limits").out.split())


def test_less_than_a_cent_is_not_nothing(ready: "Machine", window: Standing) -> None:
    tell(ready, replace(window, amount=1, used=0, remaining=0, percent=2))
    told = " ".join(ready.run("limits").out.split())
    assert "2% used, less than 0.01 of 0.01 USD left" in told
    assert "requests stop" not in told


def test_a_rate_that_is_reached_says_when_there_is_room_again(
    ready: "Machine", rate: Standing, clock: FakeClock
) -> None:
    tell(ready, replace(rate, used=60, remaining=0, percent=100, resets_at=clock.now() + 47))
    assert "60 of 60 used, again in 47 seconds (for you)" in ready.run("limits").out


def test_programs_get_it_as_it_came(ready: "Machine", window: Standing) -> None:
    tell(ready, window)
    document = json.loads(ready.run("limits", "--json").out)
    assert document == {
        "schema": "keystead.my-limits/1",
        "api_base": "https://keys.example.com",
        "source": "gateway_session",
        "limits": [window.to_json()],
    }


def test_no_limit_is_said(ready: "Machine") -> None:
    tell(ready)
    assert ready.run("limits").out == "No limit holds for you at https://keys.example.com.\n"
    assert json.loads(ready.run("limits", "--json").out)["limits"] == []


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_server_that_tells_none_is_no_error(ready: "Machine", status: int) -> None:
    ready.issuer.answer(ROUTE, json_response(status, {"error": {"type": "not_found_error", "message": "what?"}}))
    outcome = ready.run("limits")
    assert (outcome.code, outcome.err) == (0, "")
    assert "https://keys.example.com does not tell what is left" in outcome.out
    assert json.loads(ready.run("limits", "--json").out)["limits"] is None


def test_a_cloud_is_not_asked(machine: "Machine", monkeypatch: pytest.MonkeyPatch) -> None:
    machine.set(
        CLAUDE_CODE_USE_BEDROCK="1", CLAUDE_CODE_SKIP_BEDROCK_AUTH="1", AWS_REGION="eu-central-1",
        ANTHROPIC_BEDROCK_BASE_URL="https://proxy.example.com",
    )  # fmt: skip
    machine.change(network=lambda: pytest.fail("a request was about to be sent"))
    outcome = machine.run("limits")
    assert outcome.code == 0, outcome.err
    assert "does not tell what is left" in outcome.out


def test_without_a_network_one_sentence_says_so(ready: "Machine") -> None:
    ready.issuer.answer(ROUTE, ServerUnreachable("https://keys.example.com cannot be reached.", hint="Try again."))
    outcome = ready.run("limits")
    assert (outcome.code, outcome.out) == (75, "")
    assert outcome.err.count("cannot be reached") == 1


def test_a_token_that_has_ended_is_renewed_once(ready: "Machine", window: Standing) -> None:
    refused = Response(401, {}, messages.dump_error(ApiError("authentication_error", "expired")))
    good = Response(200, {}, wire.dump([window]))
    ready.issuer.answer(ROUTE, lambda request: good if "new" in sent(request) else refused)
    assert ready.run("limits").code == 0
    assert len(asked(ready)) == 2

    ready.issuer.answer(ROUTE, refused)
    before, outcome = len(asked(ready)), ready.run("limits")
    assert outcome.code == 4
    assert "although it was renewed just now" in outcome.err
    assert len(asked(ready)) == before + 1


def sent(request: Request) -> str:
    value = request.headers["authorization"]
    assert isinstance(value, Secret)
    return value.reveal()


def test_a_rule_that_refuses_is_told(ready: "Machine") -> None:
    said = messages.dump_error(ApiError("permission_error", "This API key is suspended: lost laptop."))
    ready.issuer.answer(ROUTE, Response(403, {}, said))
    outcome = ready.run("limits")
    assert outcome.code == 77
    assert "suspended: lost laptop" in outcome.err


@pytest.mark.parametrize("body", [b"<html>sign in to the network</html>", b'{"data": []}'])
def test_a_portals_page_is_not_taken_for_an_answer(ready: "Machine", body: bytes) -> None:
    ready.issuer.answer(ROUTE, Response(200, {"content-type": "text/html"}, body))
    outcome = ready.run("limits")
    assert (outcome.code, outcome.out) == (75, "")
    assert "answered with something else" in outcome.err


def test_a_narrow_window_has_the_text_below_its_label(ready: "Machine", window: Standing, rate: Standing) -> None:
    tell(ready, window, rate)
    ready.environment(stdout_tty=True)
    ready.set(COLUMNS="44", TERM="xterm", NO_COLOR="1")
    found = ready.run("limits").out.splitlines()
    assert "  5-hour allowance" in found
    assert max(map(len, found)) <= 44
    assert "\x1b" not in "".join(found)


def test_words_of_the_server_cannot_drive_the_terminal(ready: "Machine", window: Standing) -> None:
    tell(ready, replace(window, measure="\x1b[2Jx", period="\x07y", source={"type": "\x1b]0;z"}))
    out = ready.run("limits").out
    assert "\x1b" not in out
    assert "\x07" not in out
