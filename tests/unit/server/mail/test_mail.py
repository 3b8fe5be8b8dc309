"""Mail to a mail server that others could have written, to the outbox, and to nobody, with the step that failed."""

import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mail_server import PASSWORD, USER, MailServer, certificate, serving

from keystead.errors import ConfigurationError, ServerUnreachable, UsageError
from keystead.secret import Secret
from keystead.server.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keystead.server.mail.trial import Outcome

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
FROM = "Keystead <keystead@example.com>"


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[MailServer]":
    """Serve mail on loopback with a certificate that this machine trusts."""
    context, authority = certificate(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with serving(MailServer(tls=context)) as server:
        yield server


def settings(tmp_path: Path, url: str, password: str | None = PASSWORD) -> ServerSettings:
    secret = None if password is None else Secret(password)
    return ServerSettings(data_dir=tmp_path, mail_url=url, mail_password=secret, mail_from=FROM)


def tried(settings: ServerSettings, to: str = "ada@example.com") -> "Outcome":
    from keystead.server.mail import trial

    return trial.run(to, settings, NOW)


def test_a_mail_is_handed_over_encrypted_and_signed_in(tmp_path: Path, offered: MailServer) -> None:
    outcome = tried(settings(tmp_path, f"submission://{USER}@127.0.0.1:{offered.port}"))
    assert outcome.error is None
    assert outcome.worked == ("connect", "starttls", "sign in", "sender", "recipient", "message")
    [(sender, recipient, text)] = offered.taken
    assert (sender, recipient) == ("<keystead@example.com>", "<ada@example.com>")
    assert "From: Keystead <keystead@example.com>\r\n" in text
    assert "Auto-Submitted: auto-generated\r\n" in text
    assert "Date: Sat, 21 Nov 2026 12:00:00 +0000\r\n" in text
    assert offered.was_encrypted == [True]


def test_tls_from_the_beginning(tmp_path: Path, offered: MailServer) -> None:
    offered.implicit = True
    outcome = tried(settings(tmp_path, f"smtps://{USER}@127.0.0.1:{offered.port}"))
    assert (outcome.error, offered.was_encrypted) == (None, [True])


def test_a_relay_without_encryption_is_used_only_when_that_is_asked_for(tmp_path: Path, offered: MailServer) -> None:
    offered.offers_starttls = False
    address = f"smtp://127.0.0.1:{offered.port}"
    assert tried(settings(tmp_path, address, None)).failed == "starttls"
    assert offered.taken == []
    assert tried(settings(tmp_path, f"{address}?security=none", None)).error is None
    assert offered.was_encrypted == [False]


def test_a_server_that_offers_no_starttls_gets_no_password(tmp_path: Path, offered: MailServer) -> None:
    offered.offers_starttls = False
    outcome = tried(settings(tmp_path, f"submission://{USER}@127.0.0.1:{offered.port}"))
    assert outcome.failed == "starttls"
    assert not any(line.startswith("AUTH") for line in offered.heard)


REFUSALS: list[tuple[str, str, str, str]] = [
    ("STARTTLS", "454 not now", "starttls", "454 not now"),
    ("AUTH", "535 no", "sign in", "KEYSTEAD_SERVER_MAIL_PASSWORD"),
    ("MAIL", "553 not yours", "sender", "KEYSTEAD_SERVER_MAIL_FROM"),
    ("RCPT", "550 no such person", "recipient", "550 no such person"),
    ("DATA", "552 too much", "message", "552 too much"),
]


@pytest.mark.parametrize(("word", "answer", "step", "says"), REFUSALS)
def test_the_step_that_failed_is_named_with_the_servers_answer(
    tmp_path: Path, offered: MailServer, word: str, answer: str, step: str, says: str
) -> None:
    offered.refuse[word] = answer
    outcome = tried(settings(tmp_path, f"submission://{USER}@127.0.0.1:{offered.port}"))
    assert outcome.failed == step
    assert isinstance(outcome.error, ServerUnreachable)
    assert says in f"{outcome.error.message} {outcome.error.hint}"
    assert PASSWORD not in str(outcome.to_json())
    assert offered.taken == []


def test_a_certificate_that_is_not_trusted_or_of_another_name_ends_it(
    tmp_path: Path, offered: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tried(settings(tmp_path, f"submission://{USER}@localhost:{offered.port}"))
    monkeypatch.delenv("SSL_CERT_FILE")
    unknown = tried(settings(tmp_path, f"submission://{USER}@127.0.0.1:{offered.port}"))
    for outcome in (other, unknown):
        assert outcome.failed == "starttls"
        assert outcome.error is not None
        assert "certificate is not trusted" in outcome.error.message
    assert not any(line.startswith("AUTH") for line in offered.heard)


def test_nobody_listens(tmp_path: Path) -> None:
    with serving(MailServer()) as gone:
        pass
    outcome = tried(settings(tmp_path, f"submission://127.0.0.1:{gone.port}", None))
    assert outcome.failed == "connect"
    assert outcome.error is not None
    assert "Connection refused" in outcome.error.message


def test_without_a_mail_server_mail_is_a_private_file(tmp_path: Path) -> None:
    plain = ServerSettings(data_dir=tmp_path)
    assert tried(plain).worked == ("outbox",)
    [file] = (tmp_path / "outbox").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert "To: ada@example.com" in file.read_text()


def test_console_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tried(ServerSettings(data_dir=tmp_path, mail_url="console")).worked == ("console",)
    assert "To: ada@example.com" in capsys.readouterr().out


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"mail_url": "mail.example.com"}, "neither the address"),
    ({"mail_url": "http://mail.example.com"}, "neither the address"),
    ({"mail_url": "smtp://"}, "neither the address"),
    ({"mail_url": "smtp://host:port"}, "not an address"),
    ({"mail_url": "smtp://host/path"}, "neither the address"),
    ({"mail_url": f"smtp://user:{PASSWORD}@host"}, "holds a password"),
    ({"mail_url": "smtp://user@host"}, "MAIL_PASSWORD is not set"),
    ({"mail_url": "smtp://host", "mail_password": Secret(PASSWORD)}, "names no user"),
    ({"mail_url": "smtp://user@host?security=none", "mail_password": Secret(PASSWORD)}, "anybody on the way"),
    ({"mail_url": "smtps://host?security=none"}, "security=none"),
    ({"mail_url": "smtp://host?starttls=no"}, "security=none"),
    ({"mail_url": "smtp://host", "mail_from": ""}, "MAIL_FROM is not set"),
    ({"mail_url": "smtp://host", "mail_from": "nobody"}, "MAIL_FROM is not an e-mail address"),
    ({"mail_url": "smtp://host", "mail_from": "A\nBcc: b@example.com <a@example.com>"}, "MAIL_FROM"),
]


@pytest.mark.parametrize(("given", "says"), WRONG)
def test_a_wrong_setting_is_named_and_its_value_is_not_repeated(
    tmp_path: Path, given: dict[str, Any], says: str
) -> None:
    from keystead.server.mail.routes import route

    with pytest.raises(ConfigurationError, match="KEYSTEAD_SERVER_MAIL") as caught:
        route(ServerSettings(data_dir=tmp_path, **{"mail_from": FROM, **given}))
    assert says in caught.value.message
    assert PASSWORD not in f"{caught.value.message} {caught.value.hint}"


def test_an_address_that_is_none_is_refused_first(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ADDRESS"):
        tried(ServerSettings(data_dir=tmp_path), "nobody")


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(("answer", "times", "arrives"), [("451 later", 1, True), ("550 never", 1, False)])
def test_a_mail_is_tried_again_when_that_may_help_and_its_failure_hurts_nobody(
    tmp_path: Path,
    offered: MailServer,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    times: int,
    arrives: bool,
) -> None:
    from django.conf import settings as django
    from django.test import override_settings

    from keystead.server.errands import ERRANDS
    from keystead.server.mail import operations

    monkeypatch.setattr(operations, "AGAIN", (0.0,))
    offered.refuse["RCPT"], offered.times["RCPT"] = answer, times
    chosen = settings(tmp_path, f"submission://{USER}@127.0.0.1:{offered.port}")
    with override_settings(KEYSTEAD=replace(django.KEYSTEAD, **_mail(chosen))):
        operations.post(operations.Letter("ada@example.com", "Subject", "Text äöü\n"))
        assert ERRANDS.drain()
    assert len(offered.taken) == arrives


def _mail(chosen: ServerSettings) -> dict[str, Any]:
    return {name: getattr(chosen, name) for name in ("mail_url", "mail_password", "mail_from", "data_dir")}
