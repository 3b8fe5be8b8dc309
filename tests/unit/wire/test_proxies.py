import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.wire import proxies

PROXY = "http://proxy.example:3128"


@pytest.mark.requirement("R-13 proxies")
@pytest.mark.parametrize(
    ("origin", "exceptions", "direct"),
    [
        ("https://keys.example.com", "", False),
        ("https://keys.example.com", "*", True),
        ("https://keys.example.com", "example.com", True),
        ("https://keys.example.com", ".example.com", True),
        ("https://keys.example.com", "*.example.com", True),
        ("https://example.com", ".example.com", False),
        ("https://keysexample.com", "example.com", False),
        ("https://keys.example.com", "other.org, keys.example.com ", True),
        ("https://keys.example.com", "KEYS.EXAMPLE.COM", True),
        ("https://keys.example.com", "keys.example.com:443", True),
        ("https://keys.example.com:8443", "keys.example.com:443", False),
        ("https://keys.example.com:8443", "keys.example.com:8443", True),
        ("https://10.1.2.3", "10.0.0.0/8", True),
        ("https://11.1.2.3", "10.0.0.0/8", False),
        ("https://10.1.2.3", "10.1.2.3", True),
        ("https://[2001:db8::1]", "2001:db8::/32", True),
        ("https://[2001:db8::1]", "2001:db8::1", True),
        ("https://[2001:db8::1]:8443", "[2001:db8::1]:8443", True),
        ("https://keys.example.com", "10.0.0.0/8", False),
        ("https://keys.example.com", "nonsense/nonsense", False),
    ],
)
def test_exceptions_are_names_suffixes_addresses_and_networks(origin: str, exceptions: str, direct: bool) -> None:
    chosen = proxies.choose(origin, {"HTTPS_PROXY": PROXY, "NO_PROXY": exceptions})

    assert (chosen is None) is direct


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"HTTPS_PROXY": PROXY, "ALL_PROXY": "http://b"}, "HTTPS_PROXY"),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://b"}, "https_proxy"),
        ({"ALL_PROXY": PROXY, "HTTP_PROXY": "http://b"}, "ALL_PROXY"),
        ({"HTTPS_PROXY": "", "ALL_PROXY": PROXY}, "ALL_PROXY"),
        ({"HTTPS_PROXY": "proxy.example:3128"}, "HTTPS_PROXY"),
    ],
)
def test_the_variable_of_the_scheme_counts_first(variables: dict[str, str], name: str) -> None:
    chosen = proxies.choose("https://keys.example.com", variables)

    assert chosen is not None
    assert (chosen.name, chosen.url) == (name, PROXY)


def test_a_password_is_not_shown() -> None:
    chosen = proxies.choose("https://a.example", {"HTTPS_PROXY": "http://ada:canary@proxy.example:3128"})

    assert chosen is not None
    assert chosen.shown == "http://proxy.example:3128 (HTTPS_PROXY)"
    assert "canary" not in repr(chosen)


@given(st.text(), st.text())
def test_any_list_can_be_read(exceptions: str, name: str) -> None:
    proxies.choose("https://keys.example.com", {"NO_PROXY": exceptions, "HTTPS_PROXY": PROXY, "ALL_PROXY": name})
    assert proxies.choose("https://keys.example.com", {"NO_PROXY": f"{exceptions.replace('*', '')},*"}) is None
