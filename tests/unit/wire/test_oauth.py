import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.secret import Secret
from keystead.wire import oauth
from keystead.wire.fields import Malformed

texts = st.text(min_size=1).filter(lambda text: text.isprintable())
maybe = st.none() | texts
seconds = st.integers(0, 10**9).map(float)
secrets = texts.map(Secret)


@given(
    st.builds(
        oauth.ServerMetadata,
        issuer=texts,
        token_endpoint=texts,
        authorization_endpoint=maybe,
        device_authorization_endpoint=maybe,
        revocation_endpoint=maybe,
        userinfo_endpoint=maybe,
        jwks_uri=maybe,
        scopes_supported=st.lists(texts).map(tuple),
        grant_types_supported=st.lists(texts).map(tuple),
        code_challenge_methods_supported=st.lists(texts).map(tuple),
        iss_parameter_supported=st.booleans(),
        gateway_protocol_version=st.none() | st.integers(1, 9),
    )
)
def test_metadata_comes_back(metadata: oauth.ServerMetadata) -> None:
    assert oauth.parse_metadata(oauth.dump_metadata(metadata)) == metadata


@given(st.builds(oauth.TokenResponse, secrets, seconds, st.none() | secrets, maybe))
def test_a_token_response_comes_back(token: oauth.TokenResponse) -> None:
    assert oauth.parse_token(oauth.dump_token(token)) == token


@given(st.builds(oauth.DeviceAuthorization, secrets, texts, texts, seconds, maybe, seconds))
def test_a_device_authorization_comes_back(authorization: oauth.DeviceAuthorization) -> None:
    assert oauth.parse_device_authorization(oauth.dump_device_authorization(authorization)) == authorization


@given(st.builds(oauth.OAuthFault, texts, maybe))
def test_a_fault_comes_back(fault: oauth.OAuthFault) -> None:
    assert oauth.parse_fault(oauth.dump_fault(fault)) == fault


@given(st.builds(oauth.UserInfo, texts, maybe, maybe, maybe, maybe, maybe, maybe))
def test_user_information_comes_back(info: oauth.UserInfo) -> None:
    assert oauth.parse_userinfo(oauth.dump_userinfo(info)) == info


@given(st.binary())
def test_reading_a_fault_never_fails(body: bytes) -> None:
    assert oauth.parse_fault(body) is None or isinstance(oauth.parse_fault(body), oauth.OAuthFault)


def test_a_device_authorization_without_interval_asks_every_five_seconds() -> None:
    body = b'{"device_code":"d","user_code":"u","verification_uri":"v","expires_in":600}'

    assert oauth.parse_device_authorization(body).interval == 5.0


@pytest.mark.parametrize(
    "body",
    [
        b'{"access_token":"a","token_type":"DPoP","expires_in":1}',
        b'{"access_token":"a","expires_in":1}',
        b'{"access_token":"","token_type":"Bearer","expires_in":1}',
        b'{"access_token":"a","token_type":"Bearer"}',
        b'{"access_token":"a","token_type":"Bearer","expires_in":"soon"}',
    ],
)
def test_a_token_that_cannot_be_used_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        oauth.parse_token(body)


def test_no_secret_is_in_a_repr() -> None:
    token = oauth.TokenResponse(Secret("canary-1"), 1.0, Secret("canary-2"))
    codes = oauth.DeviceAuthorization(Secret("canary-3"), "ABCD-EFGH", "https://x", 1.0)

    assert "canary" not in repr(token) + repr(codes)
