"""The habits of the house that a linter does not know, read off the syntax trees."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src/keystead"
LONGEST_FUNCTION = 60
LONGEST_FILE = 450

HOMES: dict[str, set[str]] = {
    "os.environ": {"cli/recall.py", "environment.py", "server/command.py"},
    "os.environb": set(),
    "os.getenv": set(),
    "time.time": {"cli/recall.py", "clock.py"},
    "time.monotonic": {"clock.py"},
    "time.sleep": {"clock.py"},
    "datetime.now": set(),
    "datetime.utcnow": set(),
    "httpx2": {"auth.py", "drivers/transport.py"},
    "subprocess": {"drivers/browser.py", "drivers/command.py", "drivers/keyring.py", "drivers/process.py"},
    "webbrowser": set(),
    "termios": {"drivers/terminal.py"},
    "keyring": {"drivers/keyring_worker.py"},
    "smtplib": {"server/mail/smtp.py"},
}
"""What reaches the outside world, and the only files that may name it (paths below ``src/keystead``)."""

REVEALERS = {
    "cli/remember.py": "onto standard output, which is what the command is for, and to find where it was read",
    "cli/run.py": "into the environment of the program it runs",
    "cli/token.py": "onto standard output, which is what the command is for",
    "credentials/cloud.py": "into a file of mode 0600, and from the child process of a cloud's SDK to us",
    "drivers/transport.py": "onto the wire",
    "flows/authorization_code.py": "as randomness for the state parameter",
    "flows/userinfo.py": "behind the word Bearer, wrapped again",
    "release.py": "behind the word Bearer, wrapped again, and onto a request of the program that asks for it",
    "server/installation.py": "to Django's signing, and to recognise a credential that may not be an upstream's",
    "server/authorization/keys.py": "into the key that signs",
    "server/authorization/registration.py": "into the answer that tells a client its new secret once",
    "server/authorization/views/clients.py": "onto the page that shows a new client secret once",
    "server/authorization/views/registration_tokens.py": "onto the page that shows a new registration token once",
    "server/cloud_credentials/aws.py": "into the keys that botocore signs with",
    "server/cloud_credentials/entra.py": "into azure-identity, which shows it to Entra",
    "server/cloud_credentials/google.py": "into the key that google-auth signs with",
    "server/command.py": "onto standard output, which shows a new registration token or invitation link once",
    "server/console/invitations.py": "onto the page that shows an invitation's link once, and into its letter",
    "server/console/provisioning.py": "onto the page that shows a new SCIM token once",
    "server/console/rotation.py": "onto the page that shows a rotated key's new secret once",
    "server/console/security.py": "into the picture that an authenticator app reads, on the page that adds it",
    "server/console/security_forms.py": "onto that page, and into the encryption under which its form carries it",
    "server/console/views.py": "onto the page that shows a new key once",
    "server/site/database.py": "to the database driver",
    "server/mail/smtp.py": "to the mail server, behind TLS",
    "server/shared_counters.py": "to the library that speaks with Redis",
    "server/sealing.py": "into the encryption under which it rests",
    "server/sso/conversation.py": "behind the word Bearer, wrapped again",
    "server/sso/openid.py": "into HTTP Basic, wrapped again",
    "server/factors/authenticator_apps.py": "into the codes it stands for, and into the address that the app reads",
    "server/telemetry/collectors.py": "onto the wire to a collector of the operator",
    "server/upstreams/operations.py": "as the fields that it was encrypted with",
    "server/upstreams/workload_identity.py": "those fields of the form that are no secret, into the rule to ask for",
    "server/upstreams/credentials.py": "a reference, which is none",
    "server/own_upstream.py": "to recognise a credential that may not be an upstream's",
    "server/upstreams/references.py": "to recognise a credential that may not be an upstream's",
    "server/fixed_credential.py": "onto the wire to the upstream",
    "sources/variables.py": "to look for characters that cannot be sent",
    "stores/federation_cache.py": "into a file of mode 0600",
    "stores/helper_cache.py": "into a file of mode 0600",
    "stores/record.py": "into a file of mode 0600",
    "stores/revocations.py": "into a file of mode 0600",
    "stores/sealed.py": "into the key derivation",
    "testing/messages_api/server.py": "to compare",
    "wire/oauth.py": "into the body of a request or an answer",
    "wire/pkce.py": "into a hash",
}
"""The only files that may take a secret out of its wrapping, and where it goes."""


def modules(*folders: str) -> list[Path]:
    """Every Python file below ``folders`` that a person wrote."""
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    return [file for file in files if "migrations" not in file.parts]


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def short(file: Path) -> str:
    return file.relative_to(PACKAGE if file.is_relative_to(PACKAGE) else ROOT).as_posix()


def functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def dotted(node: ast.AST) -> str:
    """``a.b.c`` for an attribute chain, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def names_used(file: Path) -> set[str]:
    """Every module imported and every attribute chain in ``file``; ``datetime.datetime.x`` counts as ``datetime.x``."""
    found: set[str] = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module.split(".")[0], *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Attribute):
            found.add(dotted(node).replace("datetime.datetime.", "datetime."))
    return found


@pytest.mark.parametrize("name", HOMES)
def test_the_outside_world_is_named_only_in_its_home(name: str) -> None:
    """Time, environment, network and processes are arguments everywhere else."""
    strays = {short(file) for file in modules("src") if name in names_used(file)} - HOMES[name]
    assert not strays, f"{name} belongs in {sorted(HOMES[name]) or 'no file'}"


def test_secrets_are_revealed_only_where_that_is_the_purpose() -> None:
    """``.reveal()`` is the one way out of a Secret; a new place for it is a decision."""
    found = {
        short(file)
        for file in modules("src")
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "reveal"
    }
    assert found == REVEALERS.keys()


def test_functions_fit_on_a_screen() -> None:
    """Longer than the bound means that it does two things."""
    long = [
        f"{short(file)}:{function.lineno} {function.name}"
        for file in modules("src", "tests", "scripts", "benchmarks")
        for function in functions(file)
        if (function.end_lineno or 0) - function.lineno >= LONGEST_FUNCTION
    ]
    assert not long


def test_files_can_be_read_in_one_sitting() -> None:
    long = [
        short(file)
        for file in modules("src", "tests", "scripts", "benchmarks")
        if len(file.read_text(encoding="utf-8").splitlines()) > LONGEST_FILE
    ]
    assert not long


def checks_something(function: ast.FunctionDef | ast.AsyncFunctionDef, helpers: dict[str, ast.AST]) -> bool:
    """Whether a test can fail on purpose: an assert, an expected error, a checking command, or a helper of these."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            last = name.rsplit(".", 1)[-1]
            if last.startswith(("assert", "check", "expect", "judge")) or last in {"raises", "warns", "fail"}:
                return True
            if any(isinstance(each, ast.Constant) and each.value == "--check" for each in node.args):
                return True
            if name in helpers and any(isinstance(each, ast.Assert) for each in ast.walk(helpers[name])):
                return True
    return False


def test_every_test_can_fail() -> None:
    """A test that asserts nothing only shows that nothing was raised."""
    idle = []
    for file in modules("tests"):
        helpers: dict[str, ast.AST] = {function.name: function for function in functions(file)}
        idle += [
            f"{short(file)}:{function.lineno} {function.name}"
            for function in functions(file)
            if function.name.startswith("test_") and not checks_something(function, helpers)
        ]
    assert not idle


def test_tests_do_not_sleep() -> None:
    """A test that waits for time to pass is slow on a good day and wrong on a bad one."""
    sleepers = {
        short(file)
        for file in modules("tests")
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call) and dotted(node.func) in {"time.sleep", "asyncio.sleep", "sleep"}
        # sleep(0) gives way to other tasks without waiting
        if not (node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0)
    }
    assert not sleepers
