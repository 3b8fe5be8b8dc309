"""The helper's command: a collection of nasty ones (R-11)."""

import os
import shlex
import sys
import time
from pathlib import Path

import pytest

from keystead.clock import SYSTEM_CLOCK
from keystead.drivers import helper
from keystead.errors import HelperFailed
from keystead.secret import Secret
from keystead.testing.clock import FakeClock

NAME = "apiKeyHelper (~/.claude/settings.json:2)"
VARIABLES = {"PATH": os.defpath, "GREETING": "hello"}


def run(command: str, tmp_path: Path, deadline: float = 20.0) -> Secret:
    return helper.run(command, NAME, tmp_path, VARIABLES, SYSTEM_CLOCK, deadline).secret


def failure(command: str, tmp_path: Path, deadline: float = 20.0) -> HelperFailed:
    with pytest.raises(HelperFailed) as caught:
        run(command, tmp_path, deadline)
    assert NAME in caught.value.message
    assert caught.value.hint
    assert "canary" not in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    "command",
    [
        "echo canary-key",
        "printf canary-key",
        "printf 'canary-key\\r\\n'",
        "printf '  canary-key \\n\\n'",
        "echo canary-key; echo warning >&2",
        "cat >/dev/null; echo canary-key",
        "echo canary-key; exec >&- 2>&-; sleep 0.2",
        "exec 2>&-; echo canary-key",
        "yes x | head -c 3000000 >&2; echo canary-key",
    ],
)
def test_one_key_on_one_line_is_the_answer(command: str, tmp_path: Path) -> None:
    """Outer white space is trimmed, error output is not a failure, and nothing waits for input."""
    assert run(command, tmp_path).reveal() == "canary-key"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("true", "printed nothing"),
        ("echo", "printed nothing"),
        ("echo canary-key; exit 3", "exit code 3"),
        ("kill -9 $$", "exit code -9"),
        ("/nonexistent/command", "exit code 127"),
        ("echo 'Welcome!'; echo canary-key", "a line break at character 9"),
        ("echo Your key: canary-key", "a space at character 5"),
        ("echo Bearer canary-key", "the word Bearer"),
        ("printf '\\357\\273\\277canary-key'", "a byte order mark at character 1"),
        ("printf 'canary\\302\\240key'", "a no-break space at character 7"),
        ("printf 'canary\\377'", "not text at byte 7"),
        ("printf 'canary\\000key'", "a control character at character 7"),
        ("echo '\"canary-key\"'", "quotes"),
        ("head -c 16385 /dev/zero | tr '\\0' k", "longer than 16384"),
        ("yes", "more than 16384"),
        ("head -c 20000 /dev/zero | tr '\\0' k", "more than 16384"),
        ("echo canary\\0key\0", "could not be started"),
    ],
)
def test_anything_else_is_a_failure_that_names_it(command: str, says: str, tmp_path: Path) -> None:
    """No banner, no second line, no best effort; and never the output itself."""
    assert says in failure(command, tmp_path).message


def test_the_longest_key_passes(tmp_path: Path) -> None:
    """The bound is inclusive."""
    assert len(run("head -c 16384 /dev/zero | tr '\\0' k", tmp_path)) == 16384


def test_error_output_is_shown_without_what_looks_like_a_key(tmp_path: Path) -> None:
    """One line, no escape sequences, and not the printed key, however short."""
    command = "echo canary; printf 'denied \\033[31mfor\\ncanary and sk-ant-canary-0123456789' >&2; exit 1"

    message = failure(command, tmp_path).message

    assert "denied" in message
    assert message.count("[redacted]") == 2
    assert message.isprintable()


def test_it_runs_in_the_project_with_the_given_variables_only(tmp_path: Path) -> None:
    """Not with this process's."""
    assert run('test "$PWD" = "$(pwd -P)" && echo "$GREETING${HOME:+-home}"', tmp_path).reveal() == "hello"
    assert run("basename $(pwd)", tmp_path).reveal() == tmp_path.name


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    """Without a traceback."""
    assert "could not be started" in failure("echo x", tmp_path / "gone").message


def _alive(marker: Path) -> bool:
    try:
        os.kill(int(marker.read_text()), 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{marker.read_text().strip()}/stat").read_text().split()[2]


def _ended(marker: Path) -> bool:
    """Give init or the kernel a bounded moment to take the killed process away."""
    for _ in range(200_000):
        if not _alive(marker):
            return True
        os.sched_yield()
    return False


@pytest.mark.parametrize(
    "command",
    [
        "sleep 300 & echo $! > child; wait",
        "trap '' TERM INT HUP; sleep 300 & echo $! > child; wait; sleep 300",
        "sh -c 'echo $$ > child; echo canary-key; exec sleep 300'",
    ],
)
def test_a_slow_helper_is_stopped_with_everything_it_started(command: str, tmp_path: Path) -> None:
    """At the deadline, whatever it ignores."""
    assert "took longer than 0.5 s" in failure(command, tmp_path, deadline=0.5).message
    assert _ended(tmp_path / "child")


def test_a_daemon_that_keeps_the_output_open_delays_nothing(tmp_path: Path) -> None:
    """The command has ended, that is what counts; the daemon is stopped too."""
    started = time.perf_counter()

    assert run("sleep 300 & echo $! > child; echo canary-key", tmp_path, deadline=250.0).reveal() == "canary-key"

    assert time.perf_counter() - started < 200
    assert _ended(tmp_path / "child")


def test_a_helper_cannot_ask_the_terminal(tmp_path: Path) -> None:
    """Its session has no terminal, so that a password prompt fails instead of hanging."""
    assert failure("read answer </dev/tty && echo canary-key", tmp_path).message


def test_output_before_exit_is_never_lost(tmp_path: Path) -> None:
    """Many quick commands, each printing just before it ends."""
    command = f"{shlex.quote(sys.executable)} -S -c 'import os; os.write(1, b\"k\" * 16000)'"

    assert {len(run(command, tmp_path)) for _ in range(5)} == {16000}


@pytest.mark.requirement("R-11 notice")
def test_a_slow_helper_is_announced_every_ten_seconds(tmp_path: Path) -> None:
    """With its time so far."""
    told: list[float] = []

    class Hasty(FakeClock):
        """A second passes whenever somebody looks."""

        def monotonic(self) -> float:
            self.advance(1)
            return super().monotonic()

    with pytest.raises(HelperFailed, match="took longer than 35 s"):
        helper.run("sleep 300", NAME, tmp_path, VARIABLES, Hasty(), 35.0, told.append)

    assert [int(seconds) // 10 for seconds in told] == [1, 2, 3]


def test_a_program_with_arguments_needs_no_shell(tmp_path: Path) -> None:
    """For references, where nobody expects one."""
    assert helper.run(("printf", "%s", "$HOME;x"), NAME, tmp_path, VARIABLES, SYSTEM_CLOCK).secret.reveal() == "$HOME;x"
