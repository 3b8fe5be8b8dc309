"""Where an upstream's name may lead: every address is judged, remembered for a while, and never one for metadata."""

import asyncio
import ipaddress
import threading
from collections.abc import Sequence

import pytest

from keystead.server.outbound import Reach, is_metadata, permitted
from keystead.server.upstream_network import MOST, REMEMBERED_SECONDS, Guard, NotPermitted
from keystead.testing.clock import FakeClock

OPENED = Reach((ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("169.254.0.0/16")), plain=True, setting="S")
METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "fe80::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "::ffff:169.254.169.254",
    "::ffff:0:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "2002:a9fe:a9fe::1",
]
"""Where machines learn their credentials, and the ways to write it as another address."""


class Names:
    """A name service that counts."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return list(self.answers)


def resolved(names: Names, base_url: str = "https://llm.example.com", within: Reach = OPENED) -> list[str]:
    addresses = Guard(within, FakeClock(), names).of_organizations(base_url)
    return list(asyncio.run(_of(addresses("llm.example.com", 443))))


async def _of(answer: object) -> Sequence[str]:
    return await answer  # type: ignore[no-any-return, misc]


def test_every_address_must_be_permitted() -> None:
    assert resolved(Names("1.1.1.1", "10.1.2.3")) == ["1.1.1.1", "10.1.2.3"]
    for inside in ("192.168.0.1", "127.0.0.1", "::1", *METADATA):
        with pytest.raises(NotPermitted, match=r"llm\.example\.com leads to .*, which S does not open"):
            resolved(Names("1.1.1.1", inside))


INSIDE = [
    *("127.0.0.1", "127.255.0.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "0.0.0.0", "0.0.0.1"),
    *("::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:10.0.0.1", "::127.0.0.1", "64:ff9b::10.0.0.1"),
    *("64:ff9b:1::8.8.8.8", "2002:a00:1::1", "fc00::1", "fec0::1", "2001:db8::1", "198.18.0.1"),
    *("224.0.0.1", "255.255.255.255", "ff02::1", "240.0.0.1"),
]


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_not_public_is_not_asked_however_it_is_written(address: str) -> None:
    with pytest.raises(NotPermitted):
        resolved(Names("1.1.1.1", address), within=Reach(setting="S"))


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"])
def test_what_is_public_is_asked(address: str) -> None:
    assert resolved(Names(address), within=Reach()) == [address]


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "2852039166", "0xa9.0xfe.0xa9.0xfe", "10.257"]
)
def test_a_number_is_judged_by_the_address_that_it_stands_for(host: str) -> None:
    """The system's own resolver, which takes them all, is asked: no name server has to be."""
    with pytest.raises(NotPermitted):
        asyncio.run(_of(Guard(Reach(), FakeClock()).of_organizations(f"https://{host}")(host, 443)))


def test_without_tls_only_what_is_inside_and_opened_is_asked() -> None:
    assert resolved(Names("10.1.2.3"), "http://llm.example.com") == ["10.1.2.3"]
    with pytest.raises(NotPermitted):
        resolved(Names("1.1.1.1"), "http://llm.example.com")
    assert resolved(Names("127.0.0.1"), "http://localhost", Reach(loopback=True)) == ["127.0.0.1"]


@pytest.mark.parametrize("address", METADATA)
def test_metadata_is_never_asked_whatever_is_opened(address: str) -> None:
    everything = Reach((ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")), loopback=True, plain=True)
    assert is_metadata(ipaddress.ip_address(address))
    assert not permitted(ipaddress.ip_address(address), everything)
    operator = Guard(everything, FakeClock(), Names(address)).of_operator
    with pytest.raises(NotPermitted):
        asyncio.run(_of(operator("llm.example.com", 443)))


def test_the_operators_own_upstream_may_be_anywhere_else() -> None:
    operator = Guard(Reach(), FakeClock(), Names("192.168.7.20")).of_operator
    assert asyncio.run(_of(operator("llm.example.com", 443))) == ["192.168.7.20"]


def test_an_answer_is_used_again_for_a_while_and_judged_each_time() -> None:
    names, clock = Names("1.1.1.1"), FakeClock()
    guard = Guard(Reach(), clock, names)
    addresses = guard.of_organizations("https://llm.example.com")

    async def ask() -> None:
        for port in (443, 443, 8443):
            await addresses("llm.example.com", port)
        assert names.asked == 2
        clock.advance(REMEMBERED_SECONDS)
        names.answers = ["10.0.0.1"]
        with pytest.raises(NotPermitted):
            await addresses("llm.example.com", 443)
        with pytest.raises(NotPermitted):
            await addresses("llm.example.com", 443)
        assert names.asked == 3
        names.answers = ["1.1.1.1"]
        for number in range(MOST + 5):
            await addresses(f"{number}.example.com", 443)
        assert len(guard._known) == MOST

    asyncio.run(ask())


def test_a_name_that_is_not_answered_takes_one_thread() -> None:
    """Else an organization's name service that keeps silent would leave no thread for the names of all others."""
    silent, asked = threading.Event(), list[str]()

    def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        if host == "silent.example.com":
            silent.wait(10)
        return ["1.1.1.1"]

    async def ask() -> None:
        addresses = Guard(Reach(), FakeClock(), resolve).of_organizations("https://llm.example.com")
        waiting = [asyncio.ensure_future(_of(addresses("silent.example.com", 443))) for _ in range(100)]
        assert await _of(addresses("llm.example.com", 443)) == ["1.1.1.1"]
        for one in waiting[:99]:
            one.cancel()
        silent.set()
        assert await waiting[99] == ["1.1.1.1"]
        assert asked.count("silent.example.com") == 1

    asyncio.run(ask())


def test_a_name_that_could_not_be_resolved_is_asked_for_again() -> None:
    answers = iter([OSError("no such name"), ["1.1.1.1"]])

    def resolve(host: str, port: int) -> Sequence[str]:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return ["1.1.1.1"] if not isinstance(answer, list) else answer

    async def ask() -> None:
        addresses = Guard(Reach(), FakeClock(), resolve).of_organizations("https://llm.example.com")
        with pytest.raises(OSError, match="no such name"):
            await _of(addresses("llm.example.com", 443))
        assert await _of(addresses("llm.example.com", 443)) == ["1.1.1.1"]

    asyncio.run(ask())
