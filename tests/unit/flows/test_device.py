import pytest

from keystead.credentials import OAuthTokens
from keystead.drivers import conversation
from keystead.errors import Cancelled, ConfigurationError, CredentialExpired, CredentialRejected, KeysteadError
from keystead.flows import device
from keystead.secret import Secret
from keystead.testing.clock import FakeClock
from keystead.testing.transport import Answer, ScriptedTransport, json_response
from keystead.wire.http import Response
from keystead.wire.oauth import DeviceAuthorization, ServerMetadata

CODES = DeviceAuthorization(Secret("ksd_device"), "BCDF-GHJK", "https://keys.example.com/device", 600.0)
DONE = json_response(200, {"access_token": "at", "token_type": "Bearer", "expires_in": 60, "refresh_token": "rt"})


def pending(error: str = "authorization_pending") -> Response:
    return json_response(400, {"error": error})


def poll(metadata: ServerMetadata, clock: FakeClock, *answers: Answer) -> OAuthTokens:
    flow = device.poll(metadata, "keystead-cli", CODES, clock.now)
    return conversation.run(flow, ScriptedTransport(list(answers)), clock)


def test_the_codes_are_asked_for(metadata: ServerMetadata) -> None:
    document = {
        "device_code": "ksd_device",
        "user_code": "BCDF-GHJK",
        "verification_uri": "https://keys.example.com/device",
        "expires_in": 600,
    }
    transport = ScriptedTransport([json_response(200, document)])

    codes = conversation.run(device.start(metadata, "keystead-cli", "openid"), transport, FakeClock())

    assert codes == CODES
    assert transport.requests[0].form == {"client_id": "keystead-cli", "scope": "openid"}


def test_it_asks_again_until_somebody_has_approved(metadata: ServerMetadata) -> None:
    clock = FakeClock()

    tokens = poll(metadata, clock, pending(), pending(), DONE)

    assert tokens.refresh_token == Secret("rt")
    assert tokens.issued_at == clock.now()
    assert clock.slept == [5.0, 5.0, 5.0]


def test_slow_down_adds_five_seconds_for_good(metadata: ServerMetadata) -> None:
    clock = FakeClock()

    poll(metadata, clock, pending(), pending("slow_down"), pending(), pending("slow_down"), DONE)

    assert clock.slept == [5.0, 5.0, 10.0, 10.0, 15.0]


def test_a_server_that_is_down_for_a_moment_ends_nothing(metadata: ServerMetadata) -> None:
    clock = FakeClock()
    hiccups = (json_response(429, {}, {"retry-after": "20"}), Response(502, {}, b""))

    poll(metadata, clock, *hiccups, DONE)

    assert clock.slept == [5.0, 25.0, 30.0]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("access_denied", Cancelled),
        ("expired_token", CredentialExpired),
        ("invalid_grant", CredentialRejected),
        ("invalid_client", ConfigurationError),
    ],
)
def test_a_final_answer_ends_it(metadata: ServerMetadata, error: str, expected: type[KeysteadError]) -> None:
    with pytest.raises(expected):
        poll(metadata, FakeClock(), pending(error))


def test_a_server_that_never_says_expired_is_not_asked_forever(metadata: ServerMetadata) -> None:
    clock = FakeClock()

    with pytest.raises(CredentialExpired):
        poll(metadata, clock, *[pending()] * 120)

    assert sum(clock.slept) <= CODES.expires_in


def test_a_server_without_the_endpoint_is_named() -> None:
    bare = ServerMetadata("https://keys.example.com", "https://keys.example.com/oauth/token")

    with pytest.raises(ConfigurationError, match="device code"):
        conversation.run(device.start(bare, "keystead-cli", ""), ScriptedTransport(), FakeClock())
