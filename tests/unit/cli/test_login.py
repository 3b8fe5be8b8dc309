import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest

from keystead.cli import approval
from keystead.credentials import BillingClass, Login, LoginKind
from keystead.environment import Environment
from keystead.errors import NoCredential, ServerUnreachable, StoreUnavailable
from keystead.secret import Secret
from keystead.stores.file import FileStore
from keystead.testing.clock import FakeClock
from keystead.testing.transport import json_response
from keystead.wire import oauth
from keystead.wire.http import Request, Response

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine

BASE = "https://keys.example.com"
Answer = Callable[..., str]


@pytest.fixture
def desktop(machine: "Machine") -> "Machine":
    """A machine with a terminal and a display."""
    machine.environment(stdin_tty=True, stdout_tty=True, stderr_tty=True)
    machine.set(BROWSER="a-browser", NO_COLOR="1", COLUMNS="40")
    return machine


def approving(answer_of: Answer, **changes: str) -> Callable[[str, Environment], bool]:
    """Return a browser whose person approves at once."""

    def browse(url: str, environment: Environment) -> bool:
        with urlopen(answer_of(url, **changes)) as page:
            return bool(page.status == 200)

    return browse


def stored(machine: "Machine", kind: LoginKind = LoginKind.GATEWAY) -> Login | None:
    return machine.surroundings.store.load(kind)


def test_the_browser_way_ends_signed_in(desktop: "Machine", answer_of: Answer, code: str) -> None:
    desktop.change(open_address=approving(answer_of))

    outcome = desktop.run("login", "--server", BASE)

    assert outcome.code == 0, outcome.err
    new = stored(desktop)
    assert new is not None
    assert (new.tokens.access_token, new.account.email) == (Secret("canary-new-access"), "ada@example.com")
    assert (new.billing, new.upstream, new.kind) == (BillingClass.GATEWAY, "anthropic", LoginKind.GATEWAY)
    assert new.allowed_origins == {BASE}
    assert f"Signed in to {BASE} as ada@example.com." in " ".join(outcome.err.split())
    assert outcome.out == ""
    exchange = next(request for request in desktop.issuer.transport.requests if request.url.endswith("/oauth/token"))
    assert exchange.form is not None
    assert exchange.form["code"] == Secret(code)


def test_the_address_stands_whole_on_its_own_line_in_40_columns(desktop: "Machine", answer_of: Answer) -> None:
    opened: list[str] = []

    def browse(url: str, environment: Environment) -> bool:
        opened.append(url)
        return approving(answer_of)(url, environment)

    desktop.change(open_address=browse)
    outcome = desktop.run("login", "--server", BASE)

    assert opened[0] in outcome.err.splitlines()
    assert len(opened[0]) > 40
    assert all(len(line) <= 40 for line in outcome.err.splitlines() if line != opened[0])


def test_without_a_display_a_code_is_shown_and_waited_for(machine: "Machine", clock: FakeClock) -> None:
    pending, answers = json_response(400, {"error": "authorization_pending"}), []
    done = machine.issuer.transport.routes["POST /oauth/token"]
    assert isinstance(done, Response)
    answers += [pending, pending, done]
    machine.issuer.answer("POST /oauth/token", lambda request: answers.pop(0))
    machine.environment(stderr_tty=True)
    machine.set(NO_COLOR="1")

    outcome = machine.run("login", "--server", BASE)

    assert outcome.code == 0, outcome.err
    assert "BCDF-GHJK" in outcome.err
    assert f"{BASE}/device" in outcome.err.splitlines()
    assert clock.slept == [5.0, 5.0, 5.0]
    assert stored(machine) is not None
    assert "canary" not in outcome.err


@pytest.mark.parametrize(
    ("variables", "ttys", "flags", "device"),
    [
        ({"DISPLAY": ":0"}, True, (), False),
        ({"DISPLAY": ":0"}, True, ("--device",), True),
        ({"DISPLAY": ":0"}, False, (), True),
        ({"DISPLAY": ":0", "SSH_TTY": "/dev/pts/0"}, True, (), True),
        ({}, True, (), True),
        ({}, True, ("--no-browser",), False),
    ],
)
def test_the_way_fits_the_machine(
    machine: "Machine", variables: dict[str, str], ttys: bool, flags: tuple[str, ...], device: bool
) -> None:
    machine.environment(stdin_tty=ttys, stdout_tty=ttys, stderr_tty=ttys)
    machine.set(**variables)
    asked = "--device" in flags

    chosen = approval.wants_device(
        machine.surroundings, machine.issuer.metadata, asked=asked, no_browser="--no-browser" in flags
    )

    if not os.path.exists("/.dockerenv") or device:  # noqa: PTH110  in a container every display is ignored
        assert chosen is device


@contextmanager
def typing(*lines: str) -> Iterator[int]:
    """Yield a descriptor on which somebody has typed."""
    reading, writing = os.pipe()
    os.write(writing, "".join(f"{line}\n" for line in lines).encode())
    try:
        yield reading
    finally:
        os.close(writing)
        os.close(reading)


def test_a_pasted_code_finishes_and_a_wrong_one_does_not(desktop: "Machine", code: str) -> None:
    copied: list[str] = []
    with typing("hello", code[:-1], "c", code) as stdin:
        desktop.change(stdin=stdin, to_terminal=copied.append)

        outcome = desktop.run("login", "--server", BASE, "--no-browser")

    assert outcome.code == 0, outcome.err
    assert stored(desktop) is not None
    assert "not a sign-in code" in " ".join(outcome.err.split())
    assert copied[0].startswith("\x1b]52;c;")


def test_an_answer_to_another_sign_in_is_not_taken(desktop: "Machine", answer_of: Answer) -> None:
    statuses: list[int] = []

    def browse(url: str, environment: Environment) -> bool:
        from urllib.error import HTTPError

        try:
            urlopen(answer_of(url, state="another"))
        except HTTPError as error:
            statuses.append(error.code)
            error.close()
        return approving(answer_of)(url, environment)

    desktop.change(open_address=browse)

    assert desktop.run("login", "--server", BASE).code == 0
    assert statuses == [400]


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [({"error": "access_denied"}, 2, "denied"), ({"iss": "https://evil.example"}, 75, "another server")],
)
def test_a_refusal_in_the_browser_ends_it(
    desktop: "Machine", answer_of: Answer, changes: dict[str, str], code: int, said: str
) -> None:
    desktop.change(open_address=approving(answer_of, **changes))

    outcome = desktop.run("login", "--server", BASE)

    assert outcome.code == code
    assert said in outcome.err
    assert stored(desktop) is None


def test_nobody_finishing_is_not_waited_for_forever(desktop: "Machine", clock: FakeClock) -> None:
    class Advancing(FakeClock):
        def monotonic(self) -> float:
            self.advance(200)
            return super().monotonic()

    desktop.change(clock=Advancing(), open_address=lambda url, environment: True)

    outcome = desktop.run("login", "--server", BASE)

    assert outcome.code == 4
    assert "in time" in outcome.err


@pytest.mark.requirement("R-31 revoked after")
def test_the_old_grant_is_revoked_after_the_new_one_is_kept(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)

    def revoke(request: Request) -> Response:
        kept = stored(machine)
        assert kept is not None
        assert kept.tokens.access_token == Secret("canary-new-access")
        return Response(200, {}, b"")

    machine.issuer.answer("POST /oauth/revoke", revoke)

    assert machine.run("login", "--server", BASE).code == 0
    assert machine.issuer.revoked == ["canary-old-refresh", "canary-old-access"]


def test_a_sign_in_its_server_has_ended_cannot_be_gone_back_to(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)
    machine.run("login", "--server", BASE)
    with pytest.raises(NoCredential):
        machine.surroundings.store.restore(LoginKind.GATEWAY)

    machine.surroundings.store.save(login)
    machine.issuer.answer("POST /oauth/revoke", Response(503, {}, b""))
    machine.run("login", "--server", BASE)
    assert machine.surroundings.store.restore(LoginKind.GATEWAY).account == login.account


def test_an_old_grant_that_cannot_be_revoked_is_said(machine: "Machine", login: Login) -> None:
    machine.surroundings.store.save(login)
    machine.issuer.answer("POST /oauth/revoke", ServerUnreachable("the server is gone"))

    outcome = machine.run("login", "--server", BASE)

    assert outcome.code == 0
    assert "could not be revoked" in outcome.err


STAGES = {
    "discovery": f"GET {oauth.METADATA_PATH}",
    "code": "POST /oauth/device_authorization",
    "tokens": "POST /oauth/token",
    "who it is": "GET /oauth/userinfo",
}


@pytest.mark.requirement("R-31 kept")
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("trouble", [KeyboardInterrupt(), ServerUnreachable("gone"), Response(500, {}, b"")])
def test_what_ends_a_sign_in_early_leaves_the_old_one(
    machine: "Machine", login: Login, stage: str, trouble: BaseException | Response
) -> None:
    old = machine.surroundings.store.save(login)
    asked = []

    def answer(request: Request) -> Response:
        asked.append(request)
        if isinstance(trouble, Response):
            return trouble
        raise trouble

    machine.issuer.answer(STAGES[stage], answer)
    if stage == "tokens" and isinstance(trouble, Response):
        machine.issuer.answer(STAGES[stage], json_response(400, {"error": "expired_token"}))

    outcome = machine.run("login", "--server", BASE)

    assert outcome.code == (2 if isinstance(trouble, KeyboardInterrupt) else outcome.code)
    assert outcome.code != 0
    assert stored(machine) == old
    expected = ["canary-new-refresh", "canary-new-access"] if stage == "who it is" else []
    assert machine.issuer.revoked == expected


@pytest.mark.requirement("R-31 kept")
@pytest.mark.parametrize("moment", ["opening", "waiting"])
def test_ctrl_c_at_the_browser_leaves_the_old_one(desktop: "Machine", login: Login, moment: str) -> None:
    old = desktop.surroundings.store.save(login)

    class Interrupting(FakeClock):
        def monotonic(self) -> float:
            raise KeyboardInterrupt

    def browse(url: str, environment: Environment) -> bool:
        if moment == "opening":
            raise KeyboardInterrupt
        return True

    desktop.change(open_address=browse, clock=Interrupting())

    outcome = desktop.run("login", "--server", BASE)

    assert (outcome.code, stored(desktop)) == (2, old)
    assert "Stopped" in outcome.err


class Refusing(FileStore):
    """A store on a full disk."""

    def save(self, login: Login) -> Login:
        raise StoreUnavailable("The disk is full.", hint="Make room.")


class Forgetting(FileStore):
    """A store that says it has written, and has not."""

    def save(self, login: Login) -> Login:
        return login


@pytest.mark.requirement("R-31 kept")
@pytest.mark.parametrize("store", [Refusing, Forgetting])
def test_a_sign_in_that_is_not_kept_fails_and_is_given_back(
    machine: "Machine", login: Login, clock: FakeClock, store: type[FileStore]
) -> None:
    old = machine.surroundings.store.save(login)
    machine.change(store=store(machine.surroundings.environment.state_dir, clock))

    outcome = machine.run("login", "--server", BASE)

    assert (outcome.code, stored(machine)) == (78, old)
    assert machine.issuer.revoked == ["canary-new-refresh", "canary-new-access"]


@pytest.mark.requirement("R-30 outranked")
def test_a_sign_in_that_something_outranks_says_so(machine: "Machine") -> None:
    """Loudly, with the line to take out."""
    (machine.surroundings.environment.home / ".bashrc").write_text("\nexport ANTHROPIC_API_KEY=canary-key\n")
    machine.set(ANTHROPIC_API_KEY="canary-key")

    outcome = machine.run("login", "--server", BASE, "--method", "account")

    assert outcome.code == 0
    assert "This sign-in is not used: API key (ANTHROPIC_API_KEY in the environment) comes first" in " ".join(
        outcome.err.split()
    )
    assert "ANTHROPIC_API_KEY is set in ~/.bashrc:2. Unset it" in " ".join(outcome.err.split())
    assert "canary" not in outcome.err
    assert stored(machine, LoginKind.ACCOUNT) is not None
    assert stored(machine) is None


@pytest.mark.requirement("R-30 outranked")
def test_a_sign_in_that_is_not_the_expected_purse_says_so(machine: "Machine") -> None:
    """It wins, and every command would refuse it here: that is no success without a word."""
    machine.run("expect", "billing=subscription")

    outcome = machine.run("login", "--server", BASE)

    assert "This sign-in is refused here" in " ".join(outcome.err.split())
    assert machine.run("token").code == 78


def test_json_is_one_event_a_line(machine: "Machine") -> None:
    outcome = machine.run("login", "--server", BASE, "--json")
    events = [json.loads(line) for line in outcome.out.splitlines()]

    assert outcome.code == 0
    assert [event["event"] for event in events] == ["server", "device_code", "signed_in"]
    assert {event["schema"] for event in events} == {"keystead.login/1"}
    assert events[1]["user_code"] == "BCDF-GHJK"
    assert events[2]["email"] == "ada@example.com"
    assert (outcome.err, "canary" in outcome.out) == ("", False)


def test_json_ends_with_the_error(machine: "Machine") -> None:
    machine.issuer.answer(STAGES["tokens"], json_response(400, {"error": "access_denied"}))

    outcome = machine.run("login", "--server", BASE, "--json")
    last = json.loads(outcome.out.splitlines()[-1])

    assert outcome.code == last["error"]["exit_code"] == 2
    assert last["error"]["code"] == "cancelled"


def test_the_test_upstream_is_said(machine: "Machine") -> None:
    machine.issuer.answer(STAGES["who it is"], json_response(200, {"sub": "per_1", "upstream": "test"}))

    assert "not a model" in machine.run("login", "--server", BASE).err


def test_a_server_without_gateway_gives_an_account(machine: "Machine") -> None:
    metadata = replace(machine.issuer.metadata, gateway_protocol_version=None)
    body = oauth.dump_metadata(metadata)
    machine.issuer.answer(STAGES["discovery"], Response(200, {"content-type": "application/json"}, body))

    refused = machine.run("login", "--server", BASE, "--method", "gateway")
    machine.run("login", "--server", BASE)

    assert refused.code == 78
    assert stored(machine, LoginKind.ACCOUNT) is not None


@pytest.mark.parametrize("flags", [("--device", "--no-browser"), ("--method", "magic"), ("--nonsense",), ("extra",)])
def test_a_command_line_that_is_off_is_a_usage_error(machine: "Machine", flags: tuple[str, ...]) -> None:
    outcome = machine.run("login", *flags)

    assert outcome.code == 2
    assert "fix:" in outcome.err


def test_the_scope_is_what_the_server_offers_of_what_is_needed(machine: "Machine") -> None:
    metadata = replace(machine.issuer.metadata, scopes_supported=("models:use", "openid", "admin"))

    assert approval.scope(metadata) == "openid models:use"


def test_the_redirect_is_a_loopback_address(desktop: "Machine", answer_of: Answer) -> None:
    queries: list[dict[str, Any]] = []

    def browse(url: str, environment: Environment) -> bool:
        queries.append(parse_qs(urlsplit(url).query))
        return approving(answer_of)(url, environment)

    desktop.change(open_address=browse)
    desktop.run("login", "--server", BASE)

    assert queries[0]["redirect_uri"][0].startswith(("http://127.0.0.1:", "http://[::1]:"))
    assert queries[0]["code_challenge_method"] == ["S256"]
