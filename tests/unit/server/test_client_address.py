"""Whose request it is, behind proxies: only trusted ones are believed, hop by hop from this server outwards."""

import ipaddress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keystead.errors import ConfigurationError
from keystead.server.client_address import Address, Proxies, client, counted_as, proxies, resolved
from keystead.server.settings import ServerSettings

TRUSTED = "10.0.0.0/8, 2001:db8:7::/48, 192.0.2.7"
EDGE = "10.0.0.1"


def set_to(networks: str = TRUSTED, header: str = "X-Forwarded-For") -> Proxies:
    return proxies(ServerSettings(data_dir=Path("/"), trusted_proxies=networks, client_address_header=header))


LISTED = set_to()
STANDARD = set_to(header="forwarded")


def seen(known: Proxies, *lines: str, peer: str = EDGE) -> str:
    headers = [(known.header, line.encode("latin-1")) for line in lines]
    return str(client(ipaddress.ip_address(peer), headers, known))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], EDGE),
        ([""], EDGE),
        ([" , ,"], EDGE),
        (["198.51.100.3"], "198.51.100.3"),
        (["198.51.100.3:4711"], "198.51.100.3"),
        (["198.51.100.3:_port"], "198.51.100.3"),
        (["2001:db8::17"], "2001:db8::17"),
        (["[2001:db8::17]"], "2001:db8::17"),
        (["[2001:db8::17]:4711"], "2001:db8::17"),
        (["2001:DB8:0:0::17"], "2001:db8::17"),
        (["::ffff:198.51.100.3"], "198.51.100.3"),
        (["[::ffff:c633:6403]:80"], "198.51.100.3"),
        (["203.0.113.9, 198.51.100.3"], "198.51.100.3"),  # the client's own claim stands further out
        (["198.51.100.3, 10.2.3.4"], "198.51.100.3"),
        (["203.0.113.9,198.51.100.3,10.2.3.4,2001:db8:7::1,192.0.2.7"], "198.51.100.3"),
        (["198.51.100.3", "10.2.3.4"], "198.51.100.3"),
        (["203.0.113.9", "198.51.100.3"], "198.51.100.3"),
        (["203.0.113.9", "", "198.51.100.3,"], "198.51.100.3"),
        (["10.1.1.1, 10.2.2.2"], "10.1.1.1"),  # a request of the proxies' own
        (["198.51.100.3, ::ffff:10.2.3.4"], "198.51.100.3"),
        # what names nobody ends the walk at the last hop that is known
        (["198.51.100.3, unknown"], EDGE),
        (["198.51.100.3, unknown, 10.2.3.4"], "10.2.3.4"),
        (["198.51.100.3, _hidden"], EDGE),
        (["198.51.100.300"], EDGE),
        (["198.51.100"], EDGE),
        (["198.51.100.03"], EDGE),
        (["3325256707"], EDGE),
        (["198.51.100.3:"], EDGE),
        (["198.51.100.3:123456"], EDGE),
        (["198.51.100.3/32"], EDGE),
        (["[198.51.100.3]"], EDGE),
        (["[2001:db8::17"], EDGE),
        (["2001:db8::17]"], EDGE),
        (["fe80::1%eth0"], EDGE),
        (["1:2:3:4:5:6:7:8:9"], EDGE),
        ([":"], EDGE),
        (['"198.51.100.3"'], EDGE),
        (["198.51.100.3 203.0.113.9"], EDGE),
        (["for=198.51.100.3"], EDGE),
        (["unix:"], EDGE),
        (["\u0661.2.3.4".encode().decode("latin-1")], EDGE),
    ],
)
def test_x_forwarded_for(lines: list[str], expected: str) -> None:
    assert seen(LISTED, *lines) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], EDGE),
        ([""], EDGE),
        ([" , ;;, "], EDGE),
        (["for=198.51.100.3"], "198.51.100.3"),
        (["For=198.51.100.3"], "198.51.100.3"),
        (['for="198.51.100.3"'], "198.51.100.3"),
        (['for="198.51.100.3:4711"'], "198.51.100.3"),
        (['for="198.51.100.3:_gate"'], "198.51.100.3"),
        (['for="[2001:db8::17]"'], "2001:db8::17"),
        (['For="[2001:db8:cafe::17]:4711"'], "2001:db8:cafe::17"),
        (['for="[::ffff:198.51.100.3]"'], "198.51.100.3"),
        ([r'for="198.51\.100\.3"'], "198.51.100.3"),
        (["for=198.51.100.3;proto=http;by=203.0.113.43"], "198.51.100.3"),
        (["proto=http; by=203.0.113.43 ;for=198.51.100.3"], "198.51.100.3"),
        (['by="a,b;for=203.0.113.9";for=198.51.100.3'], "198.51.100.3"),
        ([r'by="\"";for=198.51.100.3'], "198.51.100.3"),
        (["for=203.0.113.9, for=198.51.100.3"], "198.51.100.3"),
        (["for=198.51.100.3, for=10.2.3.4;proto=https"], "198.51.100.3"),
        (["for=198.51.100.3", 'for="[2001:db8:7::1]:80"'], "198.51.100.3"),
        (["for=203.0.113.9", "for=198.51.100.3"], "198.51.100.3"),
        ([",for=198.51.100.3,;,"], "198.51.100.3"),
        (["for=10.1.1.1"], "10.1.1.1"),
        (['for="', "for=198.51.100.3"], "198.51.100.3"),  # a line left open spoils no other
        (['for="', "for=10.2.3.4"], "10.2.3.4"),
        # what names nobody ends the walk at the last hop that is known
        (["for=unknown"], EDGE),
        (["for=198.51.100.3, for=unknown, for=10.2.3.4"], "10.2.3.4"),
        (["for=198.51.100.3, for=_hidden"], EDGE),
        (['for=198.51.100.3, for="_SEVKISEK:80"'], EDGE),
        (["for=198.51.100.3, proto=https"], EDGE),  # that proxy keeps the address to itself
        (["for="], EDGE),
        (["for"], EDGE),
        (['for=""'], EDGE),
        (["for =198.51.100.3"], EDGE),
        (["for= 198.51.100.3"], EDGE),
        (["for=198.51.100.3:4711"], EDGE),  # a port wants quotes
        (["for=[2001:db8::17]"], EDGE),
        (['for="198.51.100.3'], EDGE),
        (['for="198.51.100.3\\'], EDGE),
        (['for="198.51.100.3"x'], EDGE),
        (["for=198.51.100.3;for=203.0.113.9"], EDGE),  # once in an element
        (['for=", for=198.51.100.3'], EDGE),
        (["for=198.51.100.3 for=203.0.113.9"], EDGE),
        (["198.51.100.3"], EDGE),
    ],
)
def test_forwarded(lines: list[str], expected: str) -> None:
    assert seen(STANDARD, *lines) == expected


@pytest.mark.parametrize(
    ("known", "expected"), [(LISTED, "198.51.100.3"), (STANDARD, "198.51.100.4"), (set_to(""), EDGE)]
)
def test_of_two_headers_the_one_that_is_set_counts(known: Proxies, expected: str) -> None:
    headers = [(b"x-forwarded-for", b"198.51.100.3"), (b"forwarded", b"for=198.51.100.4")]
    for order in (headers, headers[::-1]):
        assert str(client(ipaddress.ip_address(EDGE), order, known)) == expected


@pytest.mark.parametrize("name", [b"x_forwarded_for", b"x-real-ip", b"forwarded", b"x-forwarded-for "])
def test_no_other_header_counts(name: bytes) -> None:
    assert str(client(ipaddress.ip_address(EDGE), [(name, b"198.51.100.3")], LISTED)) == EDGE


@pytest.mark.parametrize(
    ("networks", "peer", "expected"),
    [
        ("", EDGE, EDGE),
        ("10.0.0.2", EDGE, EDGE),
        ("10.0.0.1", EDGE, "198.51.100.3"),
        (" 10.0.0.9 10.0.0.0/30 ", EDGE, "198.51.100.3"),
        ("10.0.0.0/8", "::ffff:10.0.0.1", "198.51.100.3"),
        ("::ffff:10.0.0.0/104", EDGE, "198.51.100.3"),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.1", "198.51.100.3"),
        ("2001:db8::/32", "2001:db8::1", "198.51.100.3"),
        ("2001:db8::/32", "2001:db9::1", "2001:db9::1"),
        ("::/96", EDGE, EDGE),
        ("127.0.0.1", "::1", "::1"),
    ],
)
def test_the_peer_must_be_trusted(networks: str, peer: str, expected: str) -> None:
    assert seen(set_to(networks), "198.51.100.3", peer=peer) == expected


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        ("10.0.0", "KEYSTEAD_SERVER_TRUSTED_PROXIES is not a list of addresses and networks: '10.0.0'"),
        ("10.0.0.1/8", "host bits"),
        ("edge.example.com", "'edge.example.com'"),
        ("10.0.0.1;10.0.0.2", "KEYSTEAD_SERVER_TRUSTED_PROXIES is not a list"),
        ("0.0.0.0/0", "KEYSTEAD_SERVER_TRUSTED_PROXIES covers every IPv4 address"),
        ("10.0.0.1, ::/0", "covers every IPv6 address"),
        ("0.0.0.0/1 128.0.0.0/1", "covers every IPv4 address"),
        ("::ffff:0:0/96", "covers every IPv4 address"),
    ],
)
def test_a_wrong_list_is_refused_by_name(networks: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        set_to(networks)
    assert raised.value.hint
    assert raised.value.move == "operator"


@pytest.mark.parametrize("header", ["", "X-Real-IP", "Forwarded, X-Forwarded-For"])
def test_a_header_that_is_not_read_is_refused_by_name(header: str) -> None:
    with pytest.raises(ConfigurationError, match="KEYSTEAD_SERVER_CLIENT_ADDRESS_HEADER must be"):
        set_to(header=header)


@pytest.mark.parametrize("setting", [{"trusted_proxies": "0.0.0.0/0"}, {"client_address_header": "Via"}])
def test_a_wrong_setting_stops_the_server_before_it_touches_anything(tmp_path: Path, setting: dict[str, str]) -> None:
    from keystead.clock import SYSTEM_CLOCK
    from keystead.server import installation

    settings = ServerSettings(data_dir=tmp_path / "data", port=0, **setting)  # type: ignore[arg-type]
    with (
        pytest.raises(ConfigurationError, match="KEYSTEAD_SERVER_"),
        installation.prepared(settings, SYSTEM_CLOCK, bytes),
    ):
        pytest.fail("it started")
    assert not (tmp_path / "data").exists()


def scope(client: Any, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http", "client": client, "headers": list(headers)}


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (EDGE, "198.51.100.3"),
        ("::ffff:10.0.0.1", "198.51.100.3"),
        ("198.51.100.9", "198.51.100.9"),
        ("::ffff:198.51.100.9", "198.51.100.9"),  # mapped, all of IPv4 would be one /64
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_the_application_is_told_the_client_and_no_proxy_s_header(peer: str, expected: str) -> None:
    names = [b"x-forwarded-for", b"X_Forwarded_For", b"forwarded", b"x-forwarded-host", b"x_forwarded-proto"]
    given = scope((peer, 4711), (b"host", b"a"), *[(name, b"198.51.100.3") for name in names], (b"x-real-ip", b"x"))
    told = resolved(given, LISTED)
    assert told["client"][0] == expected
    assert told["headers"] == [(b"host", b"a")]
    assert given["client"] == (peer, 4711)


@pytest.mark.parametrize("peer", [None, ("", 0), ("testclient", 1)])
def test_a_peer_without_an_address_stays_as_it_is(peer: Any) -> None:
    told = resolved(scope(peer, (b"x-forwarded-for", b"198.51.100.3")), LISTED)
    assert (told["client"], told["headers"]) == (peer, [])


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("198.51.100.3", "198.51.100.4", False),
        ("::ffff:198.51.100.3", "198.51.100.3", True),
        ("::ffff:198.51.100.3", "::ffff:198.51.100.4", False),
        ("2001:db8::1", "2001:db8::ffff:1:2:3", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("", "", True),
        ("", "198.51.100.3", False),
    ],
)
def test_limits_count_an_ipv6_address_by_its_64(one: str, other: str, together: bool) -> None:
    assert (counted_as(one) == counted_as(other)) is together


ADDRESSES = st.ip_addresses()
PIECES = st.one_of(
    ADDRESSES.map(str),
    st.ip_addresses(network="10.0.0.0/8").map(str),
    st.sampled_from(["for=", "by=", '"', "\\", ",", ";", "[", "]", ":", "unknown", "_x", " ", "proto=http", ":80"]),
    st.text(st.characters(codec="latin-1"), max_size=4),
)
LINES = st.lists(PIECES, max_size=12).map(lambda pieces: "".join(pieces).encode("latin-1"))
HEADERS = st.lists(
    st.tuples(st.sampled_from([b"x-forwarded-for", b"forwarded", b"x-forwarded-host"]), LINES), max_size=5
)
KNOWN = st.sampled_from([LISTED, STANDARD])


@given(ADDRESSES, HEADERS, KNOWN)
@example(ipaddress.ip_address(EDGE), [(b"forwarded", b'for="\\')], STANDARD)
def test_nothing_that_is_sent_raises_and_the_answer_is_an_address(peer: Address, headers: Any, known: Proxies) -> None:
    answer = client(peer, headers, known)
    assert ipaddress.ip_address(str(answer)) == answer
    assert getattr(answer, "ipv4_mapped", None) is None


@given(ADDRESSES, HEADERS, KNOWN)
def test_what_an_untrusted_peer_says_never_matters(peer: Address, headers: Any, known: Proxies) -> None:
    plain = client(peer, [], known)
    if not known.trust(plain):
        assert client(peer, headers, known) == plain


@given(HEADERS, st.ip_addresses(network="198.51.100.0/24"))
def test_what_a_client_says_never_matters_behind_a_proxy_that_adds_its_address(headers: Any, real: Address) -> None:
    edge = ipaddress.ip_address(EDGE)
    assert client(edge, [*headers, (b"x-forwarded-for", str(real).encode())], LISTED) == real
    assert client(edge, [*headers, (b"forwarded", f"for={real}".encode())], STANDARD) == real
    own = b", ".join(value for name, value in headers if name == b"x-forwarded-for")
    assert client(edge, [(b"x-forwarded-for", own + b", " + str(real).encode())], LISTED) == real
