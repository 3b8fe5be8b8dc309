"""The contract of ``apiKeyHelper``, published: nasty commands, and a check for any command (S-06, R-11).

:data:`CASES` is for whoever writes a runner: each command comes with what a runner must make of it. :func:`check` is
for whoever writes a helper: it runs the command as Keystead does and says, rule by rule, how it behaves::

    keystead doctor helper -- my-helper --account work
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keystead.clock import Clock
from keystead.credentials.lint import LONGEST, clean
from keystead.drivers import command as driver
from keystead.errors import HelperFailed, MalformedSecret
from keystead.wire import helper_output
from keystead.wire.fields import Malformed

KEY: Final = "canary-key"
"""What the good commands print."""
_LATER: Final = "2999-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Case:
    """One nasty command.

    Attributes:
        id: stable name.
        command: for ``/bin/sh -c``, in an empty directory; one that stays writes a process id to the file ``child``.
        says: part of the error; None where :data:`KEY` must come out.
        slow: whether it runs for minutes unless it is stopped; give it a short deadline.
    """

    id: str
    command: str
    says: str | None = None
    slow: bool = False


CASES: Final = (
    Case("plain", f"echo {KEY}"),
    Case("no final line break", f"printf {KEY}"),
    Case("carriage return", f"printf '{KEY}\\r\\n'"),
    Case("white space around", f"printf '  {KEY} \\n\\n'"),
    Case("tab around", f"printf '\\t{KEY}\\t\\n'"),
    Case("warning on stderr", f"echo {KEY}; echo warning >&2"),
    Case("reads stdin", f"cat >/dev/null; echo {KEY}"),
    Case("asks on stdin", f"read answer; echo {KEY}"),
    Case("closes its output early", f"echo {KEY}; exec >&- 2>&-; sleep 0.1"),
    Case("closes stderr", f"exec 2>&-; echo {KEY}"),
    Case("floods stderr", f"yes x | head -c 3000000 >&2; echo {KEY}"),
    Case("binary on stderr", f"head -c 1000 /dev/urandom >&2; echo {KEY}"),
    Case("prints late", f"sleep 0.2; echo {KEY}"),
    Case("prints in pieces", "printf canary; sleep 0.1; printf %s -key"),
    Case("child keeps the output open", f"sleep 300 & echo $! > child; echo {KEY}"),
    Case("child ignores signals", f"(trap '' TERM INT HUP; sleep 300) & echo $! > child; echo {KEY}"),
    Case("child leaves the session's leader", f"(sleep 300 & echo $! > child) ; echo {KEY}"),
    Case("empty", "true", "printed nothing"),
    Case("only a line break", "echo", "printed nothing"),
    Case("only white space", "printf ' \\n \\t\\n'", "printed nothing"),
    Case("key and failure", f"echo {KEY}; exit 3", "exit code 3"),
    Case("failure", "exit 1", "exit code 1"),
    Case("killed", "kill -9 $$", "exit code -9"),
    Case("terminated", "kill -TERM $$", "exit code -15"),
    Case("missing program", "/nonexistent/command", "exit code 127"),
    Case("program that may not run", "/dev/null", "exit code 126"),
    Case("syntax error", "echo 'unclosed", "exit code 2"),
    Case("banner", f"echo 'Welcome!'; echo {KEY}", "a line break at character 9"),
    Case("two keys", f"echo {KEY}; echo {KEY}", "a line break at character 11"),
    Case("sentence", f"echo Your key: {KEY}", "a space at character 5"),
    Case("bearer word", f"echo Bearer {KEY}", "the word Bearer"),
    Case("bearer in small letters", f"echo bearer {KEY}", "the word Bearer"),
    Case("object", f'echo \'{{"token": "{KEY}"}}\''),
    Case("object with a time", f'echo \'{{"token": "{KEY}", "expires_at": "{_LATER}"}}\''),
    Case("object with Unix seconds", f'printf \'{{\n"token": "{KEY}",\n"expires_at": 32472144000}}\n\''),
    Case(
        "object of a cluster",
        f'echo \'{{"kind": "ExecCredential", "status": {{"token": "{KEY}", "expirationTimestamp": "{_LATER}"}}}}\'',
    ),
    Case("object with another name", f'echo \'{{"key": "{KEY}"}}\'', "has no token"),
    Case("object with a number for a key", "echo '{\"token\": 1}'", "token in the printed object is not a string"),
    Case("object with a broken time", f'echo \'{{"token": "{KEY}", "expires_at": "soon"}}\'', "is not a time"),
    Case(
        "object that has ended", f'echo \'{{"token": "{KEY}", "expires_at": "2001-01-01T00:00:00Z"}}\'', "ended already"
    ),
    Case("object with two keys in one", 'echo \'{"token": "canary key"}\'', "a space at character 7"),
    Case("object cut short", f'echo \'{{"token": "{KEY}"\'', "is not JSON"),
    Case("double quotes", f"echo '\"{KEY}\"'", "quotes"),
    Case("single quotes", f"echo \"'{KEY}'\"", "quotes"),
    Case("byte order mark", f"printf '\\357\\273\\277{KEY}'", "a byte order mark at character 1"),
    Case("no-break space", "printf 'canary\\302\\240key'", "a no-break space at character 7"),
    Case("zero-width space", "printf 'canary\\342\\200\\213key'", "a zero-width space at character 7"),
    Case("typographic quote", f"printf '\\342\\200\\234{KEY}'", "a typographic quote at character 1"),
    Case("umlaut", "printf 'canary\\303\\274'", "a non-ASCII character at character 7"),
    Case("not text", "printf 'canary\\377'", "not text at byte 7"),
    Case("null byte", "printf 'canary\\000key'", "a control character at character 7"),
    Case("escape sequence", f"printf '\\033[32m{KEY}\\033[0m'", "a control character at character 1"),
    Case("tab inside", "printf 'canary\\tkey'", "a tab at character 7"),
    Case("carriage return inside", "printf 'canary\\rkey'", "a carriage return at character 7"),
    Case("one character too long", f"head -c {LONGEST + 1} /dev/zero | tr '\\0' k", f"longer than {LONGEST}"),
    Case("far too long", "head -c 20000 /dev/zero | tr '\\0' k", f"more than {LONGEST}"),
    Case("endless", "yes", f"more than {LONGEST}"),
    Case("asks the terminal", f"read answer </dev/tty && echo {KEY}", "exit code"),
    Case("key on stderr only", f"echo sk-ant-{KEY}-0123456789 >&2", "printed nothing"),
    Case("key on stderr and failure", f"echo sk-ant-{KEY}-0123456789 >&2; exit 1", "[redacted]"),
    Case("hangs", "sleep 300", "took longer", slow=True),
    Case("hangs after the key", f"echo {KEY}; sleep 300", "took longer", slow=True),
    Case("hangs with its output closed", "exec >&- 2>&-; sleep 300", "took longer", slow=True),
    Case("waits for a child", "sleep 300 & echo $! > child; wait", "took longer", slow=True),
    Case(
        "ignores signals",
        "trap '' TERM INT HUP; sleep 300 & echo $! > child; wait; sleep 300",
        "took longer",
        slow=True,
    ),
    Case("becomes another program", f"sh -c 'echo $$ > child; echo {KEY}; exec sleep 300'", "took longer", slow=True),
)
"""Every nasty command."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a helper behaves by one rule.

    Attributes:
        rule: the rule, a sentence.
        kept: None when it could not be tried because of an earlier one.
        said: what was seen; never the key.
    """

    rule: str
    kept: bool | None
    said: str = ""


@dataclass(frozen=True, slots=True)
class _Run:
    finished: driver.Finished
    seconds: float
    ended_at: float


_SLOW: Final = driver.PATIENCE
_Rule = tuple[str, Callable[[_Run, _Run], str | None]]


def check(
    command: str, cwd: Path, variables: Mapping[str, str], clock: Clock, *, deadline: float, lifetime: float
) -> tuple[Verdict, ...]:
    """Run ``command`` twice as ``apiKeyHelper`` is run, and judge it by every rule of the contract.

    Args:
        command: for ``/bin/sh -c``.
        cwd: the project directory.
        variables: its environment.
        clock: measures it.
        deadline: seconds after which it is stopped.
        lifetime: seconds for which its output would be used again (``CLAUDE_CODE_API_KEY_HELPER_TTL_MS``).

    Raises:
        HelperFailed: it could not be started at all.
    """
    rules = _rules(deadline, lifetime)
    first = _timed(command, cwd, variables, clock, deadline)
    late = _stopped(first)
    if late is not None:
        return Verdict(rules[0][0], False, late), *(Verdict(rule, None) for rule, _ in rules[1:])
    second = _timed(command, cwd, variables, clock, deadline)
    verdicts = []
    for rule, judge in rules:
        objection = judge(first, second)
        verdicts.append(Verdict(rule, objection is None, objection or ""))
    return tuple(verdicts)


def _rules(deadline: float, lifetime: float) -> tuple[_Rule, ...]:
    return (
        (f"It ends in {deadline:g} s, without input and without a terminal.", lambda a, b: _stopped(a) or _stopped(b)),
        (
            f"It is quick: people wait for it, and are told after {_SLOW:g} s.",
            lambda a, b: _dawdling(a) or _dawdling(b),
        ),
        ("It exits with 0.", lambda a, b: _failed(a) or _failed(b)),
        (
            f"It prints one key on one line or in an object, at most {LONGEST} characters.",
            lambda a, b: _not_a_key(a) or _not_a_key(b),
        ),
        ("It leaves nothing running behind.", lambda a, b: _left(a) or _left(b)),
        ("Its error output does not show the key.", lambda a, b: _shown(a) or _shown(b)),
        ("It works again right away, as after a refused key.", lambda _, b: _failed(b) or _not_a_key(b)),
        (f"It takes less time than its key is used ({lifetime:g} s).", lambda a, b: _outlived(a, b, lifetime)),
    )


def _timed(command: str, cwd: Path, variables: Mapping[str, str], clock: Clock, deadline: float) -> _Run:
    start = clock.monotonic()
    try:
        done = driver.run((*driver.SHELL, command), cwd, variables, clock, deadline=deadline, most=LONGEST + 1024)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise HelperFailed(f"The command could not be started: {reason.lower()}.", hint="Check it.") from None
    return _Run(done, clock.monotonic() - start, clock.now())


def _stopped(run: _Run) -> str | None:
    if run.finished.code is not None:
        return None
    if len(run.finished.output) > LONGEST:
        return f"it printed more than {LONGEST} characters and was stopped"
    return f"it was stopped after {run.seconds:.1f} s.{run.finished.said}"


def _left(run: _Run) -> str | None:
    return "something it started was still running when it had ended, and was stopped" if run.finished.left else None


def _dawdling(run: _Run) -> str | None:
    return f"it took {run.seconds:.1f} s" if run.seconds > _SLOW else None


def _failed(run: _Run) -> str | None:
    code = run.finished.code
    return f"it exited with {code}.{run.finished.said}" if code else None


def _not_a_key(run: _Run) -> str | None:
    try:
        text = run.finished.output.decode("utf-8").strip(" \t\r\n")
    except UnicodeDecodeError as error:
        return f"it printed something that is not text at byte {error.start + 1}"
    if not text:
        return "it printed nothing"
    try:
        printed = helper_output.parse(text)
        clean(printed.token, "the output")
    except (MalformedSecret, Malformed) as error:
        return str(error).rstrip(".")
    return "its key has ended already" if (printed.expires_at or run.ended_at + 1) <= run.ended_at else None


def _shown(run: _Run) -> str | None:
    key = _printed(run)
    return "the key is in it" if key and key in run.finished.errors else None


def _printed(run: _Run) -> bytes:
    """Return the key alone, or the whole output when it is none."""
    output = run.finished.output.strip()
    try:
        return helper_output.parse(output.decode()).token.encode()
    except ValueError:  # not text, or Malformed
        return output


def _outlived(first: _Run, second: _Run, lifetime: float) -> str | None:
    longest = max(first.seconds, second.seconds)
    return f"it took {longest:.1f} s" if lifetime and longest >= lifetime else None
