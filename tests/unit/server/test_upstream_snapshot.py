"""The snapshot of upstreams is what was kept, after every change, and never holds one without its credential."""

import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import clouds
import pytest
from local_server import Asked, LocalServer, local_server

from keystead.server.changes import CHANGES, Changes
from keystead.server.outbound import Reach
from keystead.server.policy import Principal, PrincipalKind
from keystead.server.settings import ServerSettings
from keystead.server.upstream_network import Guard
from keystead.server.upstream_shape import COMING, CredentialComing, Kind, Unsigned, Upstream
from keystead.server.upstream_snapshot import ASKED_AGAIN_SECONDS, UpstreamSnapshot
from keystead.testing.clock import FakeClock
from keystead.wire import ids

if TYPE_CHECKING:
    from keystead.server.organizations.models import Membership
    from keystead.server.upstreams.models import Upstream as Row

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
OWN = (Upstream("default", "own", Kind.MESSAGES, "https://own.example"),)
UNSIGNED = Unsigned(b"GET", b"h", b"/", (), b"")


def key_server(asked: Asked) -> tuple[int, str, object]:
    return (200 if asked.headers.get("x-api-key") == "good" else 401), "application/json", {}


@pytest.fixture
def upstream() -> Iterator[LocalServer]:
    with local_server({"GET /v1/models": key_server}) as server:
        yield server


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW.timestamp())


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    allowed = (
        f"file:{tmp_path}/key for http://127.0.0.1:*,exec:{sys.executable} {tmp_path}/show.py for http://127.0.0.1:*"
    )
    return ServerSettings(data_dir=tmp_path, upstream_references=allowed)


class Watched:
    """A snapshot in one process, and what it gives."""

    def __init__(self, server: ServerSettings, clock: FakeClock, member: "Membership", changes: Changes) -> None:
        self.clock = clock
        self.snapshot = UpstreamSnapshot(server, Guard(Reach(loopback=True), clock), clock, changes)
        organization = ids.dump("organization", member.organization_id)
        self.caller = Principal(PrincipalKind.API_KEY, "key_1", organization, "wrk_1", None)

    @property
    def shapes(self) -> list[Upstream]:
        return list(self.snapshot.of(self.caller, OWN))

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.shapes]

    @property
    def coming(self) -> list[str]:
        """Those whose first credential is still being got."""
        return [one.name for one in self.shapes if one.credential is COMING]

    @property
    def shown(self) -> list[bytes]:
        return [one.credential.lines(UNSIGNED) if one.credential else b"none" for one in self.shapes]


@pytest.fixture
def watched(settings: ServerSettings, clock: FakeClock, administrator: "Membership") -> Iterator[Watched]:
    found = Watched(settings, clock, administrator, CHANGES)
    yield found
    found.snapshot.close()


def connect(member: "Membership", server: ServerSettings, url: str, key: str, name: str = "A") -> "Row":
    from keystead.server.upstreams import operations

    row = operations.create(member, Kind.MESSAGES, operations.Draft(name, url), server, NOW)
    operations.set_credential(member, row, "api_key", {"key": key}, server, NOW)
    return row


def state(row: "Row") -> tuple[bool | None, str]:
    row.refresh_from_db()
    return row.works, row.checked_result


def test_it_is_what_was_kept_after_every_change(
    watched: Watched, administrator: "Membership", settings: ServerSettings
) -> None:
    from keystead.server.upstreams import operations

    assert watched.names == ["own"], "an organization without upstreams uses the server's"
    first, second = (connect(administrator, settings, "https://llm.example.com", name, name) for name in "AB")
    before = watched.shapes
    assert watched.shown == [b"x-api-key: A\r\n", b"x-api-key: B\r\n"]
    operations.move(administrator, second, True, NOW)
    assert watched.shapes == before[::-1]
    assert all(one is other for one, other in zip(watched.shapes, before[::-1], strict=True)), "nothing else changed"
    draft = operations.Draft("A", "https://llm.example.com", models={"opus": "deployment"}, serves=("opus",))
    operations.change(administrator, first, draft, first.version, settings, NOW)
    changed = watched.shapes[1]
    assert (changed.models, changed.serves) == ({"opus": "deployment"}, ("opus",))
    operations.switch(administrator, first, on=False, now=NOW)
    assert watched.names == ["B"]
    operations.switch(administrator, second, on=False, now=NOW)
    assert watched.names == [], "who has upstreams never falls back on the server's"
    operations.remove(administrator, first, NOW)
    operations.remove(administrator, second, NOW)
    assert watched.names == ["own"]


def test_one_without_its_credential_is_left_out_and_said(
    watched: Watched, administrator: "Membership", settings: ServerSettings, caplog: pytest.LogCaptureFixture
) -> None:
    from keystead.server.upstreams import operations

    row = operations.create(
        administrator, Kind.MESSAGES, operations.Draft("A", "https://llm.example.com"), settings, NOW
    )
    assert watched.names == []
    assert watched.snapshot.remark() == "; upstreams left out: 1 (see the log, or their page)"
    assert state(row) == (False, "It is left out: No credential is set. Set it on its page.")
    operations.set_credential(administrator, row, "none", {}, settings, NOW)
    assert watched.shown == [b""]
    assert watched.snapshot.remark() == ""
    type(row).objects.update(sealed_credential="torn", method="api_key", version=9)
    with caplog.at_level(logging.WARNING, "keystead.server"):
        watched.snapshot.refresh()
        watched.snapshot.refresh()
    assert watched.names == []
    assert caplog.text.count("upstream A of Example is left out: The stored upstream credential cannot be opened") == 1


def test_a_rotated_file_counts_without_a_restart(
    watched: Watched, administrator: "Membership", settings: ServerSettings, upstream: LocalServer, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text("bad\n")
    row = connect(administrator, settings, upstream.url, f"file:{key}")
    assert watched.shown == [b"x-api-key: bad\r\n"]
    watched.snapshot.look()
    assert state(row) == (False, "It refused the credential (401): enter another one.")
    key.write_text("good\n")
    watched.snapshot.look()
    assert watched.shown == [b"x-api-key: good\r\n"]
    assert state(row) == (True, "It answered GET /v1/models.")
    asked = len(upstream.asked)
    watched.snapshot.look()
    assert len(upstream.asked) == asked, "it is proven once"
    key.unlink()
    watched.snapshot.look()
    assert watched.names == []
    assert "which key (file:) names, does not exist" in state(row)[1]
    key.touch(mode=0o600)
    key.write_text("sk-ant-oat01-canary")
    watched.snapshot.look()
    assert watched.names == []
    assert "rule vendor-subscription" in state(row)[1]
    assert "canary" not in state(row)[1]


def test_what_takes_long_is_asked_in_the_background_and_again_after_a_while(
    watched: Watched, administrator: "Membership", settings: ServerSettings, clock: FakeClock, tmp_path: Path
) -> None:
    (tmp_path / "show.py").write_text("print('first')")
    connect(administrator, settings, "http://127.0.0.1:9", f"exec:{sys.executable} {tmp_path}/show.py")
    assert watched.coming == ["A"], "nobody waited for the program"
    watched.snapshot.look()
    assert watched.shown == [b"x-api-key: first\r\n"]
    (tmp_path / "show.py").write_text("print('second')")
    watched.snapshot.look()
    assert watched.shown == [b"x-api-key: first\r\n"]
    clock.advance(ASKED_AGAIN_SECONDS)
    watched.snapshot.look()
    assert watched.shown == [b"x-api-key: second\r\n"]
    (tmp_path / "show.py").write_text("raise SystemExit(3)")
    clock.advance(ASKED_AGAIN_SECONDS)
    watched.snapshot.look()
    assert watched.names == []


def test_an_application_of_entra_has_its_token_before_it_is_used(
    watched: Watched,
    administrator: "Membership",
    settings: ServerSettings,
    upstream: LocalServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from keystead.server.upstreams import operations

    issued = {"access_token": "entra.issued", "expires_in": 3600, "token_type": "Bearer"}
    application = {"tenant_id": "tenant-1", "client_id": "c-1", "client_secret": "s"}
    with clouds.entra(tmp_path, 200, issued) as (_, variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        draft = operations.Draft("Foundry", f"{upstream.url}/anthropic")
        row = operations.create(administrator, Kind.FOUNDRY, draft, settings, NOW)
        operations.set_credential(administrator, row, "entra", application, settings, NOW)
        assert watched.coming == ["Foundry"]
        watched.snapshot.look()
    assert watched.shown == [b"authorization: Bearer entra.issued\r\n"]
    assert [(one.path, one.headers["authorization"]) for one in upstream.asked] == [
        ("/anthropic/v1/messages/count_tokens", "Bearer entra.issued")
    ]
    assert state(row)[0] is False, "this vendor counts no tokens"


def test_none_waits_for_a_slower_one_and_what_fails_at_first_is_left_out(
    watched: Watched, administrator: "Membership", settings: ServerSettings, tmp_path: Path
) -> None:
    """The first program ends only when the second one has run."""
    (tmp_path / "show.py").write_text(
        "import pathlib, sys\n"
        f"other = pathlib.Path({str(tmp_path / 'ran')!r})\n"
        "if sys.argv[1] == 'quick': other.touch()\n"
        "while not other.exists(): pass\n"
        "print(sys.argv[1]) if sys.argv[1] != 'fails' else sys.exit(3)\n"
    )
    program = f"exec:{sys.executable} {tmp_path}/show.py"
    allowed = ",".join(f"{program} {word} for http://127.0.0.1:*" for word in ("slow", "quick", "fails"))
    server = replace(settings, upstream_references=allowed)
    own = Watched(server, watched.clock, administrator, Changes())
    for word in ("slow", "fails", "quick"):
        connect(administrator, server, "http://127.0.0.1:9", f"{program} {word}", word)
    own.snapshot.refresh()
    assert own.coming == ["slow", "fails", "quick"]
    with pytest.raises(CredentialComing):
        _ = own.shown
    own.snapshot.look()
    assert own.shown == [b"x-api-key: slow\r\n", b"x-api-key: quick\r\n"]
    own.snapshot.close()


def test_what_the_operator_no_longer_allows_is_no_longer_used(
    administrator: "Membership", settings: ServerSettings, clock: FakeClock, tmp_path: Path
) -> None:
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_text("good")
    connect(administrator, settings, "http://127.0.0.1:9", f"file:{tmp_path}/key")
    for allowed, names in ((settings, ["A"]), (replace(settings, upstream_references=""), [])):
        found = Watched(allowed, clock, administrator, Changes())
        assert found.names == names
        found.snapshot.close()


def test_a_database_that_does_not_answer_leaves_what_was_read_last(
    watched: Watched, administrator: "Membership", settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import DatabaseError

    from keystead.server.upstreams import operations
    from keystead.server.upstreams.models import Upstream as Kept

    row = connect(administrator, settings, "https://llm.example.com", "k")

    def away(*_: Any) -> Any:
        raise DatabaseError

    with monkeypatch.context() as patch:
        patch.setattr(Kept.objects, "select_related", away)
        operations.switch(administrator, row, on=False, now=NOW)
        assert watched.names == ["A"]
    watched.snapshot.refresh()
    assert watched.names == []


def test_what_cannot_be_written_down_keeps_no_other_from_being_read(
    watched: Watched, administrator: "Membership", settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import DatabaseError

    from keystead.server.upstreams import operations

    def away(*_: Any, **__: Any) -> None:
        raise DatabaseError

    monkeypatch.setattr(operations, "note", away)
    operations.create(administrator, Kind.ANTHROPIC, operations.Draft("without"), settings, NOW)
    connect(administrator, settings, "https://llm.example.com", "k", "B")
    assert watched.names == ["B"]


def test_a_workloads_token_is_there_before_it_is_used_and_stays_when_the_identity_is_replaced(
    watched: Watched, administrator: "Membership", settings: ServerSettings, tmp_path: Path
) -> None:
    from keystead.server.upstreams import operations

    shown: list[str] = []

    def exchange(asked: Asked) -> tuple[int, str, object]:
        shown.append(json.loads(asked.body)["assertion"])
        token = {"access_token": f"sk-ant-oat01-{len(shown)}", "token_type": "Bearer", "expires_in": 3600}
        return 200, "application/json", token

    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_text("identity-1")
    rule = {"federation_rule_id": "r", "organization_id": "o", "identity_token": f"file:{tmp_path}/key"}
    with local_server({"POST /v1/oauth/token": exchange, "GET /v1/models": (200, "text/plain", "")}) as server:
        row = operations.create(administrator, Kind.ANTHROPIC, operations.Draft("A", server.url), settings, NOW)
        operations.set_credential(administrator, row, "workload_identity", rule, settings, NOW)
        assert watched.coming == ["A"]
        watched.snapshot.look()
        before = watched.shapes
        assert b"authorization: Bearer sk-ant-oat01-1\r\n" in watched.shown[0]
        assert state(row) == (True, "It answered GET /v1/models.")
        (tmp_path / "key").write_text("identity-2")
        watched.snapshot.look()
        assert watched.shapes[0] is before[0]
    assert shown == ["identity-1"]
