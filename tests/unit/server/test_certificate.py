"""The server's own certificate: taken anew when its files change, and never given up for one that does not work."""

import logging
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from local_server import make_certificate

from keystead.clock import SYSTEM_CLOCK
from keystead.errors import ConfigurationError
from keystead.server import certificate
from keystead.server.certificate import Certificate
from keystead.server.settings import ServerSettings

DAY = 86400.0


def shown(server: Certificate, *, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    """Shake hands in memory, and return the certificate that a client is shown."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode, client.maximum_version = False, ssl.CERT_NONE, newest
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server)
    theirs = server.context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    seen = ours.getpeercert(binary_form=True)
    assert seen
    return seen


def put(source: Path, target: Path) -> None:
    """Replace a file as certificate programs do: written beside it, then renamed."""
    beside = target.with_suffix(".new")
    beside.write_bytes(source.read_bytes())
    beside.replace(target)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return make_certificate(tmp_path, days=60)


@pytest.fixture
def now() -> float:
    return SYSTEM_CLOCK.now()


def test_new_files_are_shown_to_whoever_comes_next(file: Path, now: float, tmp_path: Path) -> None:
    server = Certificate(file, file, now)
    before = shown(server)
    server.refresh(now)
    assert shown(server) == before

    put(make_certificate(tmp_path, days=60, file="another.pem"), file)
    assert shown(server) == before
    server.refresh(now)
    assert shown(server) != before


@pytest.mark.parametrize("content", [b"", b"no certificate", None])
def test_files_that_do_not_work_leave_the_one_before_in_force(
    file: Path, now: float, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    server = Certificate(file, file, now)
    before = shown(server)
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)

    with caplog.at_level(logging.ERROR):
        server.refresh(now)
        server.refresh(now)

    assert shown(server) == before
    assert [record.message.startswith("the certificate of before stays in force") for record in caplog.records] == [
        True
    ]


def test_an_end_that_comes_near_is_said_once_a_day(
    tmp_path: Path, now: float, caplog: pytest.LogCaptureFixture
) -> None:
    file = make_certificate(tmp_path, days=15)
    server = Certificate(file, file, now)
    with caplog.at_level(logging.WARNING):
        for days in (0, 0.5, 2, 2.5, 3.1):
            server.refresh(now + days * DAY)
    assert len([record for record in caplog.records if "renew it" in record.message]) == 2


def test_one_that_has_ended_does_not_begin(tmp_path: Path, now: float) -> None:
    file = make_certificate(tmp_path, days=-1)
    with pytest.raises(ConfigurationError, match="ended on"):
        Certificate(file, file, now)


def test_a_key_of_another_certificate_is_named(file: Path, now: float, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not belong"):
        Certificate(file, make_certificate(tmp_path, file="another.pem"), now)


def test_both_settings_or_neither(file: Path, now: float, tmp_path: Path) -> None:
    neither = ServerSettings(data_dir=tmp_path)
    assert certificate.of(neither, now) is None
    assert neither.base_url == "http://127.0.0.1:8420"
    both = replace(neither, tls_certificate=str(file), tls_key=str(file))
    assert certificate.of(both, now) is not None
    assert both.base_url == "https://127.0.0.1:8420"
    for halved, name in ((replace(both, tls_certificate=""), "CERTIFICATE"), (replace(both, tls_key=""), "KEY")):
        with pytest.raises(ConfigurationError, match=f"KEYSTEAD_SERVER_TLS_{name} is not set"):
            certificate.of(halved, now)
    with pytest.raises(ConfigurationError, match="No such file"):
        certificate.of(replace(both, tls_key=str(tmp_path / "nowhere")), now)


def test_old_versions_of_tls_are_refused(file: Path, now: float) -> None:
    server = Certificate(file, file, now)
    assert shown(server, newest=ssl.TLSVersion.TLSv1_2)
    assert server.context.minimum_version == ssl.TLSVersion.TLSv1_2
