"""What each line at the prompt does, over the real command line and a server out of a script."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

import pytest

from keystead.cli.interactive import Counter
from keystead.credentials import Login
from keystead.secret import Secret
from keystead.session.prompt import Session
from keystead.testing.transport import StreamedScript
from keystead.wire import messages, sse
from keystead.wire.http import Response
from keystead.wire.messages import Finished, TextDelta

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Machine

STREAM = {"content-type": "text/event-stream"}
T = TypeVar("T", str, bool)


@dataclass
class Typed:
    """Lines somebody types, or keys that interrupt; at the end, Ctrl-D."""

    lines: list[str | type[BaseException]]
    answers: list[bool | type[BaseException]] = field(default_factory=list)
    asked: int = 0

    def line(self) -> str:
        return self._next(self.lines.pop(0) if self.lines else EOFError)

    def yes(self, question: str) -> bool:
        self.asked += 1
        return self._next(self.answers.pop(0))

    @staticmethod
    def _next(one: "T | type[BaseException]") -> "T":
        if isinstance(one, type):
            raise one
        return one


Hold = Callable[..., str]


@pytest.fixture
def hold(machine: "Machine", login: Login, capsys: pytest.CaptureFixture[str]) -> Hold:
    """Return what holds a session of these lines and returns what was written; signed in, one model, one answer."""
    machine.surroundings.store.save(login)
    routes = machine.issuer.transport.routes
    routes["GET /v1/models"] = Response(200, {}, messages.dump_models(("model-a",)))
    routes["POST /v1/messages"] = stream(TextDelta("Hello."))

    def held(*lines: str | type[BaseException], reader: Typed | None = None) -> str:
        Session(Counter(replace(machine.surroundings, interactive=True)), reader or Typed(list(lines))).run()
        out, err = capsys.readouterr()
        return out + err

    return held


def stream(*events: TextDelta | Exception) -> StreamedScript:
    chunks = [one if isinstance(one, Exception) else sse.dump(messages.dump_event(one)) for one in events]
    return StreamedScript(200, STREAM, (*chunks, sse.dump(messages.dump_event(Finished()))))


def asked(machine: "Machine") -> list[messages.Question]:
    sent = [one for one in machine.issuer.transport.requests if one.url.endswith("/v1/messages")]
    return [messages.parse_question(one.body or b"") for one in sent]


def test_a_question_is_answered_as_by_the_flag(machine: "Machine", hold: Hold) -> None:
    assert "Hello." in hold("what is this?", "/etc/hosts is what?")
    assert [one.text for one in asked(machine)] == ["what is this?", "/etc/hosts is what?"]


def test_an_empty_line_asks_nothing(machine: "Machine", hold: Hold) -> None:
    hold("", "   ")

    assert asked(machine) == []


def test_the_model_is_chosen_for_this_session(machine: "Machine", hold: Hold) -> None:
    said = hold("/model", "/model model-b", "hi", "/model default", "hi", "/model a b")

    assert [one.model for one in asked(machine)] == ["model-b", "model-a"]
    assert "first model the server offers" in said
    assert "takes one name" in said


def test_the_verbs_are_those_of_the_command_line(machine: "Machine", hold: Hold) -> None:
    said = hold("/status", "/logout", "/status")

    assert "Gateway session is used." in said
    assert "The server has revoked it." in said
    assert "No credential can be used" in said
    assert "canary-old-refresh" in machine.issuer.revoked
    assert "canary" not in said


def test_a_login_at_the_prompt_is_used_by_the_next_question(machine: "Machine", hold: Hold) -> None:
    said = hold("/login --device --server https://keys.example.com", "hi")

    assert "BCDF-GHJK" in said
    assert machine.issuer.transport.requests[-1].headers["authorization"] == Secret("Bearer canary-new-access")
    assert "canary" not in said


def test_verbs_act_on_the_account_the_session_is_on(machine: "Machine", hold: Hold, login: Login) -> None:
    machine.change(**{
        name: getattr(machine.surroundings.for_profile("work"), name) for name in ("store", "selection")
    })  # fmt: skip

    said = hold("/status", "/logout")

    assert "work (chosen by --profile)" in said
    assert "Nobody is signed in here" in said
    assert machine.issuer.revoked == []


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("/nothing", "There is no command /nothing"),
        ("/login 'half", "no partner"),
        ("/help me", "takes nothing"),
        ("/config other yes", "/config use-custom-api-key yes or no"),
        ("/login --no-such-option", "No such option"),
        ("/config use-custom-api-key yes", "nothing to decide"),
        ("/config", "no API key is in the environment"),
        ("/help", "/logout"),
    ],
)
def test_what_a_line_says(hold: Hold, line: str, answer: str) -> None:
    said = hold(line)

    assert answer in said
    assert "Traceback" not in said


def test_an_error_does_not_end_the_session(machine: "Machine", hold: Hold) -> None:
    machine.issuer.transport.routes["POST /v1/messages"] = Response(502, {}, b"<html>")

    said = hold("hi", "/help")

    assert "HTTP 502" in said
    assert "Fix:" in said
    assert "/logout" in said


def test_ctrl_c_in_an_answer_stops_it_and_again_leaves(machine: "Machine", hold: Hold) -> None:
    def interrupted(_: object) -> Response:
        raise KeyboardInterrupt

    machine.issuer.answer("POST /v1/messages", interrupted)
    rest = Typed(["hi", KeyboardInterrupt, "never read"])

    said = hold(reader=rest)

    assert "Stopped. Press Ctrl-C again" in said
    assert rest.lines == ["never read"]


def test_a_line_between_two_ctrl_c_means_staying(hold: Hold) -> None:
    rest = Typed([KeyboardInterrupt, "/help", KeyboardInterrupt, KeyboardInterrupt, "never read"])

    said = hold(reader=rest)

    assert said.count("Press Ctrl-C again or Ctrl-D to leave.") == 2
    assert rest.lines == ["never read"]


@pytest.mark.parametrize("word", ["/exit", "/quit"])
def test_exit_leaves(hold: Hold, word: str) -> None:
    rest = Typed([word, "never read"])

    hold(reader=rest)

    assert rest.lines == ["never read"]


def test_a_key_behind_a_sign_in_is_not_asked_about(machine: "Machine", hold: Hold) -> None:
    machine.set(ANTHROPIC_API_KEY="canary-key")
    reader = Typed([])

    hold(reader=reader)

    assert reader.asked == 0


@pytest.mark.requirement("R-21 once")
@pytest.mark.parametrize("accepted", [True, False])
def test_a_key_that_would_be_used_is_asked_about_once(machine: "Machine", hold: Hold, accepted: bool) -> None:
    machine.set(ANTHROPIC_API_KEY="canary-key")
    hold("/logout")
    first, second = Typed([], [accepted]), Typed([], [accepted])

    said = hold(reader=first) + hold(reader=second)

    assert (first.asked, second.asked) == (1, 0)
    assert "ANTHROPIC_API_KEY in the environment" in said
    assert "canary" not in said


def test_without_a_terminal_there_is_the_help(machine: "Machine") -> None:
    machine.environment(stdin_tty=True, stdout_tty=False)

    assert "Usage: keystead" in machine.run().out
