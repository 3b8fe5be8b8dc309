"""The real server is what its OpenAPI document says, as schemathesis asks: no failure and no broken contract."""

import copy
import json
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from running import RunningServer
from schemathesis import checks
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks as openapi

DOCUMENT: Final = json.loads((Path(__file__).parents[2] / "docs/reference/openapi.json").read_text(encoding="utf-8"))
SCHEMA: Final = schemathesis.openapi.from_dict(copy.deepcopy(DOCUMENT))
OPERATIONS: Final = {found.ok().label: found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)}
ASKED: Final = [
    (label, mode)
    for label, operation in OPERATIONS.items()
    for mode in schemathesis.GenerationMode
    if mode.is_positive or operation.body or any(True for _ in operation.iter_parameters())
]
"""What takes no parameter cannot be asked wrongly."""
CHECKS: Final = [
    checks.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
]
FEW: Final = settings(
    max_examples=10,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
DEVICE: Final = "urn:ietf:params:oauth:grant-type:device_code"
CLIENT: Final = "keystead-cli"


@dataclass(frozen=True)
class Known:
    """A server, a key of its gateway, and the access token of a person who is signed in."""

    base: str
    key: str
    token: str


def posted(address: str, **form: str) -> dict[str, Any]:
    with urllib.request.urlopen(address, urllib.parse.urlencode(form).encode()) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    """Every request comes from an address of its own, so that no limit hides what is behind it."""
    more = {"KEYSTEAD_SERVER_DYNAMIC_REGISTRATION": "true", "KEYSTEAD_SERVER_TRUSTED_PROXIES": "127.0.0.1"}
    with RunningServer(tmp_path_factory.mktemp("home"), more) as running:
        person = running.administrator()
        codes = posted(running.base + "/oauth/device_authorization", client_id=CLIENT)
        person.approve(codes["verification_uri_complete"])
        asked = {"grant_type": DEVICE, "device_code": codes["device_code"], "client_id": CLIENT}
        token = posted(running.base + "/oauth/token", **asked)["access_token"]
        yield Known(running.base, person.create_key("schemathesis"), token)


def test_every_operation_is_asked() -> None:
    methods = [(path, method) for path, item in DOCUMENT["paths"].items() for method in item if method != "parameters"]
    assert set(OPERATIONS) == {f"{method.upper()} {path}" for path, method in methods}


def test_the_document_is_valid_and_a_damaged_one_is_not() -> None:
    schemathesis.openapi.from_dict(copy.deepcopy(DOCUMENT)).validate()
    damaged = copy.deepcopy(DOCUMENT)
    damaged["paths"]["/oauth/token"]["post"]["responses"]["200"] = {"content": 1}
    with pytest.raises(jsonschema_rs.ValidationError):
        schemathesis.openapi.from_dict(damaged).validate()


@pytest.mark.parametrize(("label", "mode"), ASKED)
def test_what_the_server_answers_is_in_the_document(known: Known, label: str, mode: Any) -> None:
    operation = OPERATIONS[label]
    credential = known.token if operation.tags == ["oauth"] else known.key
    sees = operation.tags in (["gateway"], ["limits"]) or "userinfo" in label
    asked = 0

    @FEW
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        nonlocal asked
        asked += 1
        headers = {"X-Forwarded-For": f"192.0.2.{asked}"}
        if asked % 2 and sees:
            headers["Authorization"] = f"Bearer {credential}"
        if asked % 2 and operation.tags == ["oauth"] and isinstance(case.body, dict):
            case.body["client_id"] = CLIENT
        case.call_and_validate(base_url=known.base, headers=headers, checks=CHECKS)

    ask()
    assert asked
