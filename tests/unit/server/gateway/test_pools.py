"""What an upstream is configured with comes to usable connections, or to an error that names it."""

import asyncio
from dataclasses import replace

import pytest
from upstreams import upstream

from keystead.errors import ConfigurationError
from keystead.secret import Secret
from keystead.server.fixed_credential import FixedCredential
from keystead.server.gateway import Limits
from keystead.server.gateway.pools import Pools
from keystead.server.gateway.ports import Kind
from keystead.server.gateway.request_head import RequestHead

ADDRESS = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    "address",
    [
        *(
            "ftp://x",
            "https://",
            "x",
            "",
            "https://x?y",
            "https://x#y",
            "https://x:0",
            "https://x:99999",
            "https://x:y",
        ),
        *("https://x/\r\ny: z", "https://x y", "https://ü.example", "https://[x"),
    ],
)
def test_an_address_that_is_none_is_named(address: str) -> None:
    with pytest.raises(ConfigurationError, match="not of the form"):
        Pools(Limits()).of(upstream(address))


@pytest.mark.parametrize("address", ["https://me:canary@example.com", "ftp://canary@x?y", "https://me:canary@[x"])
def test_an_address_with_a_password_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(ConfigurationError, match="user name or password") as refused:
        Pools(Limits()).of(upstream(address))
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    "header", [("a b", "x"), ("", "x"), ("a", "x\r\nhost: y"), ("a", "ü"), ("Content-Length", "0"), ("host", "x")]
)
def test_a_header_that_cannot_be_sent_is_named(header: tuple[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="cannot be sent"):
        Pools(Limits()).of(upstream(ADDRESS, headers=(header,)))


@pytest.mark.parametrize("key", ["", "a b", "a\n", "ü"])
def test_a_key_that_cannot_be_sent_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be sent") as refused:
        FixedCredential(Secret(key), source="SOME_VARIABLE")
    assert "SOME_VARIABLE" in str(refused.value.hint)
    assert key == "" or key not in f"{refused.value}{refused.value.hint}"


def test_a_pool_stays_while_its_upstream_does() -> None:
    pools, one = Pools(Limits()), upstream(ADDRESS)
    pool = pools.of(one)
    assert pools.of(one) is pool
    assert pools.of(replace(one)) is pool  # read again, and the same
    assert pools.of(replace(one, base_url="http://127.0.0.1:2")) is not pool
    assert pools.of(upstream(ADDRESS, "another")) is not pool


def test_a_pool_without_connections_is_swept_away() -> None:
    async def run() -> None:
        pools, one = Pools(Limits()), upstream(ADDRESS)
        pool = pools.of(one)
        pools.sweep(0.0)
        assert pools.of(one) is not pool

    asyncio.run(run())


def test_the_lines_of_a_head_are_made_once_for_each_pool_and_version() -> None:
    class Renewing:
        version = 1

        @property
        def fixed(self) -> bytes:
            return b"x-api-key: %d\r\n" % self.version

        def lines(self, _request: object) -> bytes:
            raise AssertionError

    credential = Renewing()
    pools, one = Pools(Limits()), upstream(ADDRESS, credential=credential, kind=Kind.ANTHROPIC)
    head = RequestHead({}, b"anthropic-beta: a\r\n", target=b"/v1/messages")
    lines = head.upstream_lines(pools.of(one))
    assert lines.endswith(b"x-api-key: 1\r\nanthropic-beta: a\r\ncontent-length: ")
    assert head.upstream_lines(pools.of(one)) is lines
    credential.version = 2
    assert b"x-api-key: 2\r\n" in head.upstream_lines(pools.of(one))
    other = pools.of(upstream("http://127.0.0.1:2/prefix", "b", headers=(("anthropic-beta", "own"),)))
    lines = head.upstream_lines(other)
    assert lines.startswith(b"POST /prefix/v1/messages HTTP/1.1\r\nhost: 127.0.0.1:2\r\n")
    assert lines.count(b"anthropic-beta") == 1
    assert b"anthropic-beta: own\r\n" in lines
    assert b"x-api-key: 2" not in lines
