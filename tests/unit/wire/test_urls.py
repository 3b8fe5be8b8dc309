import pytest

from keystead.wire import urls


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://Keys.Example.com/", "https://keys.example.com"),
        ("https://keys.example.com:443/team/", "https://keys.example.com/team"),
        ("http://127.0.0.1:8420", "http://127.0.0.1:8420"),
        ("http://[::1]:8420/", "http://[::1]:8420"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_a_base_address_has_one_form(given: str, expected: str) -> None:
    assert urls.base(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        "",
        "keys.example.com",
        "ftp://keys.example.com",
        "http://keys.example.com",
        "http://127.0.0.1.example.com",
        "https://user@keys.example.com",
        "https://keys.example.com?x=1",
        "https://keys.example.com#x",
        "https://keys.example.com\\@evil.example",
        "https://keys.example.com /",
        "https://",
        "https://keys.example.com:99999",
    ],
)
def test_an_address_that_a_secret_may_not_go_to_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        urls.base(given)
