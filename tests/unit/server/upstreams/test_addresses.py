"""What can be the address of an upstream, and its lines: what is refused before anything is asked."""

import ipaddress

import pytest

from keystead.errors import KeysteadError, PolicyDenied, UsageError
from keystead.server.outbound import Reach
from keystead.server.upstream_shape import Kind
from keystead.server.upstreams.addresses import check_base_url, check_headers

OPENED = Reach((ipaddress.ip_network("10.0.0.0/8"),), plain=True)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("https://llm.example.com/", "https://llm.example.com"),
        (" https://LLM.example.com:8443/prefix/ ", "https://llm.example.com:8443/prefix"),
        ("https://[2606:4700::1111]", "https://[2606:4700::1111]"),
        ("https://1.1.1.1", "https://1.1.1.1"),
        ("http://10.1.2.3", "http://10.1.2.3"),
        ("https://4.example.com", "https://4.example.com"),
    ],
)
def test_an_address_is_kept_in_one_form(typed: str, kept: str) -> None:
    assert check_base_url(typed, OPENED) == kept


LITERALS = [
    *("127.0.0.1", "127.0.0.1.", "[::1]", "localhost", "LocalHost.", "192.168.0.1", "169.254.169.254", "0.0.0.0"),
    *("[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "[::127.0.0.1]", "[fec0::1]"),
]
NUMBERS = ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "2852039166", "0xA9.0xFE.0xA9.0xFE", "x.0x"]
WRONG = [
    ("ftp://llm.example.com", "not an address that can be asked"),
    ("https://user:pw@llm.example.com", "a user name or password"),
    ("https://llm.example.com?x=1", "a query"),
    ("https://llm.example.com/../x", "two dots"),
    ("https://llm.example.com/%2e%2e", "an escape"),
    ("https://llm.example.com:0", "its port is 0"),
    ("http://llm.example.com", "is not https"),
    *((f"https://{host}", "inside this server's own network") for host in LITERALS),
    *((f"https://{host}", "neither a name nor an address") for host in NUMBERS),
]


@pytest.mark.parametrize(("typed", "said"), WRONG, ids=[typed for typed, _ in WRONG])
def test_what_cannot_be_or_is_inside_is_refused_at_once(typed: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_base_url(typed, Reach())


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ({"x-api-key": "k"}, "x-api-key is set by the gateway itself"),
        ({"Authorization": "Bearer k"}, "authorization is set by the gateway itself"),
        ({"x-team": "a\nb"}, "is not the line of a header"),
        ({"x y": "a"}, "is not the line of a header"),
    ],
)
def test_a_line_that_is_none_or_the_gateways_is_refused(lines: dict[str, str], said: str) -> None:
    with pytest.raises(KeysteadError, match=said):
        check_headers(Kind.MESSAGES, lines)


@pytest.mark.parametrize("value", ["sk-ant-oat01-canary", "Bearer sk-ant-oat01-canary"])
def test_a_line_is_no_way_around_the_legal_wall(value: str) -> None:
    with pytest.raises(PolicyDenied, match="rule vendor-subscription") as raised:
        check_headers(Kind.MESSAGES, {"x-forwarded-key": value})
    assert "canary" not in f"{raised.value} {raised.value.hint}"


def test_what_the_platform_on_aws_needs_is_asked_for() -> None:
    with pytest.raises(UsageError, match="anthropic-workspace-id is missing"):
        check_headers(Kind.AWS, {"x-team": "a"})
    assert check_headers(Kind.AWS, {"Anthropic-Workspace-Id": "w"}) == {"anthropic-workspace-id": "w"}
