import http.client
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from keystead.drivers import loopback
from keystead.errors import ConfigurationError


def get(url: str, *, host: str | None = None, connect: str | None = None, method: str = "GET") -> tuple[int, str]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(connect or parts.hostname or "", parts.port, timeout=10)
    headers = {"Host": host} if host else {}
    connection.request(method, f"{parts.path}?{parts.query}", headers=headers)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body


def test_the_answer_is_handed_over_with_a_friendly_page() -> None:
    queries: list[str] = []
    with loopback.listening(lambda query: not queries.append(query)) as redirect_uri:  # type: ignore[func-returns-value]
        status, page = get(f"{redirect_uri}?code=c&state=s")

    assert queries == ["code=c&state=s"]
    assert status == 200
    assert "Back to your terminal" in page
    assert "code=c" not in page


def test_both_loopback_addresses_listen_on_one_port() -> None:
    with loopback.listening(lambda query: query == "right") as redirect_uri:
        port = urlsplit(redirect_uri).port
        over_ipv6 = get(f"{redirect_uri}?wrong", connect="::1", host=f"[::1]:{port}")[0]
        over_ipv4 = get(f"{redirect_uri}?right")[0]

    assert (over_ipv6, over_ipv4) == (400, 200)


def test_a_second_answer_changes_nothing() -> None:
    queries: list[str] = []
    with loopback.listening(lambda query: not queries.append(query)) as redirect_uri:  # type: ignore[func-returns-value]
        statuses = [get(f"{redirect_uri}?{number}")[0] for number in (1, 2)]

    assert (statuses, queries) == ([200, 410], ["1"])


def test_of_many_answers_at_once_one_is_taken() -> None:
    with loopback.listening(lambda query: True) as redirect_uri, ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(lambda number: get(f"{redirect_uri}?{number}")[0], range(8)))

    assert statuses == [200] + [410] * 7


def test_a_strange_answer_does_not_end_the_waiting() -> None:
    with loopback.listening(lambda query: query == "right") as redirect_uri:
        assert [get(f"{redirect_uri}?{query}")[0] for query in ("wrong", "right")] == [400, 200]


@pytest.mark.parametrize("host", ["evil.example", "localhost:{port}", "127.0.0.1", "127.0.0.1:1"])
def test_a_name_that_was_bent_to_this_machine_gets_nothing(host: str) -> None:
    queries: list[str] = []
    with loopback.listening(lambda query: not queries.append(query)) as redirect_uri:  # type: ignore[func-returns-value]
        port = urlsplit(redirect_uri).port
        status, _ = get(f"{redirect_uri}?x", host=host.format(port=port))

    assert (status, queries) == (421, [])


def test_other_paths_and_methods_get_nothing() -> None:
    with loopback.listening(lambda query: True) as redirect_uri:
        base = redirect_uri.removesuffix("/callback")

        assert get(f"{base}/favicon.ico")[0] == 404
        assert get(f"{base}/callback/x?code=c")[0] == 404
        assert get(f"{redirect_uri}?code=c", method="POST")[0] == 405


def test_a_connection_that_says_nothing_blocks_nobody() -> None:
    with loopback.listening(lambda query: True) as redirect_uri:
        parts = urlsplit(redirect_uri)
        with socket.create_connection((parts.hostname or "", parts.port or 0)):
            assert get(f"{redirect_uri}?code=c")[0] == 200


def test_nobody_listens_afterwards() -> None:
    with loopback.listening(lambda query: True) as redirect_uri:
        pass

    with pytest.raises(ConnectionRefusedError):
        get(redirect_uri)


def test_a_machine_with_ipv6_loopback_alone_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    listen = loopback._listen
    monkeypatch.setattr(
        loopback, "_listen", lambda family, *rest: None if family == socket.AF_INET else listen(family, *rest)
    )
    with loopback.listening(lambda query: True) as redirect_uri:
        assert redirect_uri.startswith("http://[::1]:")
        assert get(f"{redirect_uri}?code=c")[0] == 200


def test_a_port_that_is_taken_on_the_other_address_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    listen = loopback._listen
    refused: list[int] = []

    def once_taken(family: int, host: str, port: int) -> socket.socket | None:
        if family == socket.AF_INET6 and port and not refused:
            refused.append(port)
            return None
        return listen(family, host, port)

    monkeypatch.setattr(loopback, "_listen", once_taken)
    with loopback.listening(lambda query: True) as redirect_uri:
        assert urlsplit(redirect_uri).port not in refused


def test_a_machine_without_loopback_is_told_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "_listen", lambda *_: None)

    with pytest.raises(ConfigurationError) as caught, loopback.listening(lambda query: True):
        pass

    assert "--device" in (caught.value.hint or "")
