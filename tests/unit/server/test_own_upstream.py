"""The server's own upstream: proven at the start, its key read again, and what is wrong said and never fatal."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Iterator
from pathlib import Path

import pytest
from local_server import Asked, LocalServer, local_server

from keystead.secret import Secret
from keystead.server import own_upstream, settings
from keystead.server.own_upstream import ASKED_AGAIN_SECONDS, PROVEN_AGAIN_SECONDS, OwnUpstream
from keystead.server.settings import ServerSettings
from keystead.server.upstream_network import NotPermitted
from keystead.server.upstream_shape import Unsigned
from keystead.testing.clock import FakeClock

UNSIGNED = Unsigned(b"GET", b"h", b"/", (), b"")
TROUBLE = "; the server's own upstream is in trouble (see the log)"


def models(asked: Asked) -> tuple[int, str, object]:
    return (200 if asked.headers.get("x-api-key") == "good" else 401), "application/json", {}


@pytest.fixture
def vendor() -> Iterator[LocalServer]:
    with local_server({"GET /v1/models": models}) as server:
        yield server


@pytest.fixture(autouse=True)
def told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "keystead.server")


def variables(root: Path, url: str, key: str) -> dict[str, str]:
    given = {"DATA_DIR": str(root), "UPSTREAM_URL": url, "UPSTREAM_API_KEY": key}
    return {f"KEYSTEAD_SERVER_{name}": value for name, value in given.items()}


def own(given: dict[str, str], clock: FakeClock) -> OwnUpstream:
    found = own_upstream.of(settings.load(given), given, clock)
    assert found is not None
    return found


def shown(upstream: OwnUpstream) -> bytes:
    assert upstream.shape.credential is not None
    return upstream.shape.credential.lines(UNSIGNED)


def kept(path: Path, value: str) -> str:
    path.touch(mode=0o600)
    path.write_text(value)
    return f"file:{path}"


def test_it_is_proven_once_when_it_works(vendor: LocalServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    upstream = own(variables(tmp_path, vendor.url, "good"), clock)
    assert upstream.remark() == ""
    upstream.look(0)
    clock.advance(PROVEN_AGAIN_SECONDS)
    upstream.look(0)
    assert upstream.remark() == ""
    assert len(vendor.asked) == 1
    assert f"the server's own upstream, {vendor.url}: It answered GET /v1/models." in caplog.text


def test_one_that_refuses_is_said_and_asked_again(
    vendor: LocalServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    upstream = own(variables(tmp_path, vendor.url, "bad-canary"), clock)
    for _ in range(3):
        upstream.look(0)
    assert (upstream.remark(), len(vendor.asked)) == (TROUBLE, 1)
    clock.advance(PROVEN_AGAIN_SECONDS)
    upstream.look(0)
    assert len(vendor.asked) == 2
    assert caplog.text.count("It refused the credential (401)") == 1
    assert "canary" not in caplog.text


def test_a_network_that_is_away_stops_nothing(tmp_path: Path) -> None:
    with local_server({"GET /v1/models": models}) as vendor:
        upstream = own(variables(tmp_path, vendor.url, "good"), FakeClock())
    upstream.look(0)
    assert upstream.remark() == TROUBLE
    assert shown(upstream) == b"x-api-key: good\r\n"
    assert vendor.asked == []


@pytest.mark.parametrize("host", ["169.254.169.254", "2852039166", "[::ffff:169.254.169.254]"])
def test_where_machines_learn_their_credentials_nothing_is_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    upstream = own(variables(tmp_path, f"http://{host}", "canary"), FakeClock())
    upstream.look(0)
    assert upstream.remark() == TROUBLE
    assert "which is never asked" in caplog.text
    assert upstream.shape.addresses is not None
    with pytest.raises(NotPermitted):
        asyncio.run(_of(upstream.shape.addresses(host.strip("[]"), 80)))


async def _of(answer: Awaitable[object]) -> object:
    return await answer


def test_a_rotated_file_counts_without_a_restart_and_is_proven(
    vendor: LocalServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = own(variables(tmp_path, vendor.url, kept(tmp_path / "key", "bad")), FakeClock())
    upstream.look(0)
    assert (shown(upstream), upstream.remark()) == (b"x-api-key: bad\r\n", TROUBLE)
    kept(tmp_path / "key", "good")
    credential = upstream.shape.credential
    upstream.look(0)
    assert (shown(upstream), upstream.remark()) == (b"x-api-key: good\r\n", "")
    assert credential is upstream.shape.credential
    assert credential is not None
    assert credential.version == 1
    assert "has changed" in caplog.text


def test_a_setting_of_the_file_is_read_again_too(vendor: LocalServer, tmp_path: Path) -> None:
    reference = kept(tmp_path / "key", "good")
    (tmp_path / "keystead.toml").write_text(f'upstream_api_key = "{reference}"\nupstream_url = "{vendor.url}"\n')
    given = {"KEYSTEAD_SERVER_DATA_DIR": str(tmp_path)}
    upstream = own(given, FakeClock())
    kept(tmp_path / "key", "other")
    upstream.look(0)
    assert shown(upstream) == b"x-api-key: other\r\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [("sk-ant-oat01-canary", "rule vendor-subscription"), ("two words", "has a space"), (None, "does not exist")],
)
def test_what_will_not_do_is_never_sent_and_said_once(
    vendor: LocalServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str | None, said: str
) -> None:
    upstream = own(variables(tmp_path, vendor.url, kept(tmp_path / "key", "good")), FakeClock())
    if content is None:
        (tmp_path / "key").unlink()
    else:
        kept(tmp_path / "key", content)
    for _ in range(2):
        upstream.look(0)
    assert shown(upstream) == b"x-api-key: good\r\n"
    assert caplog.text.count("goes on with the key that was read last") == 1
    assert said in caplog.text
    assert "canary" not in caplog.text


def test_a_program_is_asked_every_few_minutes(vendor: LocalServer, tmp_path: Path) -> None:
    (tmp_path / "show.py").write_text("print('good')")
    clock = FakeClock()
    upstream = own(variables(tmp_path, vendor.url, f"exec:{sys.executable} {tmp_path}/show.py"), clock)
    (tmp_path / "show.py").write_text("print('other')")
    upstream.look(0)
    assert shown(upstream) == b"x-api-key: good\r\n"
    clock.advance(ASKED_AGAIN_SECONDS)
    upstream.look(0)
    assert shown(upstream) == b"x-api-key: other\r\n"


def test_without_a_key_or_with_none_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    for one in (ServerSettings(tmp_path), ServerSettings(tmp_path, upstream_url="none", upstream_api_key=Secret("k"))):
        assert own_upstream.of(one, {}, FakeClock()) is None
