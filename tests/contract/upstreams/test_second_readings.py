"""A request that the gateway has judged cannot be read by the upstream, or by an edge, as another one."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from permits import allowing
from upstreams import upstream

from keystead.server.gateway.ports import Kind
from keystead.testing.messages_api import MessagesApi

if TYPE_CHECKING:
    from tests.contract.upstreams.conftest import Running

ALLOWED = b'{"model":"keystead-test-1","max_tokens":9,"messages":[]}'
PATHS = ["/v1/messages", "/v1/messages/count_tokens", "/anthropic/v1/messages"]


@pytest.fixture
def one_answer() -> Iterator[Callable[[bytes], str]]:
    """Return a function that starts a server which gives one answer, whatever it is asked; it returns its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer(said: bytes) -> None:
            with listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(said)
                while connection.recv(65536):
                    pass

        def begin(said: bytes) -> str:
            threading.Thread(target=answer, args=(said,), daemon=True).start()
            return f"http://127.0.0.1:{listener.getsockname()[1]}"

        yield begin


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "query",
    ["model=x", "beta=true&model=x", "%6Dodel=x", "Model=x", "models=x", "model[]=x", "a;model=x", "model",
     "fallbacks=x", "deployment_id=x"],
)  # fmt: skip
def test_a_model_in_the_query_is_refused(running: "Running", path: str, query: str) -> None:
    answer = running.ask(ALLOWED, target=f"{path}?{query}")
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert "query" in answer.error["message"]
    assert running.api.requests == []


def test_a_query_without_a_model_arrives_as_it_is(running: "Running") -> None:
    assert running.ask(target="/v1/messages?beta=true&remodel=%6D;x").status == 200
    assert running.api.requests[0].target == "/v1/messages?beta=true&remodel=%6D;x"


@pytest.mark.parametrize(
    "said",
    [
        ["application/x-www-form-urlencoded"],
        ["multipart/form-data; boundary=x"],
        ["application/json; charset=utf-7"],
        ["application/json; charset=utf-16le"],
        ["application/json", "application/x-www-form-urlencoded"],
        [],
    ],
    ids=["form", "multipart", "utf-7", "utf-16", "two", "none"],
)
@pytest.mark.parametrize("path", ["/v1/messages", "/anthropic/v1/messages"])
def test_a_body_read_as_json_is_called_json(running: "Running", path: str, said: list[str]) -> None:
    lines = [f"POST {path} HTTP/1.1", "host: x", f"x-api-key: {running.key}", f"content-length: {len(ALLOWED)}"]
    lines += [f"content-type: {one}" for one in said]
    assert running.send("\r\n".join([*lines, "", ""]).encode() + ALLOWED).status == 200
    (recorded,) = running.api.requests
    assert [value for name, value in recorded.raw_headers if name == "content-type"] == ["application/json"]


def test_json_called_so_goes_on_as_it_is_called(running: "Running") -> None:
    head = running.head(length=len(ALLOWED)).replace(b"application/json", b'Application/JSON; charset="UTF-8"')
    assert running.send(head + ALLOWED).status == 200
    assert running.api.requests[0].headers["content-type"] == 'Application/JSON; charset="UTF-8"'


@pytest.mark.parametrize(
    "line",
    [
        "x-http-method-override: DELETE",
        "x-original-url: /v1/files",
        "x-rewrite-url: /v1/files",
        "x_api_key: canary",
        'x-portkey-config: {"override_params":{"model":"claude-opus-4-6"}}',
        "x-gateway-model-name: claude-opus-4-6",
        "azureml-model-deployment: other",
        "Helicone-Target-Url: https://evil.example",
        "anthropic_workspace_id: canary",
        "transfer_encoding: chunked",
    ],
)
def test_what_could_stand_for_another_address_or_header_ends_here(running: "Running", line: str) -> None:
    assert running.ask(None, line).status == 200
    assert line.partition(":")[0].lower() not in running.api.requests[0].headers


@pytest.mark.parametrize("model", ["\\ud800", "a\\u0000b", "a\\nb", "\\u202eb", ""])
def test_a_model_that_no_ledger_could_hold_is_refused(running: "Running", model: str) -> None:
    answer = running.ask(b'{"model":"%b","messages":[]}' % model.encode())
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert answer.error["message"].startswith("model: ")
    assert running.api.requests == []


@pytest.mark.parametrize("path", ["/v1/metrics", "/v1/logs", "/managed/settings", "/elsewhere"])
def test_a_trailer_is_no_header(serve: Callable[..., "Running"], path: str) -> None:
    """Else a trailer that an edge passes on is a credential, a cookie or an address that the edge did not write."""
    seen: list[list[tuple[bytes, bytes]]] = []

    async def otherwise(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        while (await receive()).get("more_body"):
            pass
        seen.append(list(scope["headers"]))
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    running = serve(otherwise=otherwise)
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    body = f"2\r\n{{}}\r\n0\r\nx-api-key: {running.key}\r\nx-forwarded-for: 192.0.2.1\r\n\r\n"
    assert running.send((head + body).encode()).status in {401, 405}
    assert all(name not in {b"x-api-key", b"x-forwarded-for"} for headers in seen for name, _ in headers)
    assert bool(seen) == (path == "/elsewhere")


@pytest.mark.parametrize(
    "line",
    [
        "x-accel-redirect: /internal/secrets",
        "X-Accel-Expires: 86400",
        "x-sendfile: /etc/passwd",
        "x-lighttpd-send-file: /etc/passwd",
        "x-reproxy-url: http://169.254.169.254/",
        "www-authenticate: Bearer resource_metadata=https://evil.example/x",
        "clear-site-data: *",
        "refresh: 0;url=https://evil.example/",
        "location: https://evil.example/",
        "set-cookie: sessionid=x",
        "set-cookie2: sessionid=x",
        "nel: {}",
        "reporting-endpoints: a=https://evil.example/",
        "x-keystead-warning: sign in again at evil.example",
        "proxy-authenticate: Basic",
    ],
)
@pytest.mark.parametrize("status", [200, 401])
def test_an_upstream_commands_neither_edge_nor_client(
    serve: Callable[..., "Running"], one_answer: Callable[[bytes], str], line: str, status: int
) -> None:
    body = b'{"type":"error","error":{"type":"authentication_error","message":"x"}}'
    said = f"HTTP/1.1 {status} X\r\n{line}\r\ncontent-length: {len(body)}\r\nx-kept: 1\r\n\r\n".encode() + body
    answer = serve(upstreams=[upstream(one_answer(said))]).ask()
    assert answer.status == status
    assert answer.body == body
    assert answer.headers["x-kept"] == "1"
    assert line.partition(":")[0].lower() not in answer.headers


@pytest.mark.parametrize("field", ["anthropic_beta", "tools", "x"])
def test_every_depth_is_answered(serve: Callable[..., "Running"], api: MessagesApi, field: str) -> None:
    """Where one reader of a body still goes on and the next one gives up, the connection was lost without an answer."""
    running = serve(upstreams=[upstream(api.base_url, kind=Kind.BEDROCK)])
    for depth in range(970, 1000):
        body = b'{"model":"m","messages":[],"%b":%b}' % (field.encode(), b"[" * depth + b"]" * depth)
        assert running.ask(body).status in {400, 404}, depth


@pytest.mark.parametrize("kind", [Kind.BEDROCK, Kind.VERTEX])
@pytest.mark.parametrize(
    "model",
    [
        "our-model-/../claude-opus-5",
        "our-model@/..%2fclaude-opus-5",
        "our-model-%2F..%2Fclaude-opus-5",
        "our-model-/./x",
        "our-model-//x",
        "our-model-\\\\..\\\\claude-opus-5",
        "our-model-?model=claude-opus-5",
        "our-model-#x",
        "our-model-;x",
        "..",
    ],
)
def test_a_model_leads_nowhere_else_in_a_path(
    serve: Callable[..., "Running"], api: MessagesApi, kind: Kind, model: str
) -> None:
    """A list with "our-model" allows what goes on from it, and this goes on to another model once it is decoded."""
    more = {"project": "p", "region": "r"} if kind is Kind.VERTEX else {}
    running = serve(upstreams=[upstream(api.base_url, kind=kind, **more)], permits=allowing("our-model", ".."))
    answer = running.ask(b'{"model":"%b","max_tokens":9,"messages":[]}' % model.encode())
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert running.api.requests == []


@pytest.mark.parametrize("model", ["our-model@20250929", "our-model-v1:0", "our-model-[1m]", "our-model-a/b"])
def test_a_name_that_a_cloud_could_give_is_asked_for(
    serve: Callable[..., "Running"], api: MessagesApi, model: str
) -> None:
    running = serve(upstreams=[upstream(api.base_url, kind=Kind.BEDROCK)], permits=allowing("our-model"))
    running.ask(b'{"model":"%b","max_tokens":9,"messages":[]}' % model.encode())
    assert [one.target for one in running.api.requests] == [f"/model/{quote(model, safe='')}/invoke"]
