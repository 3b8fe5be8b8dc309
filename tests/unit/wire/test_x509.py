from hypothesis import given
from hypothesis import strategies as st

from keystead.wire import x509

OID = b"\x06\x03\x55\x04"


def element(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2)
    return bytes([tag]) + length + content


def certificate(*attributes: tuple[int, bytes], version: bool = True) -> bytes:
    name = element(0x30, *(element(0x31, element(0x30, OID + bytes([kind]), element(0x0C, value))) for kind, value in attributes))  # fmt: skip  # noqa: E501
    head = [element(0xA0, element(2, b"\x02"))] if version else []
    to_be_signed = element(0x30, *head, element(2, b"\x01"), element(0x30), name, element(0x30, b"x" * 300))
    return element(0x30, to_be_signed, element(0x30), element(3, b"\0"))


def test_organization_and_common_name_are_read() -> None:
    assert x509.issuer(certificate((3, b"Root 1"), (10, b"Example Ltd"))) == "Example Ltd, Root 1"
    assert x509.issuer(certificate((3, b"Root 1"), version=False)) == "Root 1"


def test_what_has_no_name_has_none() -> None:
    assert x509.issuer(certificate()) is None
    assert x509.issuer(certificate((6, b"Elsewhere"))) is None


def test_a_name_moves_no_cursor() -> None:
    assert x509.issuer(certificate((3, b"\x1b[2JRoot\n"))) == " [2JRoot "


@given(st.binary(max_size=200))
def test_any_bytes_can_be_looked_at(data: bytes) -> None:
    assert x509.issuer(data) is None or x509.issuer(data)


@given(st.integers(0, 340))
def test_a_truncated_certificate_has_no_issuer_or_the_same(end: int) -> None:
    assert x509.issuer(certificate((3, b"Root 1"))[:end]) in (None, "Root 1")
