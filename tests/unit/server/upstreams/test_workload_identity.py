"""The server's own identity for the vendor's token: exchanged when needed, renewed in time, never half there."""

import json

import pytest
from local_server import Asked, LocalServer, local_server

from keystead.errors import CredentialRejected, KeysteadError
from keystead.secret import Secret
from keystead.server.cloud_credentials.renewed import AHEAD
from keystead.server.outbound import Reach
from keystead.server.upstream_shape import CredentialUnavailable, Unsigned
from keystead.server.upstreams.workload_identity import WorkloadCredential
from keystead.testing.clock import FakeClock

UNSIGNED = Unsigned(b"GET", b"h", b"/", (), b"")
FIELDS = {"federation_rule_id": "fdrl_1", "organization_id": "org_1", "workspace_id": "wrk_1"}


class Vendor:
    """Counts tokens, or refuses."""

    issued = 0
    refuses = False

    def __call__(self, asked: Asked) -> tuple[int, str, object]:
        assert json.loads(asked.body)["assertion"] == "identity-canary"
        if self.refuses:
            return 400, "application/json", {"error": {"type": "authentication_error", "message": "identity-canary"}}
        self.issued += 1
        token = {"access_token": f"sk-ant-oat01-{self.issued}", "token_type": "Bearer", "expires_in": 3600}
        return 200, "application/json", token


def credential(server: LocalServer, clock: FakeClock, loopback: bool = True) -> WorkloadCredential:
    values = {name: Secret(value) for name, value in FIELDS.items()}
    return WorkloadCredential(values, lambda: Secret("identity-canary"), server.url, Reach(loopback=loopback), clock)


def test_a_token_is_there_after_an_exchange_and_renewed_before_its_end() -> None:
    vendor, clock = Vendor(), FakeClock()
    with local_server({"POST /v1/oauth/token": vendor}) as server:
        own = credential(server, clock)
        assert own.version == 0
        with pytest.raises(CredentialUnavailable):
            own.lines(UNSIGNED)
        own.refresh()
        own.refresh()
        expected = b"authorization: Bearer sk-ant-oat01-1\r\nanthropic-beta: oauth-2025-04-20\r\n"
        assert [own.fixed, own.lines(UNSIGNED)] == [expected, expected]
        clock.advance(3600 - AHEAD)
        own.refresh()
    assert (vendor.issued, own.version) == (2, 2)
    assert b"oat01-2" in own.lines(UNSIGNED)


def test_a_refused_exchange_keeps_a_token_until_its_end_and_no_longer() -> None:
    vendor, clock = Vendor(), FakeClock()
    with local_server({"POST /v1/oauth/token": vendor}) as server:
        own = credential(server, clock)
        own.refresh()
        vendor.refuses = True
        clock.advance(3600 - AHEAD)
        with pytest.raises(CredentialRejected) as raised:
            own.refresh()
        assert "identity-canary" not in f"{raised.value} {raised.value.hint}"
        assert own.fixed is not None
        clock.advance(AHEAD)
        with pytest.raises(CredentialRejected):
            own.refresh()
    assert own.fixed is None
    assert own.version == 2


def test_the_identity_goes_nowhere_that_requests_would_not_go() -> None:
    with local_server({"*": (200, "text/plain", "x")}) as server:
        with pytest.raises(KeysteadError, match="inside this server's own network"):
            credential(server, FakeClock(), loopback=False).refresh()
        assert server.asked == []
